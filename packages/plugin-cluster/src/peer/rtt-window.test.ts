import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RttWindow } from './rtt-window.js';

describe('a window of round-trip times', () => {
  it('says nothing before the first sample', () => {
    expect(new RttWindow().statistics()).toBeUndefined();
  });

  it('gives nearest-rank percentiles of exactly the last samples', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 80 }),
        fc.integer({ min: 1, max: 32 }),
        (samples, capacity) => {
          const window = new RttWindow(capacity);
          for (const sample of samples) {
            window.add(sample);
            window.statistics();
          }
          const kept = samples.slice(-capacity);
          const sorted = [...kept].sort((a, b) => a - b);
          expect(window.statistics()).toEqual({
            samples: kept.length,
            p50Ms: sorted[Math.ceil(kept.length * 0.5) - 1],
            p99Ms: sorted[Math.ceil(kept.length * 0.99) - 1],
            latestMs: samples.at(-1),
          });
        },
      ),
    );
  });
});
