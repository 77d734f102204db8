// How long a retry waits.

import type { RetryOptions } from './retry-options.js';

/** What {@link backoffMs} looks at. */
export type BackoffOptions = Pick<
  RetryOptions,
  'backoff' | 'baseDelayMs' | 'maxDelayMs' | 'factor' | 'jitter'
>;

/**
 * The wait before retry number `retry` (from 1), in ms: never below 0, never above `maxDelayMs`, always a number, however
 * fast it grows.
 *
 * `decorrelated-jitter` is the formula of the AWS Architecture Blog, "Exponential Backoff And Jitter" (M. Brooker, 2015):
 * `min(cap, random_between(base, previous * 3))`.
 * @param previousMs The wait before the retry before; the base for the first.
 */
export function backoffMs(
  options: BackoffOptions,
  retry: number,
  previousMs: number,
  random: () => number,
): number {
  const { baseDelayMs: base, maxDelayMs: cap, jitter } = options;
  if (options.backoff === 'decorrelated-jitter') {
    const top = Math.max(base, previousMs * 3);
    return Math.min(cap, base + (top - base) * random());
  }
  const grown = Math.min(cap, grownMs(options, retry));
  const spread = jitter === 0 ? grown : grown * (1 - jitter + 2 * jitter * random());
  return Math.min(cap, spread);
}

function grownMs({ backoff, baseDelayMs, factor }: BackoffOptions, retry: number): number {
  // Nothing times infinity is no number.
  if (baseDelayMs === 0) return 0;
  if (backoff === 'linear') return baseDelayMs * retry;
  if (backoff === 'exponential') return baseDelayMs * factor ** (retry - 1);
  return baseDelayMs;
}
