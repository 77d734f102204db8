// What an operator says of a circuit breaker.

import type { Static } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { ERROR_MATCH } from '../../engine/error-match.js';

/** Longest time that a breaker can be open at a stretch: an hour. Who wants more isolates it by hand. */
export const MAX_BREAK_MS = 3_600_000;
/** Most calls that a count window holds. Each is a byte, for each key that has failed. */
export const MAX_WINDOW_SIZE = 10_000;

const FAILURE_RATE = Type.Number({
  minimum: 0.001,
  maximum: 1,
  default: 0.5,
  description: 'share of the calls of the window that have to fail for it to open',
});
const MINIMUM_THROUGHPUT = Type.Integer({
  minimum: 1,
  maximum: 1_000_000,
  default: 10,
  description: 'calls that the window has to hold before it is judged',
});

/** Schema of {@link ConsecutiveWindowOptions}. */
export const CONSECUTIVE_WINDOW = Type.Object(
  {
    kind: Type.Literal('consecutive'),
    failures: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 5,
      description: 'failures in a row that open it',
    }),
  },
  { additionalProperties: false, description: 'looks at the failures since the last success' },
);

/** Schema of {@link CountWindowOptions}. */
export const COUNT_WINDOW = Type.Object(
  {
    kind: Type.Literal('count'),
    size: Type.Integer({
      minimum: 1,
      maximum: MAX_WINDOW_SIZE,
      default: 100,
      description: 'calls that are looked at: the last ones',
    }),
    failureRate: FAILURE_RATE,
    minimumThroughput: MINIMUM_THROUGHPUT,
  },
  { additionalProperties: false, description: 'looks at the last calls' },
);

/** Schema of {@link TimeWindowOptions}. */
export const TIME_WINDOW = Type.Object(
  {
    kind: Type.Literal('time'),
    durationMs: Type.Integer({
      minimum: 10,
      maximum: 86_400_000,
      default: 60_000,
      description: 'how far back calls are looked at, in ms, to a tenth of it',
    }),
    failureRate: FAILURE_RATE,
    minimumThroughput: MINIMUM_THROUGHPUT,
  },
  { additionalProperties: false, description: 'looks at the calls of a time' },
);

/** Opens after so many failures in a row. */
export type ConsecutiveWindowOptions = Static<typeof CONSECUTIVE_WINDOW>;
/** Opens when enough of the last calls failed. */
export type CountWindowOptions = Static<typeof COUNT_WINDOW>;
/** Opens when enough of the calls of a time failed. */
export type TimeWindowOptions = Static<typeof TIME_WINDOW>;
/** What a closed breaker looks at to see whether it should open. */
export type WindowOptions = ConsecutiveWindowOptions | CountWindowOptions | TimeWindowOptions;

/** Schema of {@link CircuitBreakerOptions}. */
export const CIRCUIT_BREAKER_OPTIONS = Type.Object(
  {
    type: Type.Literal('circuit-breaker'),
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'tells two breakers of one policy apart' }),
    ),
    dryRun: Type.Boolean({ default: false, description: 'counts what it would refuse, and refuses nothing' }),
    window: Type.Union([CONSECUTIVE_WINDOW, COUNT_WINDOW, TIME_WINDOW], {
      default: { kind: 'consecutive', failures: 5 },
      description: 'what it looks at while it is closed',
    }),
    breakMs: Type.Integer({
      minimum: 1,
      maximum: MAX_BREAK_MS,
      default: 30_000,
      description: 'how long it stays open before it lets a probe through, in ms',
    }),
    halfOpenProbes: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      default: 1,
      description: 'probes that are under way at once at most while it is half-open; see maxProbeMs',
    }),
    maxProbeMs: Type.Integer({
      minimum: 0,
      maximum: 86_400_000,
      default: 60_000,
      description:
        'how long a probe keeps its place from others, in ms; then one more may be made beside it, and what comes first counts; 0: until it ends, so a timeout belongs inside',
    }),
    successesToClose: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      default: 1,
      description: 'probes that have to succeed, with none failing, for it to close',
    }),
    slowCallMs: Type.Integer({
      minimum: 0,
      maximum: 86_400_000,
      default: 0,
      description: 'a call that took so long is slow; 0: no call is',
    }),
    slowRate: Type.Number({
      minimum: 0.001,
      maximum: 1,
      default: 1,
      description:
        'share of slow calls in the window that opens it; in a row of failures a slow call counts as a failure',
    }),
    handle: Type.Union([ERROR_MATCH], {
      default: {},
      description: 'errors that are failures; default: all of the action, and timeouts',
    }),
    share: Type.Boolean({
      default: true,
      description: 'tells other nodes, and hears from them, when it opens',
    }),
  },
  { additionalProperties: false },
);

/** Options of a circuit breaker. */
export type CircuitBreakerOptions = Static<typeof CIRCUIT_BREAKER_OPTIONS>;
