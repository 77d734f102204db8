// Given a node's storage in files, over a journal in memory or on the real disk.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryAppendLog, isDwError } from '@datawarehouse/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfState, Entry, HardState } from '../raft/types.js';
import { CrashLog } from './testing/crash-log.js';
import { receiveWhole } from './testing/receive-whole.js';
import { memorySource } from './memory-snapshot.js';
import { FileNodeStorage } from './file-node-storage.js';
import type { FileNodeStorageOptions } from './file-node-storage-options.js';
import { NodeStorageFiles } from './node-storage-files.js';
import type { StorageFile } from './storage-files.js';
import type { GroupStorage, GroupWrite } from './types.js';

const conf: ConfState = {
  voters: ['n1', 'n2', 'n3'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-node-storage-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function entry(index: number, term: number, text = `${term}/${index}`): Entry {
  return { index, term, type: 'normal', data: Buffer.from(text) };
}

function run(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}

function turn(groupId: string, part: Partial<GroupWrite>): GroupWrite {
  return { groupId, hardState: undefined, entries: [], snapshot: undefined, ...part };
}

function open(options: Partial<FileNodeStorageOptions> = {}): Promise<FileNodeStorage> {
  return FileNodeStorage.open({ directory, entriesPerSegment: 10, flushBytes: 1, cacheBytes: 0, ...options });
}

function texts(group: GroupStorage): string[] {
  const from = group.firstIndex();
  const to = group.lastIndex() + 1;
  return from === to ? [] : group.entries(from, to, Infinity).map((one) => Buffer.from(one.data).toString());
}

async function stateOf(group: GroupStorage): Promise<string> {
  const found: Uint8Array[] = [];
  for await (const chunk of group.readSnapshot()) found.push(chunk);
  return Buffer.concat(found).toString();
}

/** A disk with no room for another file. */
class FailingFiles extends NodeStorageFiles {
  full = false;

  override create(name: string): Promise<StorageFile> {
    if (this.full) return Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    return super.create(name);
  }
}

/** A disk that takes its time over one rename. */
class HeldFiles extends NodeStorageFiles {
  #name = '';
  #reached: () => void = () => undefined;
  #held: Promise<void> = Promise.resolve();

  holdRename(name: string): { readonly reached: Promise<void>; readonly release: () => void } {
    let release: () => void = () => undefined;
    this.#name = name;
    this.#held = new Promise((resolve) => (release = resolve));
    const reached = new Promise<void>((resolve) => (this.#reached = resolve));
    return { reached, release: () => release() };
  }

  override async rename(from: string, to: string): Promise<void> {
    if (from === this.#name) {
      this.#reached();
      await this.#held;
    }
    await super.rename(from, to);
  }
}

const hard = (term: number, vote: string | undefined, commit: number): HardState => ({ term, vote, commit });

describe('what was written is there after reopening', () => {
  it('also of writes whose records are too large to be copied, made at once', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    // Below what goes to the log as a part of its own; together beyond what the log copies.
    const rows = (from: number): Entry[] =>
      Array.from({ length: 15 }, (_, at) => entry(from + at, 1, `${from + at}/`.repeat(1_200)));
    const writes = [1, 16, 31, 46].map((from) => storage.write([turn('a', { entries: rows(from) })]));
    await Promise.all(writes);
    const written = texts(a);
    expect(written).toEqual(Array.from({ length: 60 }, (_, at) => `${at + 1}/`.repeat(1_200)));
    await storage.close();
    const again = await open();
    expect(texts(await again.openGroup('a', conf))).toEqual(written);
    await again.close();
  });

  it('entries, votes and commit indexes of several groups', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    const b = await storage.openGroup('b', conf);
    await storage.write([
      turn('a', { entries: run(1, 35, 1), hardState: hard(1, 'n2', 0) }),
      turn('b', { hardState: hard(7, undefined, 0) }),
    ]);
    await storage.write([turn('a', { entries: run(36, 40, 2), hardState: hard(2, 'n3', 30) })]);
    const written = texts(a);
    expect(written).toHaveLength(40);
    expect(b.initialState()).toEqual({ hardState: hard(7, undefined, 0), conf });
    await storage.close();

    const again = await open();
    expect(again.groupIds).toEqual(['a', 'b']);
    const a2 = await again.openGroup('a', { ...conf, voters: ['other'] });
    expect(texts(a2)).toEqual(written);
    expect(() => texts(a)).toThrow('closed');
    expect(a2.initialState()).toEqual({ hardState: hard(2, 'n3', 30), conf });
    expect([a2.term(0), a2.term(35), a2.term(36), a2.term(41)]).toEqual([0, 1, 2, undefined]);
    expect((await again.openGroup('b', conf)).initialState().hardState).toEqual(hard(7, undefined, 0));
    await again.close();
  });

  it('a tail that was overwritten stays overwritten', async () => {
    const storage = await open();
    await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 28, 1) })]);
    await storage.write([turn('a', { entries: run(5, 8, 2) })]);
    await storage.close();
    const again = await open();
    const a = await again.openGroup('a', conf);
    expect(a.lastIndex()).toBe(8);
    expect(texts(a).slice(3)).toEqual(['1/4', '2/5', '2/6', '2/7', '2/8']);
    await again.close();
  });

  it('a snapshot that was made, and the log from it on', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 40, 1) })]);
    await a.saveSnapshot({ index: 25, term: 1, conf }, [Buffer.from('state '), Buffer.from('at 25')]);
    await a.compact(100);
    expect([a.firstIndex(), a.lastIndex(), a.term(25)]).toEqual([26, 40, 1]);
    await storage.close();
    expect((await readdir(directory)).filter((name) => name.endsWith('.seg')).sort()).toEqual([
      'raft-log-a-0000000021.seg',
      'raft-log-a-0000000031.seg',
    ]);
    const again = await open();
    const a2 = await again.openGroup('a', conf);
    expect([a2.firstIndex(), a2.lastIndex(), a2.term(25)]).toEqual([26, 40, 1]);
    expect(a2.snapshot()?.metadata).toEqual({ index: 25, term: 1, conf });
    expect(await stateOf(a2)).toBe('state at 25');
    await again.close();
  });

  it('a snapshot that was received replaces the log', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 15, 1) })]);
    const snapshot = await receiveWhole(a, { index: 90, term: 3, conf }, [Buffer.from('received')]);
    expect(a.lastIndex()).toBe(15);
    await storage.write([
      turn('a', { snapshot, entries: run(91, 95, 3), hardState: hard(3, undefined, 90) }),
    ]);
    expect([a.firstIndex(), a.lastIndex(), a.term(90)]).toEqual([91, 95, 3]);
    await storage.close();
    const again = await open();
    const a2 = await again.openGroup('a', conf);
    expect([a2.firstIndex(), a2.lastIndex(), a2.term(90)]).toEqual([91, 95, 3]);
    expect(await stateOf(a2)).toBe('received');
    expect(texts(a2)).toEqual(['3/91', '3/92', '3/93', '3/94', '3/95']);
    await again.close();
  });
});

describe('the journal', () => {
  it('is written once and synced once for a turn of many groups', async () => {
    const storage = await open();
    for (const id of ['a', 'b', 'c']) await storage.openGroup(id, conf);
    const before = storage.statistics();
    await storage.write(['a', 'b', 'c'].map((id) => turn(id, { entries: run(1, 5, 1) })));
    const after = storage.statistics();
    expect(after.journalAppends - before.journalAppends).toBe(1);
    expect(after.journalSyncs - before.journalSyncs).toBe(1);
    await storage.close();
  });

  it('does not grow for ever, and idle groups do not hold it', async () => {
    const log = new CrashLog();
    const storage = await open({ checkpointBytes: 20_000, openLog: async () => log });
    await storage.openGroup('a', conf);
    await storage.openGroup('idle', conf);
    await storage.write([turn('idle', { hardState: hard(9, 'n3', 0) })]);
    for (let at = 0; at < 100; at++) {
      await storage.write([
        turn('a', { entries: run(at * 10 + 1, at * 10 + 10, 1), hardState: hard(1, 'n1', at) }),
      ]);
      expect(log.nextPosition - log.firstPosition).toBeLessThan(120);
    }
    expect(log.firstPosition).toBeGreaterThan(10);
    await storage.close();
    const again = await open({ openLog: async () => new CrashLog(log.crash()) });
    expect((await again.openGroup('idle', conf)).initialState().hardState).toEqual(hard(9, 'n3', 0));
    expect((await again.openGroup('a', conf)).lastIndex()).toBe(1000);
    await again.close();
  });
});

describe('what is missing is damage, never an empty log or term 0', () => {
  async function written(): Promise<void> {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 30, 1), hardState: hard(5, 'n2', 0) })]);
    await a.saveSnapshot({ index: 25, term: 1, conf }, [Buffer.from('state')]);
    await storage.close();
  }

  it('the journal, which is that of all groups', async () => {
    await written();
    await rm(join(directory, 'journal'), { recursive: true });
    await expect(open()).rejects.toMatchObject({ code: 'raft-log-damaged' });
  });

  it.each(['group-a.meta', 'snapshot-a-1-25.snap', 'raft-log-a-0000000021.seg'])(
    '%s, of one group',
    async (name) => {
      await written();
      await rm(join(directory, name), { recursive: true });
      const storage = await open();
      await expect(storage.openGroup('a', conf)).rejects.toMatchObject({ code: 'raft-group-damaged' });
      await storage.close();
    },
  );

  it('all checkpoints, while the journal still speaks of their groups', async () => {
    const storage = await open();
    await storage.openGroup('a', conf);
    await storage.write([turn('a', { hardState: hard(5, 'n2', 0) })]);
    await storage.close();
    await rm(join(directory, 'group-a.meta'));
    const again = await open();
    expect(again.damagedGroups()).toMatchObject([{ groupId: 'a', file: join(directory, 'group-a.meta') }]);
    await again.close();
  });

  it('the beginning of a journal that was not dropped on purpose', async () => {
    const log = new CrashLog();
    const storage = await open({ openLog: async () => log });
    await storage.openGroup('a', conf);
    await storage.write([turn('a', { hardState: hard(1, 'n1', 0) })]);
    await storage.write([turn('a', { hardState: hard(2, 'n2', 0) })]);
    await storage.close();
    const { first, records } = log.crash();
    const cut = { first: first + 2, records: records.slice(2) };
    await expect(open({ openLog: async () => new CrashLog(cut) })).rejects.toMatchObject({
      code: 'raft-log-damaged',
    });
  });
});

describe('a turn that breaks a rule is refused whole', () => {
  it.each<[string, Partial<GroupWrite>, string]>([
    ['a gap', { entries: run(7, 8, 1) }, 'raft-log-gap'],
    ['an entry that a snapshot covers', { entries: run(3, 8, 2) }, 'raft-log-compacted'],
    [
      'a snapshot that was never received',
      { snapshot: { metadata: { index: 50, term: 2, conf }, data: Buffer.alloc(0) } },
      'raft-snapshot-misplaced',
    ],
  ])('%s', async (_name, part, code) => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.openGroup('b', conf);
    await storage.write([turn('a', { entries: run(1, 5, 1) })]);
    await a.saveSnapshot({ index: 3, term: 1, conf }, []);
    await expect(
      storage.write([turn('b', { hardState: hard(9, 'n1', 0) }), turn('a', part)]),
    ).rejects.toMatchObject({ code });
    expect(texts(a)).toHaveLength(5);
    expect((await storage.openGroup('b', conf)).initialState().hardState.term).toBe(0);
    expect(storage.status.state).toBe('open');
    await storage.close();
  });

  it('a group that is not open, an id that is no file name', async () => {
    const storage = await open();
    await expect(storage.write([turn('x', {})])).rejects.toMatchObject({ code: 'raft-group-not-open' });
    await expect(storage.openGroup('../x', conf)).rejects.toMatchObject({ code: 'raft-group-id-invalid' });
    await storage.close();
  });

  it('an option that cannot work', async () => {
    await expect(open({ entriesPerSegment: 0 })).rejects.toMatchObject({
      code: 'raft-storage-invalid-option',
    });
  });
});

describe('snapshots', () => {
  it('one at a time is made', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 9, 1) })]);
    const first = a.saveSnapshot({ index: 5, term: 1, conf }, [Buffer.from('five')]);
    await expect(a.saveSnapshot({ index: 6, term: 1, conf }, [])).rejects.toMatchObject({
      code: 'raft-snapshot-busy',
    });
    await first;
    expect(await stateOf(a)).toBe('five');
    await storage.close();
  });

  it('one of entries that the log has not is refused', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 9, 1) })]);
    for (const metadata of [
      { index: 10, term: 1, conf },
      { index: 5, term: 2, conf },
    ]) {
      await expect(a.saveSnapshot(metadata, [])).rejects.toMatchObject({ code: 'raft-snapshot-misplaced' });
    }
    await storage.close();
  });

  it('one that is replaced while it is read is read to its end', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    await storage.write([turn('a', { entries: run(1, 9, 1) })]);
    await a.saveSnapshot({ index: 5, term: 1, conf }, [Buffer.alloc(600_000, 5)]);
    const reading = a.readSnapshot()[Symbol.asyncIterator]();
    let bytes = (await reading.next()).value.length as number;
    await a.saveSnapshot({ index: 6, term: 1, conf }, [Buffer.from('six')]);
    expect((await readdir(directory)).filter((name) => name.endsWith('.snap'))).toEqual([
      'snapshot-a-1-6.snap',
    ]);
    for (let next = await reading.next(); next.done !== true; next = await reading.next())
      bytes += next.value.length;
    expect(bytes).toBe(600_000);
    expect(await stateOf(a)).toBe('six');
    await storage.close();
  });

  it('closing does not wait for a peer that sends nothing more, and takes no more from it', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    const metadata = { index: 5, term: 1, conf };
    const source = memorySource({ metadata, chunks: [Buffer.alloc(600_000, 1)] });
    const sink = await a.receiveSnapshot(metadata, source.shape);
    await sink.write(0, await source.read(0));
    await storage.close();
    await expect(sink.write(1, await source.read(1))).rejects.toMatchObject({ code: 'storage-closed' });
    expect((await readdir(directory)).filter((name) => name.endsWith('.snap'))).toEqual([]);
  });

  it('those received and never installed are bounded, and gone after a restart', async () => {
    const storage = await open();
    const a = await storage.openGroup('a', conf);
    for (const index of [5, 6, 7, 8]) await receiveWhole(a, { index, term: 1, conf }, [Buffer.from('x')]);
    const names = async (): Promise<string[]> =>
      (await readdir(directory)).filter((name) => name.endsWith('.snap'));
    expect((await names()).sort()).toEqual(['snapshot-a-1-7.snap', 'snapshot-a-1-8.snap']);
    await storage.close();
    await (await open()).close();
    expect(await names()).toEqual([]);
  });
});

it('a turn larger than a record of the journal is cut into several, and is whole afterwards', async () => {
  const storage = await open({ maxRecordBytes: 4_096 });
  await storage.openGroup('a', conf);
  const before = storage.statistics();
  const large = run(1, 40, 2).map((one) => ({ ...one, data: Buffer.alloc(1_000, one.index) }));
  await storage.write([turn('a', { entries: large, hardState: hard(2, 'n1', 30) })]);
  const after = storage.statistics();
  expect(after.journalAppends - before.journalAppends).toBeGreaterThan(10);
  await storage.close();
  const again = await open();
  const a = await again.openGroup('a', conf);
  expect(a.initialState().hardState).toEqual(hard(2, 'n1', 30));
  expect(a.entries(1, 41, Infinity).map(({ data }) => data.length)).toEqual(
    Array.from({ length: 40 }, () => 1_000),
  );
  await again.close();
});

it('the journal keeps what a checkpoint under way is to contain until the checkpoint is there', async () => {
  const files = new HeldFiles(directory);
  const log = new CrashLog();
  const storage = await open({ files, openLog: async () => log, checkpointBytes: 1_500 });
  const a = await storage.openGroup('a', conf);
  await storage.openGroup('b', conf);
  await storage.write([turn('a', { entries: run(1, 5, 1) })]);
  const snapshot = await receiveWhole(a, { index: 90, term: 2, conf }, [Buffer.from('received')]);
  const held = files.holdRename('group-a.meta.tmp');
  const installedAt = log.nextPosition;
  await storage.write([turn('a', { snapshot })]);
  // The group's writer is now in the middle of the checkpoint that says so; meanwhile the journal's round comes.
  await held.reached;
  const writes: Promise<void>[] = [];
  for (let at = 0; at < 10; at++)
    writes.push(storage.write([turn('b', { hardState: hard(at + 1, 'n1', 0) })]));
  await log.barrier();
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(log.firstPosition).toBeLessThanOrEqual(installedAt);
  held.release();
  await Promise.all(writes);
  await storage.close();
  const again = await open({ openLog: async () => new CrashLog(log.crash()) });
  expect((await again.openGroup('a', conf)).lastIndex()).toBe(90);
  await again.close();
});

it('a group made while a turn was under way does not ask for that turn after a crash', async () => {
  let hold = false;
  const log = new CrashLog(undefined, () => (hold ? new Promise(() => undefined) : Promise.resolve()));
  const storage = await open({ openLog: async () => log });
  await storage.openGroup('a', conf);
  hold = true;
  void storage.write([turn('a', { hardState: hard(1, 'n1', 0) })]);
  await storage.openGroup('b', conf);
  // The machine dies here: the storage is never closed, and holds no file open.
  const again = await open({ openLog: async () => new CrashLog(log.crash()) });
  expect(again.groupIds).toEqual(['a', 'b']);
  expect((await again.openGroup('a', conf)).initialState().hardState.term).toBe(0);
  await again.close();
});

describe('when the disk refuses', () => {
  it('the storage fails for good and says so once', async () => {
    let refuse = false;
    const storage = await open({
      openLog: async () =>
        new MemoryAppendLog({ sync: () => (refuse ? Promise.reject(new Error('EIO')) : Promise.resolve()) }),
    });
    const told: Error[] = [];
    storage.onFailed((error) => told.push(error));
    await storage.openGroup('a', conf);
    refuse = true;
    const failed = await storage
      .write([turn('a', { entries: run(1, 1, 1) })])
      .catch((error: unknown) => error);
    expect(isDwError(failed, 'storage-failed')).toBe(true);
    refuse = false;
    await expect(storage.write([turn('a', { entries: run(2, 2, 1) })])).rejects.toBe(failed);
    expect(told).toEqual([failed]);
    expect(storage.status).toEqual({ state: 'failed', error: failed });
    await storage.close();
  });

  it('a failure behind the journal fails the storage, too', async () => {
    const files = new FailingFiles(directory);
    const storage = await open({ files });
    await storage.openGroup('a', conf);
    const told = new Promise<Error>((resolve) => storage.onFailed(resolve));
    files.full = true;
    // Durable in the journal, so this may well succeed; what comes after may not.
    await storage.write([turn('a', { entries: run(1, 1, 1) })]).catch(() => undefined);
    expect(await told).toMatchObject({ code: 'storage-failed' });
    await expect(storage.write([turn('a', { entries: run(2, 2, 1) })])).rejects.toMatchObject({
      code: 'storage-failed',
    });
    await storage.close();
  });
});
