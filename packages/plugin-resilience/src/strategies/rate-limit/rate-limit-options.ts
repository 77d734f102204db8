// What can be set of a rate limit.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { commonOptions } from '../common-options.js';

/** Schema of {@link RateLimitOptions}. */
export const RATE_LIMIT_OPTIONS = Type.Object(
  {
    ...commonOptions('rate-limit'),
    algorithm: Type.Union([Type.Literal('token-bucket'), Type.Literal('sliding-window')], {
      default: 'token-bucket',
      description:
        'token-bucket: `limit` in `perMs` on average, up to `burst` at once; sliding-window: never more than `limit` in any `perMs`',
    }),
    limit: Type.Integer({
      default: 100,
      minimum: 1,
      maximum: 1_000_000,
      description: 'calls of one key that may begin in `perMs`',
    }),
    perMs: Type.Integer({
      default: 1_000,
      minimum: 1,
      maximum: 86_400_000,
      description: 'ms that `limit` is for',
    }),
    burst: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 1_000_000,
      description:
        'calls that may begin at once after a quiet time, of a token bucket; 0: as many as `limit`',
    }),
    maxWaitMs: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 3_600_000,
      description:
        'a call waits if its turn comes within so many ms, and is turned away otherwise; 0: no call waits',
    }),
    queue: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 100_000,
      description: 'calls of one key that may wait for their turn; more are turned away',
    }),
  },
  { additionalProperties: false },
);

/** Options of a rate limit. */
export type RateLimitOptions = Static<typeof RATE_LIMIT_OPTIONS>;
