// The simulated group on some hundreds of seeds. A failure names its seed; the same seed gives the same run:
// SIMULATION_SEED=n runs that one alone.

import { describe, expect, it } from 'vitest';
import {
  simulate,
  type Tally,
} from '../../packages/plugin-consensus/src/raft/testing/simulation.test.kit.js';

const only = process.env['SIMULATION_SEED'];
const seedsPerSize = 400;

function seedsFrom(start: number): readonly number[] {
  if (only !== undefined) return [Number(only)];
  return Array.from({ length: seedsPerSize }, (_, i) => start + i);
}

describe('a simulated group under faults', () => {
  for (const nodes of [3, 5]) {
    it(`of ${nodes} keeps every invariant`, () => {
      const tallies: Tally[] = seedsFrom(nodes * 100_000).map((seed) =>
        simulate(seed, { nodes, steps: 6_000 }),
      );
      const total = (key: keyof Tally): number => tallies.reduce((sum, tally) => sum + tally[key], 0);
      console.log(
        `${tallies.length} seeds, ${nodes} nodes: ${total('applied')} applied, ${total('leaders')} leaders, ` +
          `${total('crashes')} crashes, ${total('snapshots')} snapshots, ${total('reads')} reads, ` +
          `${total('lostMessages')} messages and ${total('lostWrites')} writes lost`,
      );
      if (only !== undefined) return;
      // The runs must have done something, else they prove nothing.
      expect(total('applied')).toBeGreaterThan(300_000);
      expect(total('leaders')).toBeGreaterThan(3_000);
      expect(total('snapshots')).toBeGreaterThan(1_000);
      expect(total('reads')).toBeGreaterThan(20_000);
      expect(total('lostWrites')).toBeGreaterThan(1_000);
    });
  }
});
