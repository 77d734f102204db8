// The simulator can fail: each seeded bug is found within the number of seeds that its file allows. All of them in every
// run, since most take a few seeds.

import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hunt, readBugs } from './seeded-bugs.js';

const bugs = await readBugs();

describe('the simulator finds', () => {
  it('bugs that are there to be found', () => {
    expect(bugs.size).toBeGreaterThanOrEqual(25);
  });

  it.each([...bugs].map(([path, bug]) => [basename(path, '.json'), path, bug] as const))(
    '%s',
    { timeout: 600_000 },
    async (_name, path, bug) => {
      const { seeds, violation } = await hunt(path, bug);
      expect(violation, `a violation of "${bug.property}" within ${bug.seeds} seeds`).toBeDefined();
      expect(seeds).toBeLessThanOrEqual(bug.seeds);
    },
  );
});
