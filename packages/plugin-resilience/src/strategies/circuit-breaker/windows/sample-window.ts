// What a closed breaker remembers of calls. A window is told of each call's outcome and holds as little as it can: no
// arrays before the first call that is not simply good, for most keys never see one.

import type { WindowOptions } from '../circuit-breaker-options.js';

/** What a call was like. Numbers, since a window keeps many of them: the bits of failed (1) and slow (2). */
export type Sample = 0 | 1 | 2 | 3;

/** A call that succeeded in time. */
export const GOOD: Sample = 0;
/** Bit of a call that failed. */
export const FAILED = 1;
/** Bit of a call that took too long. */
export const SLOW = 2;

/** When a window says that the breaker should open. */
export interface TripLimits {
  readonly slowRate: number;
}

/** Samples that were taken together. For moving them from one window to another. */
export interface SampleGroup {
  /** Monotonic ms at which they were taken, as near as is known; undefined where the window does not know. */
  readonly at: number | undefined;
  readonly good: number;
  readonly failed: number;
  readonly slow: number;
  /** Failed and slow. */
  readonly both: number;
}

/** How many calls a window remembers, and how many of them were bad. */
export interface SampleTotals {
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
}

/** What one closed breaker remembers. */
export interface SampleWindow {
  /** Takes a sample of now. */
  add(sample: Sample, now: number): void;
  /** Why it should open now, in words; undefined when it should not. Asked after a sample that is not good. */
  verdict(limits: TripLimits, now: number): string | undefined;
  /**
   * Goes on with other options, if they reach as far as the present ones: what it remembers stays exactly as it is.
   * @returns false, and nothing has changed, if they do not.
   */
  retune(options: WindowOptions): boolean;
  /** In numbers, for people. */
  totals(now: number): SampleTotals;
  /** Whether it remembers nothing but good calls. */
  clean(now: number): boolean;
  /**
   * What it remembers, oldest first, as far as it reaches back at `now`. Within a group the order is not known; where it
   * is, a group holds samples of one kind.
   */
  groups(now: number): readonly SampleGroup[];
}

/** The words for samples that make a breaker open. */
export function tripReason(
  total: number,
  failed: number,
  slow: number,
  failureRate: number,
  slowRate: number,
): string | undefined {
  if (failed > 0 && failed >= failureRate * total) return `${failed} of ${total} calls failed`;
  if (slow > 0 && slow >= slowRate * total) return `${slow} of ${total} calls were slow`;
  return undefined;
}

/** A group of equal samples. */
export function groupOf(sample: Sample, count: number, at: number | undefined): SampleGroup {
  return {
    at,
    good: sample === GOOD ? count : 0,
    failed: sample === FAILED ? count : 0,
    slow: sample === SLOW ? count : 0,
    both: sample === (FAILED | SLOW) ? count : 0,
  };
}

/** Samples of a group. */
export function groupSize(group: SampleGroup): number {
  return group.good + group.failed + group.slow + group.both;
}
