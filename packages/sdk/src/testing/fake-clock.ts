// A clock that a test turns by hand. Timers fire in the order of their due times, and in the order they were set
// when those are equal.

import type { Clock, TimerHandle } from '../time/index.js';

// Taken when the module loads, so that a test which replaces the globals does not stop this clock.
const realSetImmediate = setImmediate;

/** A run of this many timers in one call is taken for an endless loop (a timer that sets itself with no delay). */
const MAX_FIRED = 1_000_000;

interface FakeTimer {
  due: number;
  readonly order: number;
  readonly callback: () => void;
  readonly periodMs: number | undefined;
  cancelled: boolean;
}

/** A timer that has not fired. */
export interface PendingTimer {
  /** Value of `now()` at which it fires. */
  readonly due: number;
  readonly kind: 'timeout' | 'interval';
}

/** Options of a {@link FakeClock}. */
export interface FakeClockOptions {
  /** First value of `now()`, in ms. Default 0. */
  readonly now?: number;
  /** First value of `wallTime()`, in ms since 1970 UTC. Default 2024-01-01T00:00:00Z. */
  readonly wallTime?: number;
}

/** A {@link Clock} whose time passes only when a test says so. */
export class FakeClock implements Clock {
  private time: number;
  private wallOffset: number;
  private sequence = 0;
  private readonly timers = new Set<FakeTimer>();

  constructor(options: FakeClockOptions = {}) {
    this.time = options.now ?? 0;
    this.wallOffset = (options.wallTime ?? Date.UTC(2024, 0, 1)) - this.time;
  }

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return this.time + this.wallOffset;
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    return this.arm(callback, delayMs, undefined);
  }

  setInterval(callback: () => void, periodMs: number): TimerHandle {
    const period = Math.max(1, periodMs);
    return this.arm(callback, period, period);
  }

  /** The real one: what is due at once needs no time to pass. {@link settle} and `advanceAsync` let it run. */
  setImmediate(callback: () => void): TimerHandle {
    const immediate = realSetImmediate(callback);
    return { cancel: () => clearImmediate(immediate) };
  }

  /** Steps the wall clock, as NTP or an operator does; monotonic time and timers do not notice. */
  stepWallTime(byMs: number): void {
    this.wallOffset += byMs;
  }

  /** The timers that have not fired, soonest first. Empty when nothing leaks. */
  pendingTimers(): readonly PendingTimer[] {
    return [...this.timers]
      .sort(byDue)
      .map((timer) => ({ due: timer.due, kind: timer.periodMs === undefined ? 'timeout' : 'interval' }));
  }

  /**
   * Lets `ms` pass and fires each timer that comes due, at its own time. What a callback throws comes out of here,
   * with the time standing where it was thrown.
   */
  advance(ms: number): void {
    const end = this.time + Math.max(0, ms);
    for (let fired = 0; this.fireNext(end); fired++) guard(fired);
    this.time = end;
  }

  /**
   * As {@link advance}, but before the first timer, between timers and after the last one, promises and immediates
   * get to run, so that what awaits a timer can set the next.
   */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.time + Math.max(0, ms);
    await settle();
    for (let fired = 0; this.fireNext(end); fired++) {
      guard(fired);
      await settle();
    }
    this.time = end;
    await settle();
  }

  private arm(callback: () => void, delayMs: number, periodMs: number | undefined): TimerHandle {
    // A delay that is not a number is no delay, as in Node.
    const due = this.time + (delayMs > 0 ? delayMs : 0);
    const timer: FakeTimer = { due, order: this.sequence++, callback, periodMs, cancelled: false };
    this.timers.add(timer);
    return {
      cancel: () => {
        timer.cancelled = true;
        this.timers.delete(timer);
      },
    };
  }

  private fireNext(end: number): boolean {
    let next: FakeTimer | undefined;
    for (const timer of this.timers) {
      if (timer.due <= end && (next === undefined || byDue(timer, next) < 0)) next = timer;
    }
    if (next === undefined) return false;
    this.time = Math.max(this.time, next.due);
    if (next.periodMs === undefined) this.timers.delete(next);
    else next.due += next.periodMs;
    next.callback();
    return true;
  }
}

/**
 * Lets everything that can go on without time passing go on: promises, and two rounds of immediates (the bus
 * delivers in one, and what a handler publishes in the next).
 */
export async function settle(): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await new Promise<void>((resolve) => {
      realSetImmediate(resolve);
    });
  }
}

function byDue(a: FakeTimer, b: FakeTimer): number {
  return a.due - b.due || a.order - b.order;
}

function guard(fired: number): void {
  if (fired >= MAX_FIRED) {
    throw new Error(`${MAX_FIRED} timers fired in one advance: a timer sets itself again with no delay`);
  }
}
