// Two ways of not answering to noise: averages, and turning round only when the same is seen twice.

/**
 * The exponential moving average after `value`. The first value is the average: an average that begins at nought takes
 * the first hour of everything for an improvement.
 */
export function average(before: number | undefined, value: number, alpha: number): number {
  return before === undefined ? value : before + alpha * (value - before);
}

/** Which way a threshold moves. */
export type Direction = 'up' | 'down';

/** Which way a threshold has moved, and which way it was last said to. */
export interface Trend {
  readonly moved: Direction | undefined;
  readonly turning: Direction | undefined;
}

/** One that has not moved. */
export const AT_REST: Trend = Object.freeze({ moved: undefined, turning: undefined });

/**
 * Whether to follow `wanted`: at once in the direction of the last move; in another one, or for the first time, when it
 * is wanted twice in a row.
 */
export function follow(
  trend: Trend,
  wanted: Direction | undefined,
): { readonly trend: Trend; readonly move: Direction | undefined } {
  if (wanted === undefined) return { trend: { moved: trend.moved, turning: undefined }, move: undefined };
  if (wanted === trend.moved || wanted === trend.turning) {
    return { trend: { moved: wanted, turning: undefined }, move: wanted };
  }
  return { trend: { moved: trend.moved, turning: wanted }, move: undefined };
}
