// Bounds the retries of all calls of a policy together, so that retries cannot multiply an outage: when everything fails,
// a dependency gets `1 + ratio` times its load, and not `1 + maxRetries` times. The idea is that of Finagle's RetryBudget
// (a share of the requests of a window, plus a floor) and of gRPC's retry throttling (gRFC A6).

import type { RetryBudgetOptions } from './retry-options.js';

/** Slots that the window is cut into. */
const SLOTS = 10;
/** Retries are kept for a slot longer, so that at no time more are seen as gone than are. */
const RING = SLOTS + 1;

const DEFAULTS = { ratio: 0.2, minPerSecond: 10, windowMs: 10_000 } as const;

/**
 * Invariant: whenever a retry is allowed, the retries of the last `windowMs`, this one included, are no more than
 * `ratio` × the first attempts of the last `windowMs` + `minPerSecond` × the window's seconds. It errs by less than a
 * slot, and towards fewer retries. After the window was made longer this holds for what the shorter one still knew.
 * Everything is O(1).
 */
export class RetryBudget {
  private ratio = 0;
  private floor = 0;
  private unlimited = false;
  private windowMs: number = DEFAULTS.windowMs;
  private slotMs: number = DEFAULTS.windowMs / SLOTS;
  /** Number of the slot that is written to; slots `slot - SLOTS + 1 … slot` are the window. */
  private slot: number;
  private firsts: number[] = Array.from({ length: RING }, () => 0);
  private retries: number[] = Array.from({ length: RING }, () => 0);
  /** Sum of the firsts of the last SLOTS slots. */
  private firstsSum = 0;
  /** Sum of the retries of the last RING slots. */
  private retriesSum = 0;

  constructor(options: RetryBudgetOptions | null | false, now: number) {
    this.slot = Math.floor(now / this.slotMs);
    this.configure(options, now);
  }

  /** Puts other limits in force. What the window saw stays, as far as the new one reaches. */
  configure(options: RetryBudgetOptions | null | false, now: number): void {
    this.unlimited = options === null || options === false;
    const {
      ratio = DEFAULTS.ratio,
      minPerSecond = DEFAULTS.minPerSecond,
      windowMs = DEFAULTS.windowMs,
    } = options === null || options === false ? {} : options;
    this.ratio = ratio;
    this.floor = (minPerSecond * windowMs) / 1_000;
    if (windowMs !== this.windowMs) this.recut(windowMs, now);
  }

  /** A call makes its first attempt. */
  first(now: number): void {
    this.forward(now);
    add(this.firsts, this.slot, 1);
    this.firstsSum++;
  }

  /** Retries that are allowed now. Infinite when there is no budget. */
  left(now: number): number {
    this.forward(now);
    return this.unlimited ? Infinity : this.floor + this.ratio * this.firstsSum - this.retriesSum;
  }

  /** @returns whether a retry is allowed; it is counted then. */
  retry(now: number): boolean {
    // A hair's breadth for shares that binary fractions do not hit.
    if (this.left(now) < 1 - 1e-9) return false;
    add(this.retries, this.slot, 1);
    this.retriesSum++;
    return true;
  }

  /** Goes on to the slot of `now`. Time that a caller read a moment ago counts for the present slot. */
  private forward(now: number): void {
    const slot = Math.floor(now / this.slotMs);
    if (slot <= this.slot) return;
    if (slot - this.slot >= RING) {
      this.clear();
      this.slot = slot;
      return;
    }
    while (this.slot < slot) {
      this.slot++;
      // The oldest slot of the ring makes room for the new one; the one after it leaves the window of first attempts.
      this.retriesSum -= this.retries[this.slot % RING] as number;
      this.retries[this.slot % RING] = 0;
      this.firstsSum -= this.firsts[(this.slot + 1) % RING] as number;
      this.firsts[(this.slot + 1) % RING] = 0;
    }
  }

  private clear(): void {
    this.firsts.fill(0);
    this.retries.fill(0);
    this.firstsSum = 0;
    this.retriesSum = 0;
  }

  /** Sorts what there is into slots of another length: first attempts as old as they may be, retries as young. */
  private recut(windowMs: number, now: number): void {
    this.forward(now);
    const { slot, slotMs, firsts, retries } = this;
    this.windowMs = windowMs;
    this.slotMs = windowMs / SLOTS;
    this.slot = Math.floor(now / this.slotMs);
    this.firsts = Array.from({ length: RING }, () => 0);
    this.retries = Array.from({ length: RING }, () => 0);
    this.firstsSum = 0;
    this.retriesSum = 0;
    for (let old = Math.max(0, slot - SLOTS); old <= slot; old++) {
      const began = Math.floor((old * slotMs) / this.slotMs);
      if (began > this.slot - SLOTS) {
        const count = firsts[old % RING] as number;
        add(this.firsts, began, count);
        this.firstsSum += count;
      }
      const ended = Math.min(this.slot, Math.floor(((old + 1) * slotMs) / this.slotMs));
      if (ended > this.slot - RING) {
        const count = retries[old % RING] as number;
        add(this.retries, ended, count);
        this.retriesSum += count;
      }
    }
  }
}

function add(slots: number[], slot: number, count: number): void {
  slots[slot % RING] = (slots[slot % RING] as number) + count;
}
