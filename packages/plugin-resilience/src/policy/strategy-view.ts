// What of the strategies' options decides how they work together: what the linter and the worst case are made of. The
// options of every strategy fit here; the tests of the schemas see to it.

import type { ErrorMatch } from '../engine/error-match.js';

interface Common<Type extends string> {
  readonly type: Type;
  readonly name?: string;
  readonly dryRun?: boolean;
}

/** A retry. */
export interface RetryView extends Common<'retry'> {
  readonly maxRetries: number;
  readonly backoff: 'fixed' | 'linear' | 'exponential' | 'decorrelated-jitter';
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  readonly factor: number;
  readonly jitter: number;
  readonly handle: ErrorMatch;
  readonly respectRetryAfter: boolean;
  readonly maxRetryAfterMs: number;
  readonly budget: object | null | false;
}

/** A circuit breaker. */
export interface CircuitBreakerView extends Common<'circuit-breaker'> {
  readonly breakMs: number;
  readonly maxProbeMs: number;
  readonly slowCallMs: number;
  readonly handle: ErrorMatch;
}

/** A timeout. */
export interface TimeoutView extends Common<'timeout'> {
  readonly timeoutMs: number;
  readonly mode: 'aggressive' | 'cooperative';
}

/** A bulkhead. */
export interface BulkheadView extends Common<'bulkhead'> {
  readonly concurrency: number;
  readonly queue: number;
  readonly queueTimeoutMs: number;
}

/** A rate limit. */
export interface RateLimitView extends Common<'rate-limit'> {
  readonly limit: number;
  readonly perMs: number;
  readonly queue: number;
  readonly maxWaitMs: number;
}

/** An adaptive limit of concurrency. */
export interface AdaptiveConcurrencyView extends Common<'adaptive-concurrency'> {
  readonly min: number;
  readonly max: number;
  readonly queue: number;
}

/** A hedge. */
export interface HedgeView extends Common<'hedge'> {
  readonly delayMs: number;
  readonly maxHedges: number;
  readonly handle: ErrorMatch;
}

/** A fallback. */
export interface FallbackView extends Common<'fallback'> {
  readonly handle: ErrorMatch;
}

/** Coalescing of equal calls. */
export type CoalesceView = Common<'coalesce'>;

/** Chaos. */
export interface ChaosView extends Common<'chaos'> {
  readonly enabled: boolean;
  readonly faultRate: number;
  readonly latencyRate: number;
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  readonly resultRate: number;
}

/** Any strategy. */
export type StrategyView =
  | AdaptiveConcurrencyView
  | BulkheadView
  | ChaosView
  | CircuitBreakerView
  | CoalesceView
  | FallbackView
  | HedgeView
  | RateLimitView
  | RetryView
  | TimeoutView;
