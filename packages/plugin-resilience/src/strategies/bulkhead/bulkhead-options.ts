// What can be set of a bulkhead.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

/** Schema of {@link BulkheadOptions}. */
export const BULKHEAD_OPTIONS = Type.Object(
  {
    ...commonOptions('bulkhead'),
    concurrency: Type.Integer({
      default: 10,
      minimum: 1,
      maximum: 100_000,
      description: 'calls of one key that may be under way at once',
    }),
    queue: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 100_000,
      description: 'calls of one key that may wait for a place; more are turned away',
    }),
    queueTimeoutMs: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 3_600_000,
      description: 'ms that a call may wait for a place, judged by what was set when it came; 0: for ever',
    }),
  },
  { additionalProperties: false },
);

/** Options of a bulkhead. */
export type BulkheadOptions = Static<typeof BULKHEAD_OPTIONS>;
