import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { LatencyHistogram } from './latency-histogram.js';

describe('LatencyHistogram', () => {
  it('gives percentiles within two per cent', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = new LatencyHistogram();
          for (const value of values) histogram.record(value);
          const exact = values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0;
          const found = histogram.percentile(share);
          expect(found).toBeGreaterThanOrEqual(exact * 0.98);
          expect(found).toBeLessThanOrEqual(exact * 1.021);
        },
      ),
    );
  });

  it('is zero when nothing was counted', () => {
    expect(new LatencyHistogram().percentile(0.99)).toBe(0);
  });
});
