// How a bulkhead's concurrency follows latency. Pure.

import type { AdaptiveOptions } from './adaptive-options.js';
import type { AdaptiveStep } from './breaker-adaptation.js';
import type { Direction, Trend } from './hysteresis.js';
import { AT_REST, average, follow } from './hysteresis.js';

/** What is remembered of one bulkhead. */
export interface BulkheadMemory {
  /** Average P99 now, and when concurrency last moved: what it is compared with, so that a slow drift is seen, too. */
  readonly p99Ms: number | undefined;
  readonly settledP99Ms: number | undefined;
  readonly concurrency: Trend;
}

/** Of a bulkhead that nothing is known of. */
export const NEW_BULKHEAD: BulkheadMemory = Object.freeze({
  p99Ms: undefined,
  settledP99Ms: undefined,
  concurrency: AT_REST,
});

/** What was seen in the sliding window. */
export interface LatencyReading {
  readonly samples: number;
  readonly p99Ms: number;
  /** Whether so much fails that more at once would make it worse, whatever the latency: failures may be quick. */
  readonly failing: boolean;
}

/** What follows from a reading. */
export function adaptConcurrency(
  memory: BulkheadMemory,
  reading: LatencyReading,
  concurrency: number,
  options: AdaptiveOptions,
): { readonly memory: BulkheadMemory; readonly step: AdaptiveStep | undefined } {
  if (reading.samples < options.minSamples) return { memory, step: undefined };
  const p99Ms = average(memory.p99Ms, reading.p99Ms, options.emaAlpha);
  const settled = memory.settledP99Ms ?? p99Ms;
  const { trend, move } = follow(memory.concurrency, wanted(p99Ms, settled, reading.failing, options));
  const step = move === undefined ? undefined : stepOf(concurrency, move, p99Ms, settled, options);
  // At a bound, too, latency is compared with what it is now: it is the new normal.
  return { memory: { p99Ms, settledP99Ms: move === undefined ? settled : p99Ms, concurrency: trend }, step };
}

function wanted(
  p99Ms: number,
  settled: number,
  failing: boolean,
  options: AdaptiveOptions,
): Direction | undefined {
  if (p99Ms > settled * (1 + options.latencyRise)) return 'down';
  return p99Ms < settled * (1 - options.latencyDrop) && !failing ? 'up' : undefined;
}

function stepOf(
  previous: number,
  move: Direction,
  p99Ms: number,
  settled: number,
  options: AdaptiveOptions,
): AdaptiveStep | undefined {
  const { concurrencyUp, concurrencyDown, minConcurrency, maxConcurrency } = options;
  const up = move === 'up';
  const current = up
    ? Math.min(maxConcurrency, Math.ceil(previous * concurrencyUp))
    : Math.max(minConcurrency, Math.floor(previous * concurrencyDown));
  if (up ? current <= previous : current >= previous) return undefined;
  const change = Math.abs((p99Ms / settled - 1) * 100).toFixed(0);
  const from = `from ${settled.toFixed(1)} to ${p99Ms.toFixed(1)} ms`;
  const reason = up
    ? `P99 fell by ${change} %, ${from}: more calls at once are let in`
    : `P99 rose by ${change} %, ${from}: fewer calls at once are let in`;
  return { limit: 'concurrency', previous, current, reason };
}
