// The strategies that a policy document may name, with the schema of the options of each. A strategy is added here once
// its options have one.

import type { TSchema } from '@datawarehouse/sdk';
import type { StrategyType } from '../engine/layer.js';
import { BULKHEAD_OPTIONS } from '../strategies/bulkhead/bulkhead-options.js';
import { CIRCUIT_BREAKER_OPTIONS } from '../strategies/circuit-breaker/circuit-breaker-options.js';

/** Schemas by type of strategy. Each gives every option its default, so that a document need only name the type. */
export type StrategySchemas = Readonly<Partial<Record<StrategyType, TSchema>>>;

/** The strategies there are. */
export const STRATEGY_SCHEMAS: StrategySchemas = {
  bulkhead: BULKHEAD_OPTIONS,
  'circuit-breaker': CIRCUIT_BREAKER_OPTIONS,
};
