// What can be set of a hedge.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { ERROR_MATCH } from '../../engine/error-match.js';
import { commonOptions } from '../common-options.js';

/** Schema of {@link HedgeOptions}. */
export const HEDGE_OPTIONS = Type.Object(
  {
    ...commonOptions('hedge'),
    delayMs: Type.Integer({
      default: 1_000,
      minimum: 0,
      maximum: 3_600_000,
      description: 'ms without an answer after which one more attempt begins; 0: all at once',
    }),
    maxHedges: Type.Integer({
      default: 1,
      minimum: 0,
      maximum: 10,
      description: 'attempts of one call beyond the first',
    }),
    handle: Type.Object(ERROR_MATCH.properties, {
      additionalProperties: false,
      default: {},
      description:
        'an attempt that fails with these lets the next begin at once; any other error is the outcome',
    }),
  },
  { additionalProperties: false },
);

/** Options of a hedge. */
export type HedgeOptions = Static<typeof HEDGE_OPTIONS>;
