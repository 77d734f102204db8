// The simulator in CI: a fixed number of seeds, and that a seed is the same run each time.

import { describe, expect, it } from 'vitest';
import { simulateMany } from './pool.js';

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, n) => first + n);

/** Seeds of each CI run. Those of the soak are others each time. */
const SEEDS = 1_000;
const TWICE = 100;
const HOSTILE = 100;

describe('simulated clusters', () => {
  it(`keep every promise under ${SEEDS} seeds`, { timeout: 600_000 }, async () => {
    const reports = await simulateMany(range(1, SEEDS));
    const broken = reports.filter(({ violation }) => violation !== undefined);
    const told = broken.map(({ seed, violation }) => `npm run sim -- --seed ${seed}: ${violation}`);
    expect(told).toEqual([]);
    // Else the faults are so many that nothing is tested.
    expect(reports.filter(({ commits }) => commits > 10).length).toBeGreaterThan(SEEDS * 0.9);
  });

  it(
    `keep every promise under ${HOSTILE} seeds when requests between nodes go through a policy that harms them`,
    { timeout: 300_000 },
    async () => {
      const reports = await simulateMany(range(1, HOSTILE), { args: ['--policies', 'yes'] });
      const broken = reports.filter(({ violation }) => violation !== undefined);
      const told = broken.map(
        ({ seed, violation }) => `npm run sim -- --seed ${seed} --policies yes: ${violation}`,
      );
      expect(told).toEqual([]);
      expect(reports.filter(({ commits }) => commits > 10).length).toBeGreaterThan(HOSTILE * 0.8);
    },
  );

  it(
    `do the same, byte for byte, when ${TWICE} seeds are run again in another order`,
    { timeout: 300_000 },
    async () => {
      const seeds = range(1, TWICE);
      const [once, again] = [await simulateMany(seeds), await simulateMany(seeds.toReversed(), { jobs: 1 })];
      expect(again.map(({ hash }) => hash)).toEqual(once.map(({ hash }) => hash));
      expect(new Set(once.map(({ hash }) => hash)).size).toBe(TWICE);
    },
  );
});
