// The history of changes: in order, without a gap and without a repeat, or else it says that it does not reach back.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ValuePlace } from '../value-slabs.js';
import type { KeyChange } from './change-history.js';
import { ChangeHistory, MAX_SCAN } from './change-history.js';

/** A value that has a buffer of its own. */
function placeOf(bytes: Uint8Array): ValuePlace {
  const { length } = bytes;
  return { slab: { bytes, used: length, live: length, keys: [] }, at: 0, length };
}

/** Reads on until there is nothing more. */
function readAll(history: ChangeHistory, from: number, prefix: string, applied: number, limit: number) {
  const found: KeyChange[] = [];
  let version = from;
  for (;;) {
    const next = history.after(version, prefix, applied, limit);
    if ('compacted' in next) return { compacted: next.oldest, found };
    found.push(...next.changes);
    if (next.upTo === version) return { compacted: undefined, found };
    version = next.upTo;
  }
}

describe('the history of changes', () => {
  it('gives every change after a version, once and in order, or says that it does not reach back', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ key: fc.constantFrom('a', 'ab', 'b', 'bc'), gap: fc.nat(3), bytes: fc.nat(300) }),
          {
            maxLength: 400,
            size: 'max',
          },
        ),
        fc.integer({ min: 1, max: 200 }),
        fc.nat(800),
        fc.constantFrom('', 'a', 'b', 'x'),
        fc.integer({ min: 1, max: 50 }),
        (steps, capacity, from, prefix, limit) => {
          const history = new ChangeHistory(capacity, 20_000);
          const all: KeyChange[] = [];
          let version = 0;
          for (const { key, gap, bytes } of steps) {
            version += 1 + gap;
            const value = bytes % 5 === 0 ? undefined : new Uint8Array(bytes);
            history.push(version, key, value && placeOf(value));
            all.push({ key, version, value });
          }
          const { compacted, found } = readAll(history, from, prefix, version, limit);
          const expected = all.filter((change) => change.version > from && change.key.startsWith(prefix));
          if (compacted === undefined) expect(found).toEqual(expected);
          else expect(from).toBeLessThan(history.oldest);
          // It keeps as much as it may, and what it says to keep.
          expect(history.size).toBeLessThanOrEqual(capacity);
          const kept = all.filter((change) => change.version > history.oldest);
          expect(history.size).toBe(kept.length);
          if (all.length <= capacity && history.oldest > 0) {
            const bytes = kept.reduce(
              (sum, { key, value }) => sum + key.length + (value?.length ?? 0) + 32,
              0,
            );
            expect(bytes).toBeGreaterThan(20_000 - 340);
          }
        },
      ),
      { numRuns: 150, endOnFailure: true },
    );
  });

  it('reaches back to the beginning of a group, and after a snapshot to that', () => {
    const history = new ChangeHistory(10);
    expect(history.after(0, '', 5, 10)).toEqual({ changes: [], upTo: 5 });
    history.push(6, 'a', undefined);
    history.reset(50);
    expect(history.after(49, '', 50, 10)).toEqual({ compacted: true, oldest: 50 });
    history.push(51, 'a', undefined);
    expect(history.after(50, '', 51, 10)).toEqual({
      changes: [{ key: 'a', version: 51, value: undefined }],
      upTo: 51,
    });
  });

  it('goes back for nobody who has seen more than this replica has applied', () => {
    const history = new ChangeHistory(10);
    history.push(6, 'a', undefined);
    expect(history.after(9, '', 6, 10)).toEqual({ changes: [], upTo: 9 });
  });

  it('looks at a bounded number of changes at a time', () => {
    const history = new ChangeHistory();
    for (let version = 1; version <= 3 * MAX_SCAN; version++) history.push(version, 'a', undefined);
    expect(history.after(0, 'b', 3 * MAX_SCAN, 10)).toEqual({ changes: [], upTo: MAX_SCAN });
  });
});
