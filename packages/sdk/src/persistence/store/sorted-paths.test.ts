import fc from 'fast-check';
import { describe, it, expect } from 'vitest';

import { SortedPaths } from './sorted-paths.js';

describe('SortedPaths', () => {
  it('is a sorted set', () => {
    const path = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'Z'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), path), { maxLength: 200 }), path, (steps, prefix) => {
        const paths = new SortedPaths();
        const model = new Set<string>();
        for (const [add, item] of steps) {
          if (add) paths.add(item);
          else paths.delete(item);
          if (add) model.add(item);
          else model.delete(item);
        }
        expect(paths.size).toBe(model.size);
        const expected = [...model].filter((item) => item.startsWith(prefix)).sort();
        expect(paths.withPrefix(prefix)).toEqual(expected);
      }),
    );
  });

  it('keeps its order when it is large', () => {
    const paths = new SortedPaths();
    for (let index = 0; index < 20_000; index++) paths.add(String((index * 7919) % 20_000).padStart(5, '0'));
    for (let index = 0; index < 20_000; index += 2) paths.delete(String(index).padStart(5, '0'));
    const all = paths.withPrefix('');
    expect(all.length).toBe(10_000);
    expect(all).toEqual([...all].sort());
    expect(paths.withPrefix('0000')).toEqual(['00001', '00003', '00005', '00007', '00009']);
  });
});
