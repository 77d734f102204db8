// Given a turn larger than a record of the journal, when it is cut, then each first part of it is a sound state.

import { expect, it } from 'vitest';
import type { Entry } from '../raft/types.js';
import { changeBytes } from './journal-record.js';
import type { LogChange } from './log-change.js';
import { splitChanges } from './split-changes.js';

function change(groupId: string, entries: number, bytes: number): LogChange {
  return {
    groupId,
    hardState: { term: 7, vote: 'n2', commit: 50 },
    snapshot: undefined,
    entries: Array.from({ length: entries }, (_, at): Entry => ({
      index: at + 1,
      term: 7,
      type: 'normal',
      data: Buffer.alloc(bytes),
    })),
  };
}

it('leaves a turn whole that fits', () => {
  const turn = [change('a', 3, 10), change('b', 0, 0)];
  expect(splitChanges(turn, 4_096, () => 0)).toEqual([turn]);
});

it('puts term and vote first, the commit index last, and every entry in between, in order', () => {
  const records = splitChanges([change('a', 40, 500), change('b', 2, 10)], 4_096, () => 3);
  expect(records.length).toBeGreaterThan(4);
  for (const record of records) {
    expect(record.reduce((sum, one) => sum + changeBytes(one), 0)).toBeLessThanOrEqual(4_096);
  }
  const a = records.flat().filter((one) => one.groupId === 'a');
  expect(a[0]?.hardState).toEqual({ term: 7, vote: 'n2', commit: 3 });
  expect(a[0]?.entries).toEqual([]);
  expect(a.at(-1)?.hardState).toEqual({ term: 7, vote: 'n2', commit: 50 });
  expect(a.flatMap((one) => one.entries.map((entry) => entry.index))).toEqual(
    Array.from({ length: 40 }, (_, at) => at + 1),
  );
});

it('refuses an entry that no record can hold', () => {
  expect(() => splitChanges([change('a', 1, 5_000)], 4_096, () => 0)).toThrow('at most');
});
