// The algorithms alone.

import { describe, expect, it } from 'vitest';
import { checkValue } from '../policy/check-value.js';
import type { AdaptiveOptions } from './adaptive-options.js';
import { ADAPTIVE_OPTIONS } from './adaptive-options.js';
import type { AdaptiveStep, BreakerReading } from './breaker-adaptation.js';
import { NEW_BREAKER, adaptBreaker } from './breaker-adaptation.js';
import { NEW_BULKHEAD, adaptConcurrency } from './concurrency-adaptation.js';
import { AT_REST, average, follow } from './hysteresis.js';
import { RecoveryTimes } from './recovery-times.js';

const checked = checkValue(ADAPTIVE_OPTIONS, {});
const OPTIONS = (checked.ok ? checked.value : undefined) as AdaptiveOptions;

/** Failure thresholds after each reading of so many failures among 100 calls. */
function failuresAfter(start: number, failed: readonly number[], samples = 100): number[] {
  let memory = NEW_BREAKER;
  let failures = start;
  return failed.map((failed) => {
    const reading: BreakerReading = { samples, failed, recoveries: [] };
    const adapted = adaptBreaker(memory, reading, { failures, breakMs: 30_000 }, OPTIONS);
    memory = adapted.memory;
    failures = adapted.steps[0]?.current ?? failures;
    return failures;
  });
}

it('is off where nobody asked for it, with the thresholds of the reference', () => {
  expect(OPTIONS).toMatchObject({
    enabled: false,
    intervalMs: 30_000,
    minSamples: 10,
    emaAlpha: 0.3,
    minFailures: 2,
    maxFailures: 50,
    minBreakMs: 5_000,
    maxBreakMs: 120_000,
    minConcurrency: 2,
    maxConcurrency: 512,
  });
});

describe('an average', () => {
  it('begins with the first value (weakness elsewhere: it began at nought, so that all looked healthy for long)', () => {
    expect(average(undefined, 0.4, 0.3)).toBe(0.4);
    expect(average(0.4, 0.2, 0.3)).toBeCloseTo(0.34);
    // So a breaker whose calls all fail from the start tolerates less at the second look.
    expect(failuresAfter(10, [100, 100])).toEqual([10, 8]);
  });
});

describe('hysteresis', () => {
  it('turns round only when the same is wanted twice in a row', () => {
    let trend = AT_REST;
    const moves = (['up', 'up', 'up', 'down', 'up', 'down', undefined, 'down', 'down', 'down'] as const).map(
      (wanted) => {
        const followed = follow(trend, wanted);
        trend = followed.trend;
        return followed.move;
      },
    );
    expect(moves).toEqual([
      undefined,
      'up',
      'up',
      undefined,
      'up',
      undefined,
      undefined,
      undefined,
      'down',
      'down',
    ]);
  });
});

describe('a failure threshold', () => {
  it('rises while healthy, to its bound', () => {
    expect(failuresAfter(5, [0, 0, 0, 0, 0])).toEqual([5, 6, 7, 8, 9]);
    expect(failuresAfter(49, [0, 0, 0, 0])).toEqual([49, 50, 50, 50]);
  });

  it('falls while critical, to its bound', () => {
    expect(failuresAfter(10, [20, 20, 20, 20, 20, 20, 20])).toEqual([10, 8, 6, 4, 3, 2, 2]);
  });

  it('stays between the two, and while there are too few calls', () => {
    expect(failuresAfter(10, [3, 3, 3, 3])).toEqual([10, 10, 10, 10]);
    expect(failuresAfter(10, [9, 9, 9, 9], 9)).toEqual([10, 10, 10, 10]);
  });

  it('does not go to and fro with an error rate that does', () => {
    expect(new Set(failuresAfter(10, [0, 12, 0, 12, 0, 12, 0, 12]))).toEqual(new Set([10]));
  });

  it('recovers when errors are over (weakness elsewhere: the rate was of a lifetime)', () => {
    const after = failuresAfter(20, [50, 50, 50, ...Array.from({ length: 16 }, () => 0)]);
    expect(after[2]).toBe(12);
    expect(after.at(-1)).toBeGreaterThan(Math.min(...after));
  });

  it('beyond the bounds, where an operator put it, is not pulled to them against what is seen', () => {
    expect(failuresAfter(1, [50, 50, 50])).toEqual([1, 1, 1]);
    expect(failuresAfter(90, [0, 0, 0])).toEqual([90, 90, 90]);
  });

  it('says why it moves', () => {
    const { memory } = adaptBreaker(
      NEW_BREAKER,
      { samples: 50, failed: 5, recoveries: [] },
      { failures: 10, breakMs: 1 },
      OPTIONS,
    );
    const { steps } = adaptBreaker(
      memory,
      { samples: 50, failed: 5, recoveries: [] },
      { failures: 10, breakMs: 1 },
      OPTIONS,
    );
    expect(steps).toEqual([
      {
        limit: 'failures',
        previous: 10,
        current: 8,
        reason: 'on average 10 % of calls fail, more than 5 %: fewer failures in a row are tolerated',
      },
    ]);
  });
});

describe('a break', () => {
  /** Breaks after each recovery, which is given by its bounds. */
  function breaksAfter(start: number, recoveries: readonly (readonly [number, number])[]): AdaptiveStep[] {
    let memory = NEW_BREAKER;
    let breakMs = start;
    const all: AdaptiveStep[] = [];
    for (const [atLeastMs, atMostMs] of recoveries) {
      const reading = { samples: 0, failed: 0, recoveries: [{ atLeastMs, atMostMs }] };
      const adapted = adaptBreaker(memory, reading, { failures: undefined, breakMs }, OPTIONS);
      memory = adapted.memory;
      all.push(...adapted.steps);
      breakMs = adapted.steps[0]?.current ?? breakMs;
    }
    return all;
  }

  it('becomes twice a slow recovery', () => {
    expect(
      breaksAfter(30_000, [
        [40_000, 44_000],
        [40_000, 44_000],
      ]),
    ).toEqual([
      {
        limit: 'breakMs',
        previous: 30_000,
        current: 84_000,
        reason: 'recovery took 40 s to 44 s, which is slow: probes are made less often',
      },
    ]);
  });

  it('becomes twice a fast recovery', () => {
    expect(
      breaksAfter(30_000, [
        [0, 4_000],
        [0, 4_000],
      ]),
    ).toMatchObject([{ previous: 30_000, current: 8_000 }]);
  });

  it('becomes shorter where first probes succeed, and stays where they do not', () => {
    expect(
      breaksAfter(30_000, [
        [0, 30_000],
        [0, 30_000],
      ]),
    ).toMatchObject([{ current: 24_000 }]);
    expect(
      breaksAfter(10_000, [
        [10_000, 20_000],
        [10_000, 20_000],
        [10_000, 20_000],
      ]),
    ).toEqual([]);
  });

  it('keeps within its bounds', () => {
    expect(
      breaksAfter(30_000, [
        [900_000, 960_000],
        [900_000, 960_000],
      ]),
    ).toMatchObject([{ current: 120_000 }]);
    expect(
      breaksAfter(6_000, [
        [0, 1_000],
        [0, 1_000],
        [0, 1_000],
      ]),
    ).toMatchObject([{ current: 5_000 }]);
  });
});

describe('recovery times', () => {
  const of = (previous: string, current: string, source = 'calls') =>
    ({
      kind: 'circuit-changed',
      policy: 'p',
      key: 'k',
      strategy: 's',
      previous,
      current,
      reason: '',
      source,
    }) as never;

  it('lie between the last failed probe and the one that succeeded', () => {
    const times = new RecoveryTimes();
    times.heard(of('closed', 'open'), 1_000);
    times.heard(of('open', 'half-open'), 2_000);
    times.heard(of('half-open', 'open'), 2_100);
    times.heard(of('open', 'half-open'), 3_100);
    times.heard(of('half-open', 'closed'), 3_300);
    expect(times.take('p', 's')).toEqual([{ atLeastMs: 1_100, atMostMs: 2_300 }]);
    expect(times.take('p', 's')).toEqual([]);
  });

  it('do not take a long break for a slow recovery, by which breaks would grow by themselves', () => {
    const times = new RecoveryTimes();
    times.heard(of('closed', 'open'), 0);
    times.heard(of('open', 'half-open'), 120_000);
    times.heard(of('half-open', 'closed'), 120_010);
    expect(times.take('p', 's')).toEqual([{ atLeastMs: 0, atMostMs: 120_010 }]);
  });

  it('are measured though many outages never ended, of keys that were forgotten', () => {
    const times = new RecoveryTimes();
    const ofKey = (n: number, previous: string, current: string) =>
      ({ ...(of(previous, current) as object), key: `k${n}` }) as never;
    for (let n = 0; n < 2_000; n++) times.heard(ofKey(n, 'closed', 'open'), n);
    times.heard(ofKey(1_999, 'open', 'half-open'), 2_999);
    times.heard(ofKey(1_999, 'half-open', 'closed'), 3_000);
    expect(times.take('p', 's')).toEqual([{ atLeastMs: 0, atMostMs: 1_001 }]);
  });

  it('are not measured by what an operator or another node did', () => {
    const times = new RecoveryTimes();
    times.heard(of('closed', 'open'), 0);
    times.heard(of('open', 'closed', 'operator'), 10);
    times.heard(of('closed', 'open', 'remote'), 20);
    times.heard(of('half-open', 'closed'), 30);
    expect(times.take('p', 's')).toEqual([]);
  });
});

describe('concurrency', () => {
  /** Concurrency after each reading of a P99. */
  function after(start: number, p99s: readonly number[], failing = false, samples = 100): number[] {
    let memory = NEW_BULKHEAD;
    let concurrency = start;
    return p99s.map((p99Ms) => {
      const adapted = adaptConcurrency(memory, { samples, p99Ms, failing }, concurrency, OPTIONS);
      memory = adapted.memory;
      concurrency = adapted.step?.current ?? concurrency;
      return concurrency;
    });
  }

  it('falls when latency rises, once, and holds when it stays', () => {
    const fell = after(100, [10, 20, 20, ...Array.from({ length: 30 }, () => 20)]);
    expect(fell.slice(0, 3)).toEqual([100, 100, 85]);
    expect(fell.at(-1)).toBe(fell.at(-10));
  });

  it('rises when latency falls, unless calls fail: what fails is quick', () => {
    expect(after(100, [100, 50, 50])).toEqual([100, 100, 115]);
    expect(after(100, [100, 50, 50], true)).toEqual([100, 100, 100]);
  });

  it('keeps within its bounds, and still with few calls', () => {
    expect(after(500, [100, 50, 25, 12, 6])).toEqual([500, 500, 512, 512, 512]);
    expect(after(2, [10, 50, 100, 200])).toEqual([2, 2, 2, 2]);
    expect(after(100, [10, 50, 100, 200], false, 9)).toEqual([100, 100, 100, 100]);
  });

  it('notices a slow drift', () => {
    const p99s = Array.from({ length: 40 }, (_, n) => 100 * 1.02 ** n);
    expect(after(100, p99s).at(-1)).toBeLessThan(100);
  });
});
