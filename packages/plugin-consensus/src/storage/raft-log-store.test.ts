// The SDK's IRaftLogStore contract, which every kind of log of this package keeps alike: segments that are mapped,
// segments that are read by position, and memory.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IRaftLogStore, RaftLogEntry } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileNodeStorage } from './file-node-storage.js';
import { fileMapper } from './mapped-file.js';
import { MemoryNodeStorage } from './memory-node-storage.js';
import { CrashLog } from './testing/crash-log.js';
import { TEST_CONF } from './testing/storage-model.js';
import type { GroupStorage, NodeStorage } from './types.js';

interface Kind {
  readonly name: string;
  /** Opens the storage that was closed before, or a new one. */
  open(): Promise<NodeStorage>;
}

let directory = '';
let log = new CrashLog();
let image = new MemoryNodeStorage().image();
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-log-store-'));
  log = new CrashLog();
  image = new MemoryNodeStorage().image();
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function segmented(mappedSegments: number): Promise<NodeStorage> {
  log = new CrashLog(log.crash());
  const openLog = async (): Promise<CrashLog> => log;
  return FileNodeStorage.open({
    directory,
    entriesPerSegment: 7,
    mappedSegments,
    flushBytes: 1,
    cacheBytes: 0,
    checkpointBytes: 3_000,
    openLog,
  });
}

const kinds: readonly Kind[] = [
  { name: 'segments, mapped', open: () => segmented(3) },
  { name: 'segments, read by position', open: () => segmented(0) },
  {
    name: 'memory',
    open: async () => {
      const storage = new MemoryNodeStorage({ image });
      const close = storage.close.bind(storage);
      storage.close = async () => {
        await close();
        image = storage.image();
      };
      return storage;
    },
  },
];

function entry(index: number, term = 1, text = `${index}`): RaftLogEntry {
  return { index, term, type: index % 5 === 0 ? 'conf-change' : 'normal', data: Buffer.from(text) };
}

function entries(from: number, to: number, term = 1): RaftLogEntry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}

function show(one: RaftLogEntry | undefined): string | undefined {
  return one && `${one.index} ${one.term} ${one.type} ${Buffer.from(one.data).toString()}`;
}

async function all(store: IRaftLogStore): Promise<(string | undefined)[]> {
  const from = await store.getFirstIndexAsync();
  return (await store.getRangeAsync(from, await store.getLastIndexAsync())).map(show);
}

/** A log is compacted only up to a snapshot. */
async function compact(group: GroupStorage, index: number): Promise<void> {
  const term = group.term(index) ?? 0;
  await group.saveSnapshot({ index, term, conf: TEST_CONF }, [Buffer.from('state')]);
  await group.logStore.compactAsync(index);
}

it('koffi loads here, so that mapped reads are tested and not skipped in silence', () => {
  expect(fileMapper()).toBeTypeOf('function');
});

describe.each(kinds)('a log in $name', (kind) => {
  it('is empty at first', async () => {
    const storage = await kind.open();
    const { logStore } = await storage.openGroup('g', TEST_CONF);
    expect(await logStore.getFirstIndexAsync()).toBe(1);
    expect(await logStore.getLastIndexAsync()).toBe(0);
    expect(await logStore.getLastTermAsync()).toBe(0);
    expect(await logStore.getTermAsync(0)).toBe(0);
    expect(await logStore.getAsync(1)).toBeUndefined();
    expect(await logStore.getRangeAsync(1, 10)).toEqual([]);
    expect(await logStore.getPersistentStateAsync()).toEqual({ term: 0, votedFor: undefined });
    await storage.close();
  });

  it('gives back each entry by index, and ranges by size', async () => {
    const storage = await kind.open();
    const { logStore } = await storage.openGroup('g', TEST_CONF);
    await logStore.appendAsync(entries(1, 20));
    await logStore.appendAsync(entries(21, 40, 2));
    for (const index of [1, 7, 8, 14, 20, 21, 39, 40]) {
      expect(show(await logStore.getAsync(index))).toBe(show(entry(index, index > 20 ? 2 : 1)));
      expect(await logStore.getTermAsync(index)).toBe(index > 20 ? 2 : 1);
    }
    expect(await logStore.getAsync(41)).toBeUndefined();
    expect((await logStore.getRangeAsync(5, 30)).map(show)).toEqual(
      [...entries(5, 20), ...entries(21, 30, 2)].map(show),
    );
    expect((await logStore.getRangeAsync(6, 30, 0)).map(show)).toEqual([show(entry(6))]);
    const some = await logStore.getRangeAsync(6, 30, 200);
    expect(some.length).toBeGreaterThan(1);
    expect(some.length).toBeLessThan(25);
    await storage.close();
  });

  it('refuses a gap and changes nothing', async () => {
    const storage = await kind.open();
    const { logStore } = await storage.openGroup('g', TEST_CONF);
    await logStore.appendAsync(entries(1, 3));
    await expect(logStore.appendAsync([entry(5)])).rejects.toMatchObject({ code: 'raft-log-gap' });
    await expect(logStore.appendAsync([entry(3)])).rejects.toMatchObject({ code: 'raft-log-gap' });
    await expect(logStore.appendAsync([entry(4), entry(6)])).rejects.toMatchObject({ code: 'raft-log-gap' });
    expect(await logStore.getLastIndexAsync()).toBe(3);
    await storage.close();
  });

  it('forgets a truncated tail for good', async () => {
    let storage = await kind.open();
    let { logStore } = await storage.openGroup('g', TEST_CONF);
    await logStore.appendAsync(entries(1, 30));
    await logStore.truncateFromAsync(31);
    await logStore.truncateFromAsync(10);
    expect(await all(logStore)).toEqual(entries(1, 9).map(show));
    await storage.close();
    storage = await kind.open();
    ({ logStore } = await storage.openGroup('g', TEST_CONF));
    expect(await all(logStore)).toEqual(entries(1, 9).map(show));
    await logStore.appendAsync(entries(10, 12, 4));
    expect(await all(logStore)).toEqual([...entries(1, 9), ...entries(10, 12, 4)].map(show));
    await storage.close();
  });

  it('keeps index and term of what was compacted last, and renumbers nothing', async () => {
    let storage = await kind.open();
    let group = await storage.openGroup('g', TEST_CONF);
    await group.logStore.appendAsync(entries(1, 30, 3));
    await compact(group, 16);
    for (let round = 0; round < 2; round++) {
      const { logStore } = group;
      expect(await logStore.getFirstIndexAsync()).toBe(17);
      expect(await logStore.getTermAsync(16)).toBe(3);
      expect(await logStore.getTermAsync(15)).toBeUndefined();
      expect(await logStore.getAsync(16)).toBeUndefined();
      expect(await all(logStore)).toEqual(entries(17, 30, 3).map(show));
      await expect(logStore.getRangeAsync(16, 20)).rejects.toMatchObject({ code: 'raft-log-compacted' });
      await expect(logStore.truncateFromAsync(16)).rejects.toMatchObject({ code: 'raft-log-compacted' });
      await storage.close();
      storage = await kind.open();
      group = await storage.openGroup('g', TEST_CONF);
    }
    await storage.close();
  });

  it('keeps term and vote', async () => {
    let storage = await kind.open();
    let { logStore } = await storage.openGroup('g', TEST_CONF);
    await logStore.savePersistentStateAsync({ term: 5, votedFor: 'n2' });
    await logStore.savePersistentStateAsync({ term: 6, votedFor: undefined });
    await storage.close();
    storage = await kind.open();
    ({ logStore } = await storage.openGroup('g', TEST_CONF));
    expect(await logStore.getPersistentStateAsync()).toEqual({ term: 6, votedFor: undefined });
    await storage.close();
  });

  it('refuses everything once it is closed, while the group goes on', async () => {
    const storage = await kind.open();
    const group = await storage.openGroup('g', TEST_CONF);
    await group.logStore.closeAsync();
    await expect(group.logStore.getLastIndexAsync()).rejects.toMatchObject({ code: 'raft-log-closed' });
    expect(group.lastIndex()).toBe(0);
    await storage.close();
  });

  it('behaves as a list does, whatever is done to it and whenever it is opened again', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 12 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('truncate' as const), back: fc.integer({ min: 0, max: 20 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.integer({ min: 0, max: 20 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
    );
    let names = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const name = `g${++names}`;
        let storage = await kind.open();
        try {
          let group = await storage.openGroup(name, TEST_CONF);
          let first = 1;
          let list: RaftLogEntry[] = [];
          for (const [turn, one] of steps.entries()) {
            const last = first + list.length - 1;
            if (one.do === 'append') {
              const more = entries(last + 1, last + one.count, turn + 1);
              await group.logStore.appendAsync(more);
              list = [...list, ...more];
            } else if (one.do === 'truncate' && last - one.back >= first) {
              await group.logStore.truncateFromAsync(last - one.back);
              list = list.slice(0, list.length - one.back - 1);
            } else if (one.do === 'compact' && last - one.back >= first) {
              await compact(group, last - one.back);
              list = list.slice(list.length - one.back);
              first = last - one.back + 1;
            } else if (one.do === 'reopen') {
              await storage.close();
              storage = await kind.open();
              group = await storage.openGroup(name, TEST_CONF);
            }
            expect(await group.logStore.getFirstIndexAsync()).toBe(first);
            expect(await all(group.logStore)).toEqual(list.map(show));
          }
        } finally {
          await storage.close();
        }
      }),
      { numRuns: 12 },
    );
  });
});
