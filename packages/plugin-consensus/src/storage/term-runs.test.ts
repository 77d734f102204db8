// Given the terms of a log as runs, when it is cut at either end, then each index keeps its term.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TermRuns } from './term-runs.js';

it('answers as a list of terms does', () => {
  const step = fc.record({
    do: fc.constantFrom('push', 'push', 'push', 'truncate', 'drop'),
    by: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const runs = new TermRuns();
      let first = 1;
      let terms: number[] = [];
      for (const { do: what, by } of steps) {
        if (what === 'push') {
          terms.push((terms.at(-1) ?? 1) + (by === 0 ? 1 : 0));
          runs.push(first + terms.length - 1, terms.at(-1) as number);
        } else if (what === 'truncate') {
          terms = terms.slice(0, Math.max(0, terms.length - by));
          runs.truncateFrom(first + terms.length);
        } else if (by < terms.length) {
          terms = terms.slice(by);
          first += by;
          runs.dropThrough(first - 1);
        }
        for (const [at, term] of terms.entries()) expect(runs.at(first + at)).toBe(term);
      }
    }),
  );
});

it('forgets everything when it is told to', () => {
  const runs = new TermRuns();
  runs.push(1, 4);
  runs.clear();
  expect(runs.at(1)).toBeUndefined();
});
