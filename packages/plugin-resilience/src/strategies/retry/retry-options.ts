// What can be set of a retry.

import { Type } from '@datawarehouse/sdk';
import type { Static } from '@datawarehouse/sdk';
import { ERROR_MATCH } from '../../engine/error-match.js';
import { commonOptions } from '../common-options.js';

/** A wait of more than a day is no retry. */
const MAX_MS = 86_400_000;

/** Schema of {@link RetryBudgetOptions}. */
export const RETRY_BUDGET_OPTIONS = Type.Object(
  {
    ratio: Type.Optional(
      Type.Number({
        default: 0.2,
        minimum: 0,
        maximum: 100,
        description: 'retries for each first attempt of the last windowMs',
      }),
    ),
    minPerSecond: Type.Optional(
      Type.Number({
        default: 10,
        minimum: 0,
        maximum: 1_000_000,
        description:
          'retries a second of the window that are allowed in any case, so that few calls may be retried',
      }),
    ),
    windowMs: Type.Optional(
      Type.Integer({
        default: 10_000,
        minimum: 100,
        maximum: 3_600_000,
        description: 'ms that are looked back',
      }),
    ),
  },
  { additionalProperties: false, description: 'how many retries all calls of the policy may make together' },
);

/** How many retries all keys of a policy may make together. Default: 0.2 of the first attempts, and 10 a second. */
export type RetryBudgetOptions = Static<typeof RETRY_BUDGET_OPTIONS>;

/** Schema of {@link RetryOptions}. */
export const RETRY_OPTIONS = Type.Object(
  {
    ...commonOptions('retry'),
    maxRetries: Type.Integer({
      default: 3,
      minimum: 0,
      maximum: 1_000,
      description: 'retries after the first attempt: 3 make four attempts at most',
    }),
    backoff: Type.Union(
      [
        Type.Literal('fixed'),
        Type.Literal('linear'),
        Type.Literal('exponential'),
        Type.Literal('decorrelated-jitter'),
      ],
      { default: 'exponential', description: 'how waits grow from retry to retry' },
    ),
    baseDelayMs: Type.Number({
      default: 200,
      minimum: 0,
      maximum: MAX_MS,
      description: 'the first wait, in ms',
    }),
    maxDelayMs: Type.Number({
      default: 30_000,
      minimum: 0,
      maximum: MAX_MS,
      description: 'no wait is longer',
    }),
    factor: Type.Number({
      default: 2,
      minimum: 1,
      maximum: 100,
      description: 'what each wait of the exponential backoff is the former one times',
    }),
    jitter: Type.Number({
      default: 0.5,
      minimum: 0,
      maximum: 1,
      description:
        'share by which a wait is made longer or shorter at random; not used by decorrelated-jitter',
    }),
    handle: Type.Object(ERROR_MATCH.properties, {
      additionalProperties: false,
      default: {},
      description: 'which errors are tried again',
    }),
    respectRetryAfter: Type.Boolean({
      default: true,
      description: 'waits at least as long as the error says (retryAfterMs, or a Retry-After header)',
    }),
    maxRetryAfterMs: Type.Number({
      default: 60_000,
      minimum: 0,
      maximum: MAX_MS,
      description: 'what an error says counts up to here',
    }),
    budget: Type.Union([RETRY_BUDGET_OPTIONS, Type.Null(), Type.Literal(false)], {
      default: {},
      description: 'how many retries all calls of the policy may make together; null or false: any number',
    }),
  },
  { additionalProperties: false },
);

/** Options of a retry. */
export type RetryOptions = Static<typeof RETRY_OPTIONS>;
