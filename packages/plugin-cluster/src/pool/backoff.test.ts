import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.js';

const almostOne = (): number => 1 - Number.EPSILON;

describe('backoff', () => {
  it('doubles its bound up to the cap', () => {
    const backoff = new Backoff({ baseMs: 100, maxMs: 1_000, random: almostOne });
    const waits = Array.from({ length: 6 }, () => Math.round(backoff.next()));
    expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it('spreads each wait over the whole range below its bound', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.nat({ max: 100 }),
        (random, failures) => {
          const backoff = new Backoff({ random: () => random });
          for (let i = 0; i < failures; i++) backoff.next();
          const bound = Math.min(5_000, 100 * 2 ** failures);
          expect(backoff.next()).toBeCloseTo(random * bound, 6);
        },
      ),
    );
  });

  it('starts over only after a connection that held long enough', () => {
    const backoff = new Backoff({ baseMs: 100, stableAfterMs: 1_000, random: almostOne });
    backoff.next();
    backoff.next();
    backoff.connectionEnded(999);
    expect(Math.round(backoff.next())).toBe(400);
    backoff.connectionEnded(1_000);
    expect(Math.round(backoff.next())).toBe(100);
  });
});
