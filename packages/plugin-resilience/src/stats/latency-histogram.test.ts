import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from './latency-histogram.js';

describe('a latency histogram', () => {
  it('says nothing of nothing', () => {
    expect(new LatencyHistogram(0, 1_000).summary(5_000)).toEqual({
      samples: 0,
      p50Ms: 0,
      p95Ms: 0,
      p99Ms: 0,
    });
  });

  it('gives quantiles that are right to 4 %, from microseconds to an hour', () => {
    const latency = fc.double({ min: 0.02, max: 3_600_000, noNaN: true });
    fc.assert(
      fc.property(fc.array(latency, { minLength: 1, maxLength: 200 }), (latencies) => {
        const histogram = new LatencyHistogram(0, 1_000);
        for (const ms of latencies) histogram.record(ms, 0);
        const sorted = latencies.toSorted((a, b) => a - b);
        const found = histogram.summary(0);
        expect(found.samples).toBe(latencies.length);
        for (const [quantile, ms] of [
          [0.5, found.p50Ms],
          [0.95, found.p95Ms],
          [0.99, found.p99Ms],
        ] as const) {
          const exact = sorted[Math.ceil(sorted.length * quantile) - 1] as number;
          expect(Math.abs(ms - exact) / exact).toBeLessThan(0.04);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('takes what is no latency for the nearest one', () => {
    const histogram = new LatencyHistogram(0, 1_000);
    for (const ms of [-1, Number.NaN, 0, Number.POSITIVE_INFINITY, 1e12]) histogram.record(ms, 0);
    expect(histogram.summary(0)).toMatchObject({ samples: 5, p50Ms: 0.0005 });
  });

  it('forgets what is older than two windows', () => {
    const histogram = new LatencyHistogram(0, 1_000);
    histogram.record(5, 100);
    expect(histogram.summary(1_500).samples).toBe(1);
    histogram.record(5, 1_600);
    expect(histogram.summary(1_999).samples).toBe(2);
    expect(histogram.summary(2_600).samples).toBe(1);
    expect(histogram.summary(100_000).samples).toBe(0);
    histogram.record(7, 100_001);
    expect(histogram.summary(100_002).samples).toBe(1);
  });
});
