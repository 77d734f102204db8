// The attempts of one call that is hedged, and the deadline after which the next one begins.

import type { Call } from '../../engine/call.js';
import { Deadline } from '../../engine/deadline-queue.js';

/** Hears that an attempt has taken long enough for the next one to begin. */
export interface HedgeRunOwner {
  takesLong(run: HedgeRun): void;
}

const NONE: readonly Call[] = [];

/** One entry of a call into a hedge. */
export class HedgeRun extends Deadline {
  /** Attempts begun beyond the first. Never more than `maxHedges`. */
  hedges = 0;
  /** Whether the call itself makes an attempt; otherwise it waits for its forks. */
  inside = true;
  /** The outcome is known, or nobody wants it. Nothing begins any more. */
  over = false;
  /** The forks that have no outcome yet. */
  private live: Call[] | undefined = undefined;

  constructor(
    private readonly owner: HedgeRunOwner,
    readonly call: Call,
    readonly at: number,
  ) {
    super();
  }

  passed(): void {
    this.owner.takesLong(this);
  }

  /** Attempts that forks make now. */
  get forks(): number {
    return this.live?.length ?? 0;
  }

  add(fork: Call): void {
    (this.live ??= []).push(fork);
  }

  /** A fork has its outcome. @returns false when nobody waited for it any more. */
  remove(fork: Call): boolean {
    const place = this.live?.indexOf(fork) ?? -1;
    if (place < 0) return false;
    this.live?.splice(place, 1);
    return true;
  }

  /** Ends it: nothing begins any more. @returns the forks that are to be given up. */
  finish(): readonly Call[] {
    this.over = true;
    this.clear();
    const forks = this.live ?? NONE;
    this.live = undefined;
    return forks;
  }
}
