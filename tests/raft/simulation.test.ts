// The simulated group on some hundreds of seeds. A failure names its seed; the same seed gives the same run:
// SIMULATION_SEED=n runs that one alone.

import { describe, expect, it } from 'vitest';
import {
  simulate,
  type Tally,
} from '../../packages/plugin-consensus/src/raft/testing/simulation.test.kit.js';

const only = process.env['SIMULATION_SEED'];
const seedsPerSize = 120;

function seedsFrom(start: number): readonly number[] {
  if (only !== undefined) return [Number(only)];
  return Array.from({ length: seedsPerSize }, (_, i) => start + i);
}

describe('a simulated group under faults', () => {
  const groups = [
    { nodes: 3 },
    { nodes: 5 },
    { nodes: 3, spares: 3 },
    { nodes: 5, spares: 2 },
    { nodes: 2, spares: 4 },
  ];
  for (const [i, group] of groups.entries()) {
    const { nodes, spares = 0 } = group;
    it(`of ${nodes}, and ${spares} that may join, keeps every invariant`, () => {
      const tallies: Tally[] = seedsFrom((i + 3) * 100_000).map((seed) =>
        simulate(seed, { ...group, steps: 6_000 }),
      );
      const total = (key: keyof Tally): number => tallies.reduce((sum, tally) => sum + tally[key], 0);
      console.log(
        `${tallies.length} seeds, ${nodes} + ${spares} nodes: ${total('applied')} applied, ${total('leaders')} leaders, ` +
          `${total('crashes')} crashes, ${total('snapshots')} snapshots, ${total('reads')} reads, ` +
          `${total('lostMessages')} messages and ${total('lostWrites')} writes lost, ` +
          `${total('changes')} memberships applied, ${total('leased')} steps under a lease`,
      );
      if (only !== undefined) return;
      // The runs must have done something, else they prove nothing.
      expect(total('applied')).toBeGreaterThan(50_000);
      expect(total('leaders')).toBeGreaterThan(500);
      expect(total('snapshots')).toBeGreaterThan(200);
      expect(total('changes')).toBeGreaterThanOrEqual(spares > 0 ? 1_500 : 0);
      expect(total('leased')).toBeGreaterThan(30_000);
      expect(total('reads')).toBeGreaterThan(5_000);
      expect(total('lostWrites')).toBeGreaterThan(500);
    });
  }
});
