// The strategies that a policy document may name, with the schema of the options of each.

import type { TSchema } from '@datawarehouse/sdk';
import type { StrategyType } from '../engine/layer.js';
import { ADAPTIVE_CONCURRENCY_OPTIONS } from '../strategies/adaptive-concurrency/adaptive-concurrency-options.js';
import { BULKHEAD_OPTIONS } from '../strategies/bulkhead/bulkhead-options.js';
import { CHAOS_OPTIONS } from '../strategies/chaos/chaos-options.js';
import { CIRCUIT_BREAKER_OPTIONS } from '../strategies/circuit-breaker/circuit-breaker-options.js';
import { COALESCE_OPTIONS } from '../strategies/coalesce/coalesce-options.js';
import { FALLBACK_OPTIONS } from '../strategies/fallback/fallback-options.js';
import { HEDGE_OPTIONS } from '../strategies/hedge/hedge-options.js';
import { RATE_LIMIT_OPTIONS } from '../strategies/rate-limit/rate-limit-options.js';
import { RETRY_OPTIONS } from '../strategies/retry/retry-options.js';
import { TIMEOUT_OPTIONS } from '../strategies/timeout/timeout-options.js';

/** Schemas by type of strategy. Each gives every option its default, so that a document need only name the type. */
export type StrategySchemas = Readonly<Partial<Record<StrategyType, TSchema>>>;

/** The strategies there are. */
export const STRATEGY_SCHEMAS: StrategySchemas = {
  'adaptive-concurrency': ADAPTIVE_CONCURRENCY_OPTIONS,
  bulkhead: BULKHEAD_OPTIONS,
  chaos: CHAOS_OPTIONS,
  'circuit-breaker': CIRCUIT_BREAKER_OPTIONS,
  coalesce: COALESCE_OPTIONS,
  fallback: FALLBACK_OPTIONS,
  hedge: HEDGE_OPTIONS,
  'rate-limit': RATE_LIMIT_OPTIONS,
  retry: RETRY_OPTIONS,
  timeout: TIMEOUT_OPTIONS,
};
