// Given the changes of a turn, when they are written to the journal and read back, then they are the same.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { changeBytes, decodeJournalRecord, encodeJournalRecord } from './journal-record.js';
import type { LogChange } from './log-change.js';
import { TEST_CONF } from './testing/storage-model.js';

const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const small = fc.integer({ min: 0, max: 2 ** 40 });
const change: fc.Arbitrary<LogChange> = fc
  .record({
    groupId: fc.string({ minLength: 1, maxLength: 20 }),
    hardState: fc.option(
      fc.record({
        term: count,
        commit: count,
        vote: fc.option(fc.string({ maxLength: 30 }), { nil: undefined }),
      }),
      { nil: undefined },
    ),
    snapshot: fc.option(
      fc.record({ metadata: fc.record({ index: count, term: count, conf: fc.constant(TEST_CONF) }) }),
      { nil: undefined },
    ),
    truncateFrom: fc.option(count, { nil: undefined }),
    first: small,
    entries: fc.array(
      fc.record({
        term: count,
        type: fc.constantFrom('normal' as const, 'conf-change' as const),
        data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(5_000).fill(7))),
      }),
      { maxLength: 5 },
    ),
  })
  .map(({ groupId, hardState, snapshot, truncateFrom, first, entries }) => ({
    groupId,
    hardState,
    snapshot: snapshot && { ...snapshot, data: new Uint8Array(0) },
    entries: entries.map((one, at) => ({ ...one, index: first + at })),
    ...(truncateFrom === undefined ? {} : { truncateFrom }),
  }));

function plain(changes: readonly LogChange[]): unknown {
  return changes.map((one) => ({
    ...one,
    entries: one.entries.map(({ data, ...rest }) => ({ ...rest, data: Buffer.from(data).toString('hex') })),
  }));
}

it('is the same when it is read back, and no larger than it was reckoned', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), small, (changes, from) => {
      for (const record of [
        { kind: 'turn' as const, changes },
        { kind: 'kept' as const, id: 'the-storage', from, changes },
      ]) {
        const bytes = Buffer.concat(encodeJournalRecord(record));
        const found = decodeJournalRecord(bytes);
        if (found.kind === 'created') throw new Error('it became another kind');
        expect({ ...found, changes: plain(found.changes) }).toEqual({ ...record, changes: plain(changes) });
        const reckoned = changes.reduce((sum, one) => sum + changeBytes(one), 64);
        expect(bytes.length).toBeLessThanOrEqual(reckoned);
      }
    }),
  );
});

it('carries the id of the journal in its first record', () => {
  const bytes = Buffer.concat(encodeJournalRecord({ kind: 'created', id: 'one' }));
  expect(decodeJournalRecord(bytes)).toEqual({ kind: 'created', id: 'one' });
});

it('reads a note of old, which said what was kept without the id', () => {
  expect(decodeJournalRecord(Buffer.from([2, 77, 0]))).toEqual({
    kind: 'kept',
    id: '',
    from: 77,
    changes: [],
  });
});

it('refuses what is cut or unknown', () => {
  const record = {
    kind: 'turn' as const,
    changes: [{ groupId: 'g', hardState: undefined, snapshot: undefined, entries: [] }],
  };
  const bytes = Buffer.concat(encodeJournalRecord(record));
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeJournalRecord(bytes.subarray(0, length))).toThrow();
  }
  expect(() => decodeJournalRecord(Buffer.from([9]))).toThrow('unknown kind');
});
