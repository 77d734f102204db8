import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry, Snapshot } from '../types.js';
import { Unstable } from './unstable.js';

function entry(index: number, term: number): Entry {
  return { index, term, type: 'normal', data: new Uint8Array(0) };
}

function run(from: number, terms: readonly number[]): readonly Entry[] {
  return terms.map((term, i) => entry(from + i, term));
}

function snapshotAt(index: number, term: number): Snapshot {
  const conf = {
    voters: ['a'],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    witnesses: [],
    autoLeave: false,
  };
  return { metadata: { index, term, conf }, data: new Uint8Array(0) };
}

function terms(unstable: Unstable): readonly (readonly [number, number])[] {
  return unstable
    .slice(unstable.offset, unstable.end, Infinity, true)
    .map((each) => [each.index, each.term] as const);
}

describe('Unstable', () => {
  it('hands entries out for writing once', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(5, [1, 1]));
    expect(unstable.nextEntries().map((each) => each.index)).toEqual([5, 6]);
    unstable.acceptInProgress();
    expect(unstable.hasNextEntries).toBe(false);
    unstable.truncateAndAppend(run(7, [1]));
    expect(unstable.nextEntries().map((each) => each.index)).toEqual([7]);
  });

  it('keeps entries until storage has them', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(5, [1, 1, 1]));
    unstable.acceptInProgress();
    expect(unstable.count).toBe(3);
    expect(unstable.stableTo(6, 1)).toBe(true);
    expect([unstable.offset, unstable.count, unstable.term(6), unstable.term(7)]).toEqual([
      7,
      1,
      undefined,
      1,
    ]);
  });

  it('ignores news of entries that were replaced while they were written', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(5, [1, 1]));
    unstable.acceptInProgress();
    unstable.truncateAndAppend(run(5, [2]));
    expect(unstable.stableTo(5, 1)).toBe(false);
    expect(unstable.stableTo(6, 1)).toBe(false);
    expect(terms(unstable)).toEqual([[5, 2]]);
    // What replaces them must be written, too.
    expect(unstable.nextEntries().map((each) => each.term)).toEqual([2]);
  });

  it('replaces the tail from a conflict on', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(5, [1, 1, 1]));
    unstable.acceptInProgress();
    unstable.truncateAndAppend(run(6, [2]));
    expect(terms(unstable)).toEqual([
      [5, 1],
      [6, 2],
    ]);
    expect(unstable.nextEntries().map((each) => each.index)).toEqual([6]);
  });

  it('can reach below what storage has, to replace that', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(3, [2, 2]));
    expect([unstable.offset, unstable.end]).toEqual([3, 5]);
  });

  it('knows the term of a snapshot, and lets it go when that very one is written', () => {
    const unstable = new Unstable(5);
    unstable.truncateAndAppend(run(5, [1]));
    unstable.restore(snapshotAt(9, 3));
    expect([unstable.lastIndex(), unstable.term(9), unstable.term(5), unstable.offset]).toEqual([
      9,
      3,
      undefined,
      10,
    ]);
    expect(unstable.nextSnapshot()?.metadata.index).toBe(9);
    unstable.acceptInProgress();
    expect(unstable.nextSnapshot()).toBeUndefined();
    unstable.stableSnapshotTo(8);
    expect(unstable.snapshot).toBeDefined();
    unstable.stableSnapshotTo(9);
    expect(unstable.snapshot).toBeUndefined();
  });

  it('does not take a snapshot for an entry', () => {
    const unstable = new Unstable(5);
    unstable.restore(snapshotAt(9, 3));
    expect(unstable.stableTo(9, 3)).toBe(false);
    expect(unstable.snapshot).toBeDefined();
  });

  it('behaves like a plain list, however it is cut', () => {
    const command = fc.oneof(
      fc.record({
        append: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 60 }),
        back: fc.nat(5),
      }),
      fc.record({ stable: fc.nat(80) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const unstable = new Unstable(1);
        let offset = 1;
        let model: Entry[] = [];
        for (const each of commands) {
          if ('append' in each) {
            const from = Math.max(offset, offset + model.length - each.back);
            const entries = run(from, each.append);
            model = [...model.slice(0, from - offset), ...entries];
            unstable.truncateAndAppend(entries);
          } else {
            const last = model[Math.min(each.stable, model.length - 1)];
            if (last === undefined) continue;
            expect(unstable.stableTo(last.index, last.term)).toBe(true);
            model = model.slice(last.index + 1 - offset);
            offset = last.index + 1;
          }
          expect([unstable.offset, unstable.end, unstable.count]).toEqual([
            offset,
            offset + model.length,
            model.length,
          ]);
          expect(terms(unstable)).toEqual(model.map(({ index, term }) => [index, term]));
        }
      }),
    );
  });
});
