// How long to wait before the next try: twice as long each time, up to a bound, and spread so that many clients that
// failed together do not come back together.

/** Waits between tries. */
export interface BackoffBounds {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** The wait before try `tries + 1`, after `tries` (from 1) have failed: between half and all of the doubled time. */
export function backoffMs(
  { firstMs, longestMs }: BackoffBounds,
  tries: number,
  random: () => number,
): number {
  const doubled = Math.min(longestMs, firstMs * 2 ** Math.min(tries - 1, 30));
  return doubled * (0.5 + 0.5 * random());
}
