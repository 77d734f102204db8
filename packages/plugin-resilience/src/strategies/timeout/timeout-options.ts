// What can be set of a timeout.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

/** Schema of {@link TimeoutOptions}. */
export const TIMEOUT_OPTIONS = Type.Object(
  {
    ...commonOptions('timeout'),
    timeoutMs: Type.Integer({
      default: 30_000,
      minimum: 1,
      maximum: 86_400_000,
      description:
        'ms that what is inside may take: outside of a retry all attempts together, inside of it each one',
    }),
    mode: Type.Union([Type.Literal('aggressive'), Type.Literal('cooperative')], {
      default: 'aggressive',
      description:
        'aggressive: the caller has its answer when the time is over; cooperative: the action is told by its signal, and waited for',
    }),
  },
  { additionalProperties: false },
);

/** Options of a timeout. */
export type TimeoutOptions = Static<typeof TIMEOUT_OPTIONS>;
