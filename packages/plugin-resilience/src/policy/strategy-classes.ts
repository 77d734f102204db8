// The classes of the strategies that ship. Those of STRATEGY_SCHEMAS and no others: a test sees to it.

import { AdaptiveConcurrencyStrategy } from '../strategies/adaptive-concurrency/adaptive-concurrency-strategy.js';
import { BulkheadStrategy } from '../strategies/bulkhead/bulkhead-strategy.js';
import { ChaosStrategy } from '../strategies/chaos/chaos-strategy.js';
import { CircuitBreakerStrategy } from '../strategies/circuit-breaker/circuit-breaker-strategy.js';
import { CoalesceStrategy } from '../strategies/coalesce/coalesce-strategy.js';
import { FallbackStrategy } from '../strategies/fallback/fallback-strategy.js';
import { HedgeStrategy } from '../strategies/hedge/hedge-strategy.js';
import { RateLimitStrategy } from '../strategies/rate-limit/rate-limit-strategy.js';
import { RetryStrategy } from '../strategies/retry/retry-strategy.js';
import { TimeoutStrategy } from '../strategies/timeout/timeout-strategy.js';
import type { StrategyTable } from './strategy-table.js';

/** The strategies that ship. */
export const STRATEGY_CLASSES: StrategyTable = {
  'adaptive-concurrency': AdaptiveConcurrencyStrategy,
  bulkhead: BulkheadStrategy,
  chaos: ChaosStrategy,
  'circuit-breaker': CircuitBreakerStrategy,
  coalesce: CoalesceStrategy,
  fallback: FallbackStrategy,
  hedge: HedgeStrategy,
  'rate-limit': RateLimitStrategy,
  retry: RetryStrategy,
  timeout: TimeoutStrategy,
};
