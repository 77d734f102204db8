// Runs what has work in bounded slices, one a turn of the event loop, so that a flood of messages cannot keep timers
// and I/O from their turn. Everything that has work gets a share of each slice.

import { AsyncResource } from 'node:async_hooks';
import type { Clock } from '../time/index.js';

/** Something with work to do. */
export interface Drainable {
  /**
   * Does at most `budget` pieces of work, fewer when {@link DrainScheduler.expired} says so. Must not throw.
   * @returns how many pieces it did.
   */
  drain(budget: number): number;
  /** Whether it has more to do now. */
  readonly hasWork: boolean;
}

/** A slice ends after this long, so that a turn of the loop stays short even when handlers are slow. */
const SLICE_MS = 4;
/** Pieces of work that one drainable does before the next one gets its turn. */
const SHARE = 128;

/** Runs {@link Drainable}s fairly, in slices. */
export class DrainScheduler {
  private ready: Drainable[] = [];
  private scheduled = false;
  private deadline = 0;
  // The slice runs in the context that made the bus, not in that of whoever published first in this turn: else the
  // failures of one plugin's handlers would be put down to another.
  private readonly root = new AsyncResource('dw.bus');
  private readonly slice = (): void => this.root.runInAsyncScope(() => this.runSlice());

  /**
   * @param sliceLimit asked at each slice: pieces of work it may do.
   * @param afterSlice called when a slice has ended.
   */
  constructor(
    private readonly clock: Clock,
    private readonly sliceLimit: () => number,
    private readonly afterSlice: () => void,
  ) {}

  /** Gives `drainable` its turn soon. The caller adds it once, and again only after it ran without work left. */
  add(drainable: Drainable): void {
    this.ready.push(drainable);
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.slice);
  }

  /** Whether the slice has had its time. Reads the clock: ask every few pieces of work. */
  expired(): boolean {
    return this.clock.now() >= this.deadline;
  }

  private runSlice(): void {
    this.deadline = this.clock.now() + SLICE_MS;
    let left = this.sliceLimit();
    let index = 0;
    // `ready` grows while it is walked: what has work left, and what handlers make ready, goes to the end.
    while (left > 0 && index < this.ready.length && (index === 0 || !this.expired())) {
      const drainable = this.ready[index++];
      if (drainable === undefined) continue;
      left -= drainable.drain(Math.min(SHARE, left));
      if (drainable.hasWork) this.ready.push(drainable);
    }
    this.ready = index >= this.ready.length ? [] : this.ready.slice(index);
    this.scheduled = this.ready.length > 0;
    if (this.scheduled) setImmediate(this.slice);
    this.afterSlice();
  }
}
