// The order of use, against a list that is moved about by hand.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Recent } from './recency-log.js';
import { RecencyLog } from './recency-log.js';

interface Item extends Recent {
  readonly name: number;
}

it('keeps the order of use through any adding, using and removing', () => {
  const step = fc.record({
    do: fc.constantFrom('add', 'touch', 'touch', 'touch', 'replace', 'remove'),
    at: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 4_000, size: 'max' }), (steps) => {
      const log = new RecencyLog<Item>();
      let list: Item[] = [];
      let names = 0;
      for (const { do: what, at } of steps) {
        const item = list[at % Math.max(1, list.length)];
        if (what === 'add' || item === undefined) {
          const added = { name: names++, slot: -1 };
          log.add(added);
          list.push(added);
          continue;
        }
        list = list.filter((other) => other !== item);
        if (what === 'remove') log.remove(item);
        if (what === 'touch') {
          log.touch(item);
          list.push(item);
        }
        if (what === 'replace') {
          const other = { name: names++, slot: -1 };
          log.replace(item, other);
          list.push(other);
        }
        expect(log.oldest).toBe(list[0]);
      }
      const seen = log.view();
      expect(seen.filter((item) => item !== undefined)).toEqual(list);
      // Empty slots do not pile up.
      expect(seen.length).toBeLessThanOrEqual(2 * list.length + 1_025);
    }),
    { numRuns: 30, endOnFailure: true },
  );
});
