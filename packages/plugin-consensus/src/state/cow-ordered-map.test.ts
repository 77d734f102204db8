// The map behaves as a sorted list of pairs would, and its views never change.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CowOrderedMap } from './cow-ordered-map.js';
import { compareUtf8 } from './utf8-order.js';

const key = fc.integer({ min: 0, max: 2_000 }).map((n) => `k${n}`);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constant('set' as const), key) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('delete' as const), key) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('view' as const), key) },
);

function sorted(model: ReadonlyMap<string, number>): (readonly [string, number])[] {
  return [...model].sort(([a], [b]) => compareUtf8(a, b));
}

describe('CowOrderedMap', () => {
  it('holds what a plain map holds, in order, and its views stay as they were', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
        const map = new CowOrderedMap<number>();
        const model = new Map<string, number>();
        const views: { view: ReturnType<typeof map.view>; expected: (readonly [string, number])[] }[] = [];
        steps.forEach(([what, key], n) => {
          if (what === 'set') {
            expect(map.set(key, n)).toBe(model.get(key));
            model.set(key, n);
          } else if (what === 'delete') {
            expect(map.delete(key)).toBe(model.get(key));
            model.delete(key);
          } else {
            views.push({ view: map.view(), expected: sorted(model) });
          }
        });
        expect(map.size).toBe(model.size);
        expect([...map.view().entries()]).toEqual(sorted(model));
        for (const { view, expected } of views) expect([...view.entries()]).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('pages through ten thousand keys by prefix, across chunks', () => {
    const map = new CowOrderedMap<number>();
    for (let n = 0; n < 10_000; n++) map.set(`p/${(n * 7919) % 10_000}`, n);
    map.set('o', 0);
    map.set('q', 0);
    const seen: string[] = [];
    let after: string | undefined;
    for (;;) {
      const page = map.page('p/', after, 333);
      if (page.length === 0) break;
      seen.push(...page.map(([key]) => key));
      after = seen.at(-1);
    }
    expect(seen).toHaveLength(10_000);
    expect(seen).toEqual(seen.toSorted(compareUtf8));
    expect(map.page('p/', 'zzz', 10)).toEqual([]);
    expect(map.page('p/', 'a', 1).map(([key]) => key)).toEqual(['p/0']);
    expect(map.page('', undefined, 1).map(([key]) => key)).toEqual(['o']);
  });

  it('appends only what comes last', () => {
    const map = new CowOrderedMap<number>();
    expect(map.append('a', 1)).toBe(true);
    expect(map.append('a', 2)).toBe(false);
    expect(map.append('b', 2)).toBe(true);
    expect(map.get('a')).toBe(1);
    expect(map.size).toBe(2);
  });
});
