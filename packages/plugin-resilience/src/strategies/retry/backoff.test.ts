// How long a retry waits.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackoffOptions } from './backoff.js';
import { backoffMs } from './backoff.js';

const EXACT: BackoffOptions = {
  backoff: 'exponential',
  baseDelayMs: 100,
  maxDelayMs: 1_000,
  factor: 2,
  jitter: 0,
};

/** The first waits, each told the one before it. */
function waits(given: Partial<BackoffOptions>, random: () => number = () => 0.5, count = 6): number[] {
  const options = { ...EXACT, ...given };
  const made: number[] = [];
  for (let retry = 1; retry <= count; retry++) {
    made.push(backoffMs(options, retry, made.at(-1) ?? options.baseDelayMs, random));
  }
  return made;
}

describe('a backoff', () => {
  it('that is fixed stays, a linear one grows by its base, an exponential one by its factor, up to the cap', () => {
    expect(waits({ backoff: 'fixed' })).toEqual([100, 100, 100, 100, 100, 100]);
    expect(waits({ backoff: 'linear', maxDelayMs: 450 })).toEqual([100, 200, 300, 400, 450, 450]);
    expect(waits({})).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(waits({ factor: 3 })).toEqual([100, 300, 900, 1_000, 1_000, 1_000]);
  });

  it('with jitter is shorter or longer by that share at most', () => {
    expect(waits({ jitter: 0.5 }, () => 0, 3)).toEqual([50, 100, 200]);
    expect(waits({ jitter: 0.5 }, () => 0.5, 3)).toEqual([100, 200, 400]);
    expect(waits({ jitter: 0.5 }, () => 1, 5)).toEqual([150, 300, 600, 1_000, 1_000]);
  });

  it('with decorrelated jitter is between the base and three times the one before, up to the cap', () => {
    const decorrelated = { backoff: 'decorrelated-jitter' as const };
    expect(waits(decorrelated, () => 0, 4)).toEqual([100, 100, 100, 100]);
    expect(waits(decorrelated, () => 1, 4)).toEqual([300, 900, 1_000, 1_000]);
    expect(waits(decorrelated, () => 0.5, 3)).toEqual([200, 350, 575]);
  });

  it('is a number between 0 and the cap however far it has grown', () => {
    const ms = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 86_400_000 }));
    fc.assert(
      fc.property(
        fc.constantFrom('fixed', 'linear', 'exponential', 'decorrelated-jitter'),
        ms,
        ms,
        fc.double({ min: 1, max: 100, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (backoff, baseDelayMs, maxDelayMs, factor, jitter, retry, random) => {
          const options = { backoff, baseDelayMs, maxDelayMs, factor, jitter } as const;
          const wait = backoffMs(options, retry, Math.min(maxDelayMs, baseDelayMs), () => random);
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThanOrEqual(maxDelayMs);
        },
      ),
    );
  });

  it('of no base is none, even where the growth is beyond all numbers', () => {
    expect(backoffMs({ ...EXACT, baseDelayMs: 0, factor: 100 }, 1_000, 0, () => 0.5)).toBe(0);
    expect(backoffMs({ ...EXACT, factor: 100 }, 1_000, 0, () => 0.5)).toBe(1_000);
  });
});
