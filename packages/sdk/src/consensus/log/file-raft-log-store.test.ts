// Given a Raft log in one append log: on the real disk for the contract, in memory for what goes wrong.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { MemoryAppendLog } from '../../persistence/index.js';
import { rejectionCode } from '../../testing/contract-hooks.js';
import { raftLogStoreContract } from '../../testing/raft-log-store-contract.js';
import type { RaftLogEntry } from '../raft-log-store.js';
import { FileRaftLogStore } from './file-raft-log-store.js';
import { encodeRaftLogRecord, type RaftLogRecord } from './raft-log-record.js';

raftLogStoreContract({ describe, it, expect }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dw-file-raft-log-'));
  // Small files, so that compaction drops some.
  const open = (): Promise<FileRaftLogStore> => FileRaftLogStore.open({ directory, segmentBytes: 64 * 1024 });
  let store = await open();
  return {
    store,
    reopen: async () => {
      await store.closeAsync();
      store = await open();
      return store;
    },
    dispose: async () => {
      await store.closeAsync();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

function entry(index: number, term = 1, bytes = 3): RaftLogEntry {
  return { index, term, type: 'normal', data: Buffer.alloc(bytes, index) };
}

/** Appends records to a log as they are. */
async function logOf(...records: RaftLogRecord[]): Promise<MemoryAppendLog> {
  const log = new MemoryAppendLog();
  for (const record of records) await log.append(...encodeRaftLogRecord(record));
  return log;
}

/** All that a log holds, in another one, as if it had been opened again. */
async function copyOf(log: MemoryAppendLog, records = Infinity): Promise<MemoryAppendLog> {
  const copy = new MemoryAppendLog();
  let count = 0;
  for (let before = 1; before < log.firstPosition; before++) await copy.append(Buffer.of(9));
  for await (const { data } of log.scan()) if (count++ < records) await copy.append(data);
  await copy.dropBefore(log.firstPosition);
  return copy;
}

const put = (index: number, term = 1): RaftLogRecord => ({ kind: 'entry', entry: entry(index, term) });
const state = { term: 4, votedFor: 'n1' };

describe('FileRaftLogStore', () => {
  it.each<[string, RaftLogRecord[], string]>([
    ['an index that is left out', [put(1), put(3)], 'entry 3 stands where 2 should'],
    ['an entry written twice', [put(1), put(1)], 'entry 1 stands where 2 should'],
    [
      'a compaction beyond the last entry',
      [put(1), { kind: 'base', base: { index: 7, term: 1 }, state }],
      'entries up to 7 were compacted, but there are those from 1 to 1',
    ],
    [
      'a compaction that knows another term',
      [put(1), { kind: 'base', base: { index: 1, term: 9 }, state }],
      'entry 1 has term 1, not 9',
    ],
    [
      'a truncation of what was compacted',
      [put(1), put(2), { kind: 'base', base: { index: 2, term: 1 }, state }, { kind: 'truncate', index: 1 }],
      'entries from 1 on are void, but the log begins after 2',
    ],
  ])('refuses %s, and names the record', async (_name, records, why) => {
    const opened = FileRaftLogStore.over('g', await logOf(...records));
    await expect(opened).rejects.toMatchObject({
      code: 'raft-log-damaged',
      details: { position: records.length, why },
    });
  });

  it('refuses bytes that are no record, and a log whose beginning is gone without a word', async () => {
    const log = await logOf(put(1));
    await log.append(Buffer.from([77]));
    expect(await rejectionCode(FileRaftLogStore.over('g', log))).toBe('raft-log-damaged');
    const cut = await logOf(put(1), put(2), put(3));
    await cut.dropBefore(3);
    const error: unknown = await FileRaftLogStore.over('g', cut).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('the records before it are gone');
  });

  it('is whole wherever a crash cuts its records, before and after the oldest were dropped', async () => {
    const log = new MemoryAppendLog();
    const store = await FileRaftLogStore.over('g', log);
    await store.savePersistentStateAsync(state);
    await store.appendAsync([1, 2, 3, 4, 5, 6, 7, 8].map((index) => entry(index)));
    await store.truncateFromAsync(6);
    await store.appendAsync([6, 7, 8, 9].map((index) => entry(index, 2)));
    await store.compactAsync(4);
    await store.truncateFromAsync(9);
    await store.compactAsync(7);
    await store.appendAsync([9, 10].map((index) => entry(index, 3)));
    // A memory log drops at once what a file drops a segment at a time: nothing is kept that need not be.
    expect(log.firstPosition).toBeGreaterThan(10);
    const whole = await FileRaftLogStore.over('g', await copyOf(log));
    expect((await whole.getFromAsync(8)).map(({ index, term }) => `${index}/${term}`)).toEqual([
      '8/2',
      '9/3',
      '10/3',
    ]);
    expect(await whole.getTermAsync(7)).toBe(2);
    expect(await whole.getPersistentStateAsync()).toEqual(state);
    // Cut behind the base that says where it begins, it is a shorter log; cut before, it is refused.
    const records = log.nextPosition - log.firstPosition;
    for (let kept = 1; kept < records; kept++) {
      const cut = FileRaftLogStore.over('g', await copyOf(log, kept));
      const found = await cut.then(
        async (one) =>
          (await one.getLastIndexAsync()) <= 10 && (await one.getPersistentStateAsync()).term === 4,
        (error: unknown) => (error as { code: string }).code,
      );
      expect([true, 'raft-log-damaged']).toContain(found);
    }
  });

  it('fails for good when the log underneath does, and knows what it acknowledged', async () => {
    let broken = false;
    const log = new MemoryAppendLog({
      sync: () => (broken ? Promise.reject(new Error('disk gone')) : Promise.resolve()),
    });
    const store = await FileRaftLogStore.over('g', log);
    await store.appendAsync([entry(1)]);
    broken = true;
    expect(await rejectionCode(store.appendAsync([entry(2), entry(3)]))).toBe('raft-log-failed');
    broken = false;
    expect(await rejectionCode(store.savePersistentStateAsync(state))).toBe('raft-log-failed');
    expect(await rejectionCode(store.truncateFromAsync(1))).toBe('raft-log-failed');
    expect(await store.getLastIndexAsync()).toBe(1);
    expect(await store.getTermAsync(1)).toBe(1);
    // An append log that failed gives nothing back until it is opened again.
    expect(await rejectionCode(store.getAsync(1))).toBe('log-failed');
    await store.closeAsync();
  });

  it('given entries one of which is too large, when they are appended, then none of them is there', async () => {
    const log = new MemoryAppendLog({ maxRecordBytes: 100 });
    const store = await FileRaftLogStore.over('g', log);
    await store.appendAsync([entry(1)]);
    expect(await rejectionCode(store.appendAsync([entry(2), entry(3, 1, 200)]))).toBe('log-record-too-large');
    expect(await store.getLastIndexAsync()).toBe(1);
    await store.appendAsync([entry(2, 7)]);
    const again = await FileRaftLogStore.over('g', await copyOf(log));
    expect((await again.getFromAsync(1)).map(({ term }) => term)).toEqual([1, 7]);
  });

  it('reads and appends with one call to the log each, however long it is', async () => {
    const log = new MemoryAppendLog();
    const store = await FileRaftLogStore.over('g', log);
    for (let from = 1; from <= 5_000; from += 100) {
      await store.appendAsync(Array.from({ length: 100 }, (_, at) => entry(from + at)));
    }
    let reads = 0;
    const read = log.read.bind(log);
    log.read = (position) => {
      reads++;
      return read(position);
    };
    const before = log.statistics().appends;
    await store.getAsync(4_999);
    await store.getAsync(1);
    await store.getTermAsync(2_500);
    await store.appendAsync([entry(5_001)]);
    expect([reads, log.statistics().appends - before]).toEqual([2, 1]);
  });
});
