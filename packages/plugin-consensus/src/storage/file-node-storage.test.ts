// Given a node's storage in files, over a journal in memory or on the real disk.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryAppendLog, isDwError } from '@datawarehouse/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfState, Entry, HardState } from '../raft/types.js';
import { CrashLog } from './testing/crash-log.js';
import { FileNodeStorage } from './file-node-storage.js';
import type { FileNodeStorageOptions } from './file-node-storage-options.js';
import type { GroupStorage, GroupWrite } from './types.js';

const conf: ConfState = {
  voters: ['n1', 'n2', 'n3'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
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

async function* chunksOf(...chunks: string[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function stateOf(group: GroupStorage): Promise<string> {
  const found: Uint8Array[] = [];
  for await (const chunk of group.readSnapshot()) found.push(chunk);
  return Buffer.concat(found).toString();
}

const hard = (term: number, vote: string | undefined, commit: number): HardState => ({ term, vote, commit });

describe('what was written is there after reopening', () => {
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
    const snapshot = await a.receiveSnapshot({ index: 90, term: 3, conf }, chunksOf('received'));
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
});
