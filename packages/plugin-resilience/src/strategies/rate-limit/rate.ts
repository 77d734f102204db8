// The rate that is in force for all keys of a rate limit, in the form that the meters reckon with.

import type { RateLimitOptions } from './rate-limit-options.js';

/**
 * What clocks and sums of fractions may be wrong by: a nanosecond. Without it a call that comes back exactly when it was
 * told to could be turned away again because of the last binary digit.
 */
export const SLACK_MS = 1e-6;

/** A rate, since the moment from which it is in force. */
export interface Rate {
  readonly algorithm: RateLimitOptions['algorithm'];
  readonly limit: number;
  readonly perMs: number;
  readonly burst: number;
  /** Tokens that come in a millisecond. */
  readonly refill: number;
  /** Since when it is in force. */
  readonly since: number;
  /**
   * Tokens that had come until then, to a bucket that is never full. So a key that was not used while the rate changed
   * many times is reckoned in one step, and no change needs to visit all keys.
   */
  readonly cameBefore: number;
}

/** The rate that `options` ask for from `now` on. `previous`: the one until now. */
export function rateOf(options: RateLimitOptions, now: number, previous: Rate | undefined): Rate {
  const { algorithm, limit, perMs } = options;
  return {
    algorithm,
    limit,
    perMs,
    burst: options.burst === 0 ? limit : options.burst,
    refill: limit / perMs,
    since: now,
    cameBefore: previous === undefined ? 0 : tokensBy(previous, now),
  };
}

/** Tokens that have come by `now`, to a bucket that is never full, while `rate` is in force. */
export function tokensBy(rate: Rate, now: number): number {
  return rate.cameBefore + (now - rate.since) * rate.refill;
}

/** How far one key has used its rate up. The rate may be another one at each use: what was used stays used. */
export interface Meter {
  readonly algorithm: RateLimitOptions['algorithm'];
  /** Milliseconds until the `nth` call from now may begin, if those before it begin as soon as they may; 0: now. */
  wait(nth: number, rate: Rate, now: number): number;
  /** A call begins, whether it may or not. */
  take(rate: Rate, now: number): void;
  /** Calls that may begin now. */
  free(rate: Rate, now: number): number;
  /** Whether it is as a new one is. */
  unused(rate: Rate, now: number): boolean;
}
