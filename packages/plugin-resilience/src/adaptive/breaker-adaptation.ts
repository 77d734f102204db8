// How a breaker's thresholds follow what it sees. Pure.

import type { AdaptiveOptions } from './adaptive-options.js';
import type { Direction, Trend } from './hysteresis.js';
import { AT_REST, average, follow } from './hysteresis.js';
import type { Recovery } from './recovery-times.js';

/** A threshold that moves, and why. */
export interface AdaptiveStep {
  readonly limit: 'failures' | 'breakMs' | 'concurrency';
  readonly previous: number;
  readonly current: number;
  /** In words. */
  readonly reason: string;
}

/** What is remembered of one breaker. */
export interface BreakerMemory {
  readonly errorRate: number | undefined;
  readonly failures: Trend;
  readonly breakMs: Trend;
}

/** Of a breaker that nothing is known of. */
export const NEW_BREAKER: BreakerMemory = Object.freeze({
  errorRate: undefined,
  failures: AT_REST,
  breakMs: AT_REST,
});

/** What was seen since the last time. */
export interface BreakerReading {
  /** Calls of the sliding window that came to an end. */
  readonly samples: number;
  readonly failed: number;
  readonly recoveries: readonly Recovery[];
}

/** The thresholds of a breaker. */
export interface BreakerThresholds {
  /** Undefined where the window does not count failures in a row. */
  readonly failures: number | undefined;
  readonly breakMs: number;
}

/** What follows from a reading. */
export function adaptBreaker(
  memory: BreakerMemory,
  reading: BreakerReading,
  thresholds: BreakerThresholds,
  options: AdaptiveOptions,
): { readonly memory: BreakerMemory; readonly steps: readonly AdaptiveStep[] } {
  const steps: AdaptiveStep[] = [];
  let { errorRate, failures: failuresTrend } = memory;
  if (reading.samples >= options.minSamples) {
    errorRate = average(errorRate, reading.failed / reading.samples, options.emaAlpha);
    const followed = follow(failuresTrend, wantedFailures(errorRate, options));
    failuresTrend = followed.trend;
    if (thresholds.failures !== undefined && followed.move !== undefined) {
      steps.push(...failuresStep(thresholds.failures, followed.move, errorRate, options));
    }
  }
  const wish = wantedBreak(reading.recoveries, thresholds.breakMs, options);
  // Without a recovery nothing was seen, neither this way nor that.
  const followed =
    reading.recoveries.length === 0
      ? { trend: memory.breakMs, move: undefined }
      : follow(memory.breakMs, wish?.direction);
  if (followed.move !== undefined && wish !== undefined) {
    steps.push({
      limit: 'breakMs',
      previous: thresholds.breakMs,
      current: wish.breakMs,
      reason: wish.reason,
    });
  }
  return { memory: { errorRate, failures: failuresTrend, breakMs: followed.trend }, steps };
}

/** Between healthy and critical nothing is wanted: what is at a border does not go to and fro. */
function wantedFailures(errorRate: number, options: AdaptiveOptions): Direction | undefined {
  if (errorRate > options.criticalErrorRate) return 'down';
  return errorRate < options.healthyErrorRate ? 'up' : undefined;
}

function failuresStep(
  previous: number,
  move: Direction,
  errorRate: number,
  options: AdaptiveOptions,
): readonly AdaptiveStep[] {
  const { failuresUp, failuresDown, minFailures, maxFailures } = options;
  const up = move === 'up';
  const current = up
    ? Math.min(maxFailures, Math.ceil(previous * failuresUp))
    : Math.max(minFailures, Math.floor(previous * failuresDown));
  // A threshold that an operator set beyond the bounds is not moved towards them against what is seen.
  if (up ? current <= previous : current >= previous) return [];
  const rate = percent(errorRate);
  const reason = up
    ? `on average ${rate} of calls fail, less than ${percent(options.healthyErrorRate)}: more failures in a row are tolerated`
    : `on average ${rate} of calls fail, more than ${percent(options.criticalErrorRate)}: fewer failures in a row are tolerated`;
  return [{ limit: 'failures', previous, current, reason }];
}

interface BreakWish {
  readonly direction: Direction;
  readonly breakMs: number;
  readonly reason: string;
}

function wantedBreak(
  recoveries: readonly Recovery[],
  breakMs: number,
  options: AdaptiveOptions,
): BreakWish | undefined {
  if (recoveries.length === 0) return undefined;
  const atLeast = median(recoveries.map(({ atLeastMs }) => atLeastMs));
  const atMost = median(recoveries.map(({ atMostMs }) => atMostMs));
  if (atLeast > options.slowRecoveryMs) {
    const middle = (atLeast + atMost) / 2;
    const longer = Math.min(options.maxBreakMs, Math.round(middle * options.recoveryFactor));
    if (longer <= breakMs) return undefined;
    const reason = `recovery took ${seconds(atLeast)} to ${seconds(atMost)}, which is slow: probes are made less often`;
    return { direction: 'up', breakMs: longer, reason };
  }
  const fast = atMost < options.fastRecoveryMs;
  // The first probe found everything well, so recovery was quicker than the break, by how much is not known.
  if (!fast && atLeast > 0) return undefined;
  const target = fast ? atMost * options.recoveryFactor : breakMs * options.breakDown;
  const shorter = Math.max(options.minBreakMs, Math.round(target));
  if (shorter >= breakMs) return undefined;
  const reason = fast
    ? `recovery took at most ${seconds(atMost)}, which is fast: probes are made sooner`
    : `the first probe after ${seconds(atMost)} succeeded: probes are made sooner`;
  return { direction: 'down', breakMs: shorter, reason };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

function percent(rate: number): string {
  return `${Number((rate * 100).toFixed(1))} %`;
}

function seconds(ms: number): string {
  return `${Number((ms / 1_000).toFixed(1))} s`;
}
