// The SDK's IRaftLogStore contract, which every kind of log of this package keeps alike: segments that are mapped,
// segments that are read by position, and memory.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IRaftLogStore, RaftLogEntry } from '@datawarehouse/sdk';
import { raftLogStoreContract } from '@datawarehouse/sdk/testing';
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
  raftLogStoreContract({ describe, it, expect }, async () => {
    let storage = await kind.open();
    let group = await storage.openGroup('g', TEST_CONF);
    return {
      store: group.logStore,
      reopen: async () => {
        await storage.close();
        storage = await kind.open();
        group = await storage.openGroup('g', TEST_CONF);
        return group.logStore;
      },
      beforeCompaction: async (index) => {
        const term = group.term(index);
        if (term !== undefined)
          await group.saveSnapshot({ index, term, conf: TEST_CONF }, [Buffer.from('state')]);
      },
      dispose: () => storage.close(),
    };
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
