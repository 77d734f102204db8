import { describe, expect, it } from 'vitest';
import { simulate, type Tally } from './testing/simulation.test.kit.js';

describe('a group under faults', () => {
  it('keeps every invariant on twenty seeds', () => {
    const tallies: Tally[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      tallies.push(simulate(seed, { nodes: seed % 4 === 0 ? 5 : 3, steps: 3_000 }));
    }
    const total = (key: keyof Tally): number => tallies.reduce((sum, tally) => sum + tally[key], 0);
    // The runs must have done something, else they prove nothing.
    expect(total('applied')).toBeGreaterThan(5_000);
    expect(total('leaders')).toBeGreaterThan(40);
    expect(total('crashes')).toBeGreaterThan(40);
    expect(total('snapshots')).toBeGreaterThan(5);
    expect(total('reads')).toBeGreaterThan(50);
    expect(total('lostWrites')).toBeGreaterThan(10);
  });

  it('gives the same trace for the same seed', () => {
    const first = simulate(7, { nodes: 3, steps: 800 });
    expect(simulate(7, { nodes: 3, steps: 800 })).toEqual(first);
    expect(simulate(8, { nodes: 3, steps: 800 }).trace).not.toBe(first.trace);
  });
});
