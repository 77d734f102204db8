// Given a disk that refuses a call for good: the storage fails with the call and the error number, takes nothing more,
// asks the disk for no second sync of what it lost, and goes on giving back what was durable.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileAppendLog } from '@datawarehouse/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Entry } from '../raft/types.js';
import { FileNodeStorage } from './file-node-storage.js';
import type { FileNodeStorageOptions } from './file-node-storage-options.js';
import { NodeStorageFiles } from './node-storage-files.js';
import type { StorageFile } from './storage-files.js';
import { TEST_CONF } from './testing/storage-model.js';
import type { GroupStorage, GroupWrite } from './types.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-storage-failure-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

type Call = 'create' | 'write' | 'datasync' | 'rename' | 'remove' | 'syncDirectory' | 'seal';

/** A disk that refuses one kind of call, from a moment on. */
class RefusingFiles extends NodeStorageFiles {
  refused: { readonly call: Call; readonly code: string } | undefined;
  /** Calls that changes need, since the disk began to refuse. */
  readonly calls: Call[] = [];

  override async create(name: string): Promise<StorageFile> {
    this.#made('create', 'open');
    return this.#watched(await super.create(name));
  }

  override async openForWriting(name: string): Promise<StorageFile> {
    return this.#watched(await super.openForWriting(name));
  }

  override async rename(from: string, to: string): Promise<void> {
    this.#made('rename');
    await super.rename(from, to);
  }

  override async remove(name: string): Promise<void> {
    this.#made('remove', 'rm');
    await super.remove(name);
  }

  override async seal(name: string): Promise<void> {
    this.#made('seal', 'chmod');
    await super.seal(name);
  }

  override async syncDirectory(): Promise<void> {
    this.#made('syncDirectory', 'fsync');
    await super.syncDirectory();
  }

  #made(call: Call, syscall: string = call): void {
    const { refused } = this;
    if (refused === undefined) return;
    this.calls.push(call);
    if (refused.call !== call) return;
    throw Object.assign(new Error(`${refused.code}: refused, ${syscall}`), { code: refused.code, syscall });
  }

  #watched(file: StorageFile): StorageFile {
    const made = (call: Call, syscall: string): void => this.#made(call, syscall);
    return {
      descriptor: file.descriptor,
      write: async (pieces, offset) => {
        made('write', 'write');
        await file.write(pieces, offset);
      },
      datasync: async () => {
        made('datasync', 'fdatasync');
        await file.datasync();
      },
      read: (target, offset) => file.read(target, offset),
      readSync: (target, offset) => file.readSync(target, offset),
      truncate: (length) => file.truncate(length),
      size: () => file.size(),
      close: () => file.close(),
    };
  }
}

function turn(from: number, to: number): GroupWrite {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    entries.push({ index, term: 1, type: 'normal', data: Buffer.from(`entry ${index}`) });
  }
  return { groupId: 'a', hardState: { term: 1, vote: 'n1', commit: from - 1 }, entries, snapshot: undefined };
}

function open(options: Partial<FileNodeStorageOptions> = {}): Promise<FileNodeStorage> {
  return FileNodeStorage.open({
    directory,
    entriesPerSegment: 10,
    flushBytes: 1,
    cacheBytes: 0,
    checkpointBytes: 2_000,
    ...options,
  });
}

/** Reads everything from 1 to `last`, and checks it. */
function expectReads(group: GroupStorage, last: number): void {
  const entries = group.entries(1, last + 1, Infinity);
  expect(entries.map(({ data }) => Buffer.from(data).toString())).toEqual(
    Array.from({ length: last }, (_, at) => `entry ${at + 1}`),
  );
  expect(group.term(last)).toBe(1);
}

/** Writes on until the storage has failed. @returns the last index that was acknowledged. */
async function writeUntilFailed(storage: FileNodeStorage, from: number): Promise<number> {
  const failed = new Promise<void>((resolve) => storage.onFailed(() => resolve()));
  let last = from - 1;
  for (let index = from; index < from + 500 && storage.status.state === 'open'; index += 3) {
    try {
      await storage.write([turn(index, index + 2)]);
      last = index + 2;
    } catch {
      break;
    }
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  await failed;
  return last;
}

const refusals: readonly (readonly [Call, string, string, string])[] = [
  ['create', 'ENOSPC', 'open', 'writing segments'],
  ['write', 'ENOSPC', 'write', 'writing segments'],
  ['write', 'EIO', 'write', 'writing segments'],
  ['datasync', 'EIO', 'fdatasync', 'writing segments'],
  ['rename', 'EIO', 'rename', 'writing segments'],
  ['syncDirectory', 'EIO', 'fsync', 'writing segments'],
  ['seal', 'EROFS', 'chmod', 'writing segments'],
];

describe('a disk that refuses what is written behind the journal', () => {
  it.each(refusals)('%s with %s', async (call, errno, syscall, doing) => {
    const files = new RefusingFiles(directory);
    const storage = await open({ files });
    const a = await storage.openGroup('a', TEST_CONF);
    await storage.write([turn(1, 35)]);
    await a.saveSnapshot({ index: 5, term: 1, conf: TEST_CONF }, [Buffer.from('state')]);
    files.refused = { call, code: errno };
    const last = await writeUntilFailed(storage, 36);
    expect(storage.status).toMatchObject({
      state: 'failed',
      error: { code: 'storage-failed', details: { doing, call: syscall, errno } },
    });
    // Nothing is tried again: the disk was asked once, and nothing came after.
    expect(files.calls.filter((made) => made === call)).toHaveLength(1);
    expect(files.calls.at(-1)).toBe(call);
    await expect(storage.write([turn(last + 1, last + 1)])).rejects.toMatchObject({ code: 'storage-failed' });
    await expect(storage.openGroup('b', TEST_CONF)).rejects.toMatchObject({ code: 'storage-failed' });
    await expect(storage.destroyGroup('a')).rejects.toMatchObject({ code: 'storage-failed' });
    // What was durable is read as before, from segments, memory and the snapshot.
    expectReads(a, last);
    const chunks: Uint8Array[] = [];
    for await (const chunk of a.readSnapshot()) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('state');
    await storage.close();
    expect(files.calls.at(-1)).toBe(call);
    const again = await open();
    expectReads(await again.openGroup('a', TEST_CONF), last);
    await again.close();
  });
});

it('a journal that cannot be synced: nothing of the turn is acknowledged, and the call and the error are told', async () => {
  let refused = false;
  let syncs = 0;
  const openLog: FileNodeStorageOptions['openLog'] = async (journal, onFailed) => {
    const log = await FileAppendLog.open({ directory: journal, onFailed });
    const append = log.append.bind(log);
    log.append = (...parts) => {
      if (!refused) return append(...parts);
      syncs++;
      const cause = Object.assign(new Error('EIO: i/o error, fdatasync'), {
        code: 'EIO',
        syscall: 'fdatasync',
      });
      return Promise.reject(new Error('wrapped', { cause }));
    };
    return log;
  };
  const storage = await open({ openLog });
  const a = await storage.openGroup('a', TEST_CONF);
  await storage.write([turn(1, 12)]);
  refused = true;
  await expect(storage.write([turn(13, 13)])).rejects.toMatchObject({
    code: 'storage-failed',
    details: { doing: 'writing the journal', call: 'fdatasync', errno: 'EIO' },
  });
  await expect(storage.write([turn(14, 14)])).rejects.toMatchObject({ code: 'storage-failed' });
  expect(syncs).toBe(1);
  expectReads(a, 12);
  await storage.close();
  const again = await open();
  expectReads(await again.openGroup('a', TEST_CONF), 12);
  expect((await again.openGroup('a', TEST_CONF)).lastIndex()).toBe(12);
  await again.close();
});

it('a sector that cannot be read is damage of its group, and no failure of the storage', async () => {
  const files = new RefusingFiles(directory);
  let unreadable = false;
  const openForReadingSync = files.openForReadingSync.bind(files);
  files.openForReadingSync = (name) => {
    const file = openForReadingSync(name);
    const readSync = file.readSync.bind(file);
    file.readSync = (target, offset) => {
      if (unreadable)
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
      return readSync(target, offset);
    };
    return file;
  };
  const storage = await open({ files, mappedSegments: 0 });
  const a = await storage.openGroup('a', TEST_CONF);
  await storage.write([turn(1, 35)]);
  await a.saveSnapshot({ index: 5, term: 1, conf: TEST_CONF }, [Buffer.from('state')]);
  unreadable = true;
  expect(() => a.entries(1, 5, Infinity)).toThrow('the disk cannot read it (read: EIO)');
  expect(storage.damagedGroups()).toMatchObject([
    { groupId: 'a', reason: 'the disk cannot read it (read: EIO)' },
  ]);
  expect(storage.status.state).toBe('open');
  await storage.write([turn(36, 36)]);
  await storage.close();
});
