// What an operator says of thresholds that move by themselves.

import type { Static } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';

const rate = (value: number, description: string) =>
  Type.Number({ minimum: 0, maximum: 1, default: value, description });
const factor = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Number({ minimum, maximum, default: value, description });
const whole = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, default: value, description });

/** Schema of {@link AdaptiveOptions}. */
export const ADAPTIVE_OPTIONS = Type.Object(
  {
    enabled: Type.Boolean({ default: false, description: 'moves thresholds at all' }),
    intervalMs: whole(30_000, 1_000, 3_600_000, 'how often thresholds are looked at, in ms'),
    minSamples: whole(10, 1, 100_000, 'calls of the window below which nothing is concluded'),
    emaAlpha: factor(0.3, 0.01, 1, 'weight of the newest window in the moving averages'),
    healthyErrorRate: rate(0.01, 'below this average error rate a breaker tolerates more'),
    criticalErrorRate: rate(0.05, 'above this average error rate a breaker tolerates less'),
    failuresUp: factor(1.1, 1, 10, 'factor of the failure threshold when healthy; rounded up'),
    failuresDown: factor(0.8, 0.1, 1, 'factor of the failure threshold when critical; rounded down'),
    minFailures: whole(2, 1, 1_000_000, 'lowest failure threshold, of breakers that count failures in a row'),
    maxFailures: whole(50, 1, 1_000_000, 'highest failure threshold'),
    fastRecoveryMs: whole(5_000, 1, 3_600_000, 'recovery below this is fast: the break becomes shorter'),
    slowRecoveryMs: whole(30_000, 1, 3_600_000, 'recovery above this is slow: the break becomes longer'),
    recoveryFactor: factor(2, 1, 10, 'break in relation to the measured recovery'),
    breakDown: factor(0.8, 0.1, 1, 'factor of the break when first probes succeed'),
    minBreakMs: whole(5_000, 1, 3_600_000, 'shortest break, in ms'),
    maxBreakMs: whole(120_000, 1, 3_600_000, 'longest break, in ms'),
    latencyDrop: rate(0.1, 'fall of the average P99 that raises concurrency'),
    latencyRise: factor(0.15, 0, 10, 'rise of the average P99 that lowers concurrency'),
    concurrencyUp: factor(1.15, 1, 10, 'factor of concurrency when latency fell; rounded up'),
    concurrencyDown: factor(0.85, 0.1, 1, 'factor of concurrency when latency rose; rounded down'),
    minConcurrency: whole(2, 1, 100_000, 'lowest concurrency'),
    maxConcurrency: whole(512, 1, 100_000, 'highest concurrency; no bulkhead may have more'),
  },
  { additionalProperties: false },
);

/** How thresholds move by themselves. */
export type AdaptiveOptions = Static<typeof ADAPTIVE_OPTIONS>;

/** Options of which the first must not be above the second: between them a threshold moves, or stays. */
const ORDERED = [
  ['healthyErrorRate', 'criticalErrorRate'],
  ['minFailures', 'maxFailures'],
  ['fastRecoveryMs', 'slowRecoveryMs'],
  ['minBreakMs', 'maxBreakMs'],
  ['minConcurrency', 'maxConcurrency'],
] as const;

/** What is wrong with options that are each within their bounds. */
export function adaptiveProblems(options: AdaptiveOptions): readonly string[] {
  return ORDERED.flatMap(([low, high]) =>
    options[low] > options[high]
      ? [`adaptive.${low} must not be above adaptive.${high}: ${options[low]} is above ${options[high]}`]
      : [],
  );
}
