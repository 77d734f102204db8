// The most that one call under a policy can cost: attempts, and time. Reckoned from the inside out, each strategy from
// what is inside of it. An upper bound that holds for every call, and not an estimate of what is usual.

import type { RetryView, StrategyView } from './strategy-view.js';

/** What one call can cost at most. */
export interface WorstCase {
  /** Times that the action is begun. */
  readonly attempts: number;
  /** Milliseconds until the caller has an outcome; `Infinity` where nothing bounds them. */
  readonly timeMs: number;
  /** Why it is unbounded; undefined when it is not. */
  readonly unbounded: string | undefined;
}

/** How the worst case is reckoned. */
export interface WorstCaseOptions {
  /** Whether every refusal comes with the longest `Retry-After` that is heeded. Default true. */
  readonly serverHints?: boolean;
}

/** The action alone: nothing is known of how long it takes. */
const ACTION: WorstCase = {
  attempts: 1,
  timeMs: Infinity,
  unbounded: 'nothing bounds the time that the action takes',
};

/** The row of worst cases: of the call as each strategy sees it, outermost first; the last one is the bare action. */
export function worstCases(
  strategies: readonly StrategyView[],
  options: WorstCaseOptions = {},
): readonly WorstCase[] {
  const row: WorstCase[] = [ACTION];
  for (const strategy of strategies.toReversed()) {
    const inside = row.at(-1) ?? ACTION;
    row.push(strategy.dryRun === true ? inside : around(strategy, inside, options));
  }
  return row.reverse();
}

/** The longest that a retry waits between all its attempts together, in ms. */
export function longestBackoffsMs(retry: RetryView, options: WorstCaseOptions = {}): number {
  const hinted = retry.respectRetryAfter && options.serverHints !== false ? retry.maxRetryAfterMs : 0;
  let sum = 0;
  for (let n = 0; n < retry.maxRetries; n++) sum += Math.max(longestBackoffMs(retry, n), hinted);
  return sum;
}

/** The longest wait before retry `n` (from 0), by the backoff alone. */
export function longestBackoffMs(retry: RetryView, n: number): number {
  const { baseDelayMs, factor, jitter, maxDelayMs } = retry;
  // Nothing times infinity is no number.
  if (baseDelayMs === 0) return 0;
  switch (retry.backoff) {
    case 'fixed':
      return Math.min(maxDelayMs, baseDelayMs * (1 + jitter));
    case 'linear':
      return Math.min(maxDelayMs, baseDelayMs * (n + 1) * (1 + jitter));
    case 'exponential':
      return Math.min(maxDelayMs, baseDelayMs * factor ** n * (1 + jitter));
    case 'decorrelated-jitter':
      // Each is at most three times the one before.
      return Math.min(maxDelayMs, baseDelayMs * 3 ** (n + 1));
  }
}

function around(strategy: StrategyView, inside: WorstCase, options: WorstCaseOptions): WorstCase {
  switch (strategy.type) {
    case 'timeout':
      // A cooperative one only tells the action that its time is over.
      if (strategy.mode === 'cooperative' || strategy.timeoutMs >= inside.timeMs) return inside;
      return { ...inside, timeMs: strategy.timeoutMs, unbounded: undefined };
    case 'retry': {
      const times = strategy.maxRetries + 1;
      return {
        ...inside,
        attempts: inside.attempts * times,
        timeMs: inside.timeMs * times + longestBackoffsMs(strategy, options),
      };
    }
    case 'hedge':
      return {
        ...inside,
        attempts: inside.attempts * (strategy.maxHedges + 1),
        timeMs: inside.timeMs + strategy.maxHedges * strategy.delayMs,
      };
    case 'bulkhead':
      return waiting(inside, strategy.queue, strategy.queueTimeoutMs || Infinity, strategy);
    case 'adaptive-concurrency':
      return waiting(inside, strategy.queue, Infinity, strategy);
    case 'rate-limit':
      return waiting(inside, strategy.queue, strategy.maxWaitMs, strategy);
    case 'chaos':
      return strategy.enabled && strategy.latencyRate > 0
        ? { ...inside, timeMs: inside.timeMs + Math.max(strategy.latencyMinMs, strategy.latencyMaxMs) }
        : inside;
    case 'circuit-breaker':
    case 'fallback':
    case 'coalesce':
      return inside;
  }
}

function waiting(inside: WorstCase, queue: number, waitMs: number, strategy: StrategyView): WorstCase {
  if (queue === 0) return inside;
  if (waitMs === Infinity && inside.unbounded === undefined) {
    const name = strategy.name ?? strategy.type;
    return { ...inside, timeMs: Infinity, unbounded: `nothing bounds the time that a call waits in ${name}` };
  }
  return { ...inside, timeMs: inside.timeMs + waitMs };
}
