// What can be set of an adaptive limit of concurrency.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

const limit = (preset: number, description: string) =>
  Type.Integer({ default: preset, minimum: 1, maximum: 100_000, description });

/** Schema of {@link AdaptiveConcurrencyOptions}. */
export const ADAPTIVE_CONCURRENCY_OPTIONS = Type.Object(
  {
    ...commonOptions('adaptive-concurrency'),
    initial: limit(20, 'calls of a key that may be under way at once until something was learned about it'),
    min: limit(2, 'the limit is never lower'),
    max: limit(512, 'the limit is never higher; one that is below `min` counts as `min`'),
    targetLatencyMs: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 3_600_000,
      description:
        'ms that calls may take on average: the limit is lowered above it and raised below; 0: compared with what calls take without load, which is measured',
    }),
    queue: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 100_000,
      description: 'calls of one key that may wait for a place; more are turned away',
    }),
  },
  { additionalProperties: false },
);

/** Options of an adaptive limit of concurrency. */
export type AdaptiveConcurrencyOptions = Static<typeof ADAPTIVE_CONCURRENCY_OPTIONS>;
