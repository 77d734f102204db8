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

  it('keeps them while its members change, with learners, witnesses and leases', () => {
    const tallies: Tally[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      tallies.push(simulate(seed, { nodes: seed % 4 === 0 ? 5 : 3, steps: 3_000, spares: 1 + (seed % 4) }));
    }
    const total = (key: keyof Tally): number => tallies.reduce((sum, tally) => sum + tally[key], 0);
    expect(total('applied')).toBeGreaterThan(5_000);
    expect(total('changes')).toBeGreaterThan(200);
    expect(total('leased')).toBeGreaterThan(5_000);
    expect(total('pauses')).toBeGreaterThan(20);
    expect(total('reads')).toBeGreaterThan(500);
  });

  it('gives the same trace for the same seed', () => {
    const first = simulate(7, { nodes: 3, steps: 800 });
    expect(simulate(7, { nodes: 3, steps: 800 })).toEqual(first);
    const withSpares = simulate(7, { nodes: 3, steps: 800, spares: 3 });
    expect(simulate(7, { nodes: 3, steps: 800, spares: 3 })).toEqual(withSpares);
    expect(simulate(8, { nodes: 3, steps: 800 }).trace).not.toBe(first.trace);
  });
});
