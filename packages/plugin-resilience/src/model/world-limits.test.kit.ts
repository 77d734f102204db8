// The limits of the policy in a small world: drawn at random, and as a document.

/** Which strategy stands next to the action, where what it lets in can be seen without anything between. */
export type Innermost = 'circuit-breaker' | 'bulkhead' | 'rate-limit';

/** Span of the rate limit. */
export const RATE_MS = 100;
/** Window of the retry budget. */
export const BUDGET_MS = 2_000;
/** No call may take longer. */
export const LONGEST_MS = 600;

/** What is changed while the policy is used. */
export interface Limits {
  readonly totalMs: number;
  readonly eachMs: number;
  readonly maxRetries: number;
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly failures: number;
  readonly breakMs: number;
  readonly halfOpenProbes: number;
  readonly successesToClose: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly queueTimeoutMs: number;
  readonly rate: number;
  readonly fallback: boolean;
}

/** Limits drawn at random. */
export function drawLimits(random: () => number): Limits {
  const below = (n: number): number => Math.floor(random() * n);
  return {
    totalMs: 200 + below(LONGEST_MS - 200),
    eachMs: 5 + below(90),
    maxRetries: below(4),
    ratio: below(4) / 10,
    minPerSecond: 1 + below(20),
    failures: 1 + below(4),
    breakMs: 5 + below(80),
    halfOpenProbes: 1 + below(3),
    successesToClose: 1 + below(3),
    concurrency: 1 + below(3),
    queue: below(4),
    queueTimeoutMs: below(3) * 20,
    rate: 2 + below(6),
    fallback: random() < 0.5,
  };
}

/** A policy with these limits. */
export function documentOf(limits: Limits, innermost: Innermost) {
  const timeout = { type: 'timeout', timeoutMs: limits.eachMs };
  const retry = {
    type: 'retry',
    maxRetries: limits.maxRetries,
    baseDelayMs: 8,
    budget: { ratio: limits.ratio, minPerSecond: limits.minPerSecond, windowMs: BUDGET_MS },
  };
  const gates = {
    'circuit-breaker': {
      type: 'circuit-breaker',
      window: { kind: 'consecutive', failures: limits.failures },
      breakMs: limits.breakMs,
      halfOpenProbes: limits.halfOpenProbes,
      successesToClose: limits.successesToClose,
    },
    bulkhead: {
      type: 'bulkhead',
      concurrency: limits.concurrency,
      queue: limits.queue,
      queueTimeoutMs: limits.queueTimeoutMs,
    },
    'rate-limit': {
      type: 'rate-limit',
      algorithm: 'sliding-window',
      limit: limits.rate,
      perMs: RATE_MS,
      queue: 4,
      maxWaitMs: 150,
    },
  };
  const { [innermost]: last, ...others } = gates;
  const outside = Object.values(others);
  const total = { type: 'timeout', name: 'total', timeoutMs: limits.totalMs };
  const fallback = limits.fallback
    ? [{ type: 'fallback', value: 'instead', handle: { rejections: ['bulkhead'] } }]
    : [];
  const row =
    innermost === 'circuit-breaker'
      ? [total, ...fallback, ...outside, retry, last, timeout]
      : [total, ...fallback, retry, ...outside, last, timeout];
  return { name: 'p', strategies: row };
}
