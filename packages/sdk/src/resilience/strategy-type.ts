// The names that strategies have in documents, events and errors.

/** The strategies that a policy is made of. */
export type ResilienceStrategyType =
  | 'adaptive-concurrency'
  | 'bulkhead'
  | 'chaos'
  | 'circuit-breaker'
  | 'coalesce'
  | 'fallback'
  | 'hedge'
  | 'rate-limit'
  | 'retry'
  | 'timeout';
