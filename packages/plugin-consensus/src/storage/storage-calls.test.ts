// Given a log of any length, how many calls to the disk an append and a read by index take, and how many an opening:
// counted, since time says nothing on a busy machine.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  directory = await mkdtemp(join(tmpdir(), 'dw-storage-calls-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A disk that counts. */
class CountingFiles extends NodeStorageFiles {
  reads = 0;
  readBytes = 0;
  writes = 0;
  opened = 0;

  override async create(name: string): Promise<StorageFile> {
    return this.#counted(await super.create(name));
  }

  override async openForWriting(name: string): Promise<StorageFile> {
    return this.#counted(await super.openForWriting(name));
  }

  override async openForReading(name: string): Promise<StorageFile> {
    return this.#counted(await super.openForReading(name));
  }

  override openForReadingSync(name: string): StorageFile {
    return this.#counted(super.openForReadingSync(name));
  }

  reset(): void {
    Object.assign(this, { reads: 0, readBytes: 0, writes: 0, opened: 0 });
  }

  #counted(file: StorageFile): StorageFile {
    this.opened++;
    const read = (bytes: number): number => {
      this.reads++;
      this.readBytes += bytes;
      return bytes;
    };
    return {
      descriptor: file.descriptor,
      write: async (pieces, offset) => {
        this.writes++;
        await file.write(pieces, offset);
      },
      read: async (target, offset) => read(await file.read(target, offset)),
      readSync: (target, offset) => read(file.readSync(target, offset)),
      datasync: () => file.datasync(),
      truncate: (length) => file.truncate(length),
      size: () => file.size(),
      close: () => file.close(),
    };
  }
}

const DATA_BYTES = 200;

function turn(from: number, to: number): GroupWrite {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    entries.push({
      index,
      term: 1 + Math.floor(index / 700),
      type: 'normal',
      data: Buffer.alloc(DATA_BYTES, index),
    });
  }
  return { groupId: 'a', hardState: undefined, entries, snapshot: undefined };
}

function open(options: Partial<FileNodeStorageOptions>): Promise<FileNodeStorage> {
  return FileNodeStorage.open({
    directory,
    entriesPerSegment: 100,
    flushBytes: 1,
    cacheBytes: 0,
    scrubBytesPerSecond: 0,
    ...options,
  });
}

/** Writes entries up to `last`, and waits until all of them are in segments. */
async function fill(storage: FileNodeStorage, from: number, last: number): Promise<GroupStorage> {
  const a = await storage.openGroup('a', TEST_CONF);
  for (let index = from; index <= last; index += 250)
    await storage.write([turn(index, Math.min(last, index + 249))]);
  await drained(a, last);
  return a;
}

/** A snapshot waits for everything that is queued before it. */
async function drained(group: GroupStorage, index: number): Promise<void> {
  const before = group.snapshot()?.metadata.index ?? 0;
  if (index <= before) throw new Error('nothing is newer than the snapshot');
  await group.saveSnapshot({ index, term: group.term(index) ?? 0, conf: TEST_CONF }, [Buffer.from('state')]);
}

describe.each([2_000, 8_000])('a log of %i entries', (count) => {
  it('is read by index with one read or none, wherever the entry is', async () => {
    const files = new CountingFiles(directory);
    const storage = await open({ files });
    const a = await fill(storage, 1, count);
    expect(storage.statistics().mappedSegments).toBe(3);
    for (const index of [1, 77, count / 2, count - 250, count]) {
      files.reset();
      expect(a.entries(index, index + 1, 0)[0]?.index).toBe(index);
      // The newest three sealed segments are mapped: no call at all.
      expect(files.reads).toBe(index > count - 300 && index <= count - (count % 100) ? 0 : 1);
      // One record with its header, and not what is around it.
      expect(files.readBytes).toBeLessThan(DATA_BYTES + 64);
      files.reset();
      expect(a.term(index)).toBe(1 + Math.floor(index / 700));
      expect(files.reads).toBe(0);
    }
    await storage.close();
  });

  it('is appended to with one write behind the journal', async () => {
    const files = new CountingFiles(directory);
    const storage = await open({ files });
    const a = await fill(storage, 1, count);
    await storage.write([turn(count + 1, count + 1)]);
    await drained(a, count + 1);
    files.reset();
    await storage.write([turn(count + 2, count + 2)]);
    await a.compact(0);
    for (let turns = 0; turns < 200 && files.writes === 0; turns++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect([files.writes, files.reads]).toEqual([1, 0]);
    await storage.close();
  });

  it('is opened by reading what its sealed segments end with, and not what they hold', async () => {
    const storage = await open({});
    await fill(storage, 1, count);
    await storage.close();
    const files = new CountingFiles(directory);
    const again = await open({ files });
    const segments = count / 100;
    // Header and footer of each segment, and the small files of the group.
    expect(files.reads).toBeLessThan(2 * segments + 20);
    expect(files.readBytes).toBeLessThan(segments * 600 + 20_000 + 100 * (DATA_BYTES + 64));
    expect((await again.openGroup('a', TEST_CONF)).lastIndex()).toBe(count);
    await again.close();
  });
});

it('a segment that one turn fills, a small snapshot and a checkpoint are one write each', async () => {
  const files = new CountingFiles(directory);
  const storage = await open({ files });
  const a = await storage.openGroup('a', TEST_CONF);
  files.reset();
  await storage.write([turn(1, 100)]);
  await drained(a, 100);
  expect(files.writes).toBe(3);
  await storage.close();
});

it('how many segments are mapped is changed while the storage runs', async () => {
  const storage = await open({});
  const a = await fill(storage, 1, 1_000);
  for (const [hotSegments, mapped] of [
    [1, 1],
    [0, 0],
    [7, 7],
    [100, 10],
    [3, 3],
  ] as const) {
    storage.tune({ hotSegments });
    expect(storage.statistics().mappedSegments).toBe(mapped);
    expect(a.entries(1, 1_001, Infinity)).toHaveLength(1_000);
  }
  storage.tune({ hotSegments: 2 });
  await storage.write([turn(1_001, 1_200)]);
  await drained(a, 1_200);
  expect(storage.statistics().mappedSegments).toBe(2);
  expect(() => storage.tune({ hotSegments: -1 })).toThrow('mappedSegments');
  await storage.close();
});
