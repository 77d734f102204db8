// Given groups of a node's storage that are destroyed, replaced and found damaged, in files and in memory.

import { mkdtemp, readFile, readdir, rm, writeFile, chmod, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Entry } from '../raft/types.js';
import { FileNodeStorage } from './file-node-storage.js';
import type { FileNodeStorageOptions } from './file-node-storage-options.js';
import { MemoryNodeStorage, type MemoryStorageImage } from './memory-node-storage.js';
import { CrashLog } from './testing/crash-log.js';
import { TEST_CONF } from './testing/storage-model.js';
import type { GroupDamage, GroupWrite, NodeStorage } from './types.js';

let directory = '';
let image: MemoryStorageImage | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-group-lives-'));
  image = undefined;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function turn(groupId: string, from: number, to: number, term = 1): GroupWrite {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    entries.push({ index, term, type: 'normal', data: Buffer.from(`${groupId} ${index}`) });
  }
  return { groupId, hardState: { term, vote: 'n1', commit: 0 }, entries, snapshot: undefined };
}

function openFiles(options: Partial<FileNodeStorageOptions> = {}): Promise<FileNodeStorage> {
  return FileNodeStorage.open({ directory, entriesPerSegment: 10, flushBytes: 1, cacheBytes: 0, ...options });
}

const kinds = [
  { name: 'files', open: (): Promise<NodeStorage> => openFiles() },
  {
    name: 'memory',
    open: async (): Promise<NodeStorage> => {
      const storage = new MemoryNodeStorage(image === undefined ? {} : { image });
      image = storage.image();
      const close = storage.close.bind(storage);
      storage.close = async () => {
        await close();
        image = storage.image();
      };
      return storage;
    },
  },
];

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  );
}

describe.each(kinds)('a storage in $name', ({ open }) => {
  it('has an id that is made once, and says when it was', async () => {
    const first = await open();
    const { storageId } = first;
    expect(first.fresh).toBe(true);
    expect(storageId).toMatch(/^[0-9a-f]{32}$/);
    await first.close();
    const again = await open();
    expect([again.fresh, again.storageId]).toEqual([false, storageId]);
    await again.close();
  });

  it('lets go of a group that is destroyed, and begins the id anew from nothing', async () => {
    const storage = await open();
    const old = await storage.openGroup('a', TEST_CONF);
    await storage.openGroup('b', TEST_CONF);
    await storage.write([turn('a', 1, 25, 3), turn('b', 1, 5)]);
    await old.saveSnapshot({ index: 20, term: 3, conf: TEST_CONF }, [Buffer.from('state')]);
    await storage.destroyGroup('a');
    await storage.destroyGroup('a');
    expect(storage.groupIds).toEqual(['b']);
    expect(await codeOf(storage.write([turn('a', 26, 26)]))).toBe('raft-group-not-open');
    expect(
      await codeOf(old.logStore.appendAsync([{ index: 26, term: 3, type: 'normal', data: Buffer.of(1) }])),
    ).toBe('raft-group-not-open');
    expect(await codeOf(old.saveSnapshot({ index: 21, term: 3, conf: TEST_CONF }, []))).toBe(
      'raft-group-not-open',
    );
    await storage.close();

    const again = await open();
    expect(again.groupIds).toEqual(['b']);
    const anew = await again.openGroup('a', TEST_CONF);
    expect([anew.firstIndex(), anew.lastIndex(), anew.snapshot()]).toEqual([1, 0, undefined]);
    expect(anew.initialState().hardState).toEqual({ term: 0, vote: undefined, commit: 0 });
    await again.write([turn('a', 1, 12, 1)]);
    await again.close();
    const last = await open();
    const a = await last.openGroup('a', TEST_CONF);
    expect([a.lastIndex(), a.term(12)]).toEqual([12, 1]);
    expect((await last.openGroup('b', TEST_CONF)).lastIndex()).toBe(5);
    await last.close();
  });

  it('puts an empty group in the place of one whose past is not to be believed', async () => {
    const storage = await open();
    await storage.openGroup('a', TEST_CONF);
    await storage.write([turn('a', 1, 25, 3)]);
    const conf = { ...TEST_CONF, voters: [], learners: ['n1'] };
    const anew = await storage.replaceGroup('a', conf);
    expect([anew.lastIndex(), anew.initialState().conf]).toEqual([0, conf]);
    expect(storage.damagedGroups()).toEqual([]);
    await storage.write([turn('a', 1, 2, 5)]);
    await storage.close();
    const again = await open();
    const a = await again.openGroup('a', TEST_CONF);
    expect([a.lastIndex(), a.term(2), a.initialState().conf]).toEqual([2, 5, conf]);
    await again.close();
  });

  it('makes a group that is to be replaced and never was here', async () => {
    const storage = await open();
    expect((await storage.replaceGroup('new', TEST_CONF)).lastIndex()).toBe(0);
    expect(storage.groupIds).toEqual(['new']);
    await storage.close();
  });

  it('does what is asked of one id one after another', async () => {
    const storage = await open();
    await storage.openGroup('a', TEST_CONF);
    const written = storage.write([turn('a', 1, 5)]);
    const [, anew] = await Promise.all([
      storage.destroyGroup('a'),
      storage.openGroup('a', TEST_CONF),
      written,
    ]);
    expect(anew.lastIndex()).toBe(0);
    await Promise.all([storage.replaceGroup('a', TEST_CONF), storage.destroyGroup('a')]);
    expect(storage.groupIds).toEqual([]);
    await storage.close();
  });
});

it('a group in memory that is told to be damaged is so until it is replaced, restarts included', async () => {
  const storage = new MemoryNodeStorage();
  await storage.openGroup('a', TEST_CONF);
  const damage: GroupDamage = { groupId: 'a', file: 'f', offset: 7, reason: 'a bit flipped' };
  const told: GroupDamage[] = [];
  storage.onGroupDamaged((one) => told.push(one));
  storage.damageGroup(damage);
  storage.damageGroup(damage);
  await Promise.resolve();
  expect(told).toEqual([damage]);
  const again = new MemoryNodeStorage({ image: storage.image() });
  expect(again.damagedGroups()).toEqual([damage]);
  expect(await codeOf(again.openGroup('a', TEST_CONF))).toBe('raft-group-damaged');
  await again.replaceGroup('a', TEST_CONF);
  expect([again.damagedGroups(), again.groupIds]).toEqual([[], ['a']]);
});

/** Two groups in files, a with sealed segments, both checkpointed. */
async function twoGroups(): Promise<void> {
  const storage = await openFiles({ checkpointBytes: 1 });
  await storage.openGroup('a', TEST_CONF);
  await storage.openGroup('b', TEST_CONF);
  for (let index = 1; index <= 31; index += 5) {
    await storage.write([turn('a', index, index + 4), turn('b', index, index + 4)]);
  }
  await (
    await storage.openGroup('a', TEST_CONF)
  ).saveSnapshot({ index: 31, term: 1, conf: TEST_CONF }, [Buffer.from('state')]);
  await storage.close();
}

async function flip(name: string, at: number): Promise<void> {
  const path = join(directory, name);
  const bytes = await readFile(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] as number) ^ 4;
  await chmod(path, 0o600);
  await writeFile(path, bytes);
}

const damages: readonly {
  readonly what: string;
  readonly file: string;
  make(path: string): Promise<void>;
}[] = [
  {
    what: 'a flipped bit in the footer of a sealed segment',
    file: 'raft-log-a-0000000011.seg',
    make: () => flip('raft-log-a-0000000011.seg', -9),
  },
  {
    what: 'a sealed segment that is shorter than it was',
    file: 'raft-log-a-0000000001.seg',
    make: (path) => truncate(path, 100),
  },
  { what: 'a sealed segment that is missing', file: 'raft-log-a-0000000011.seg', make: (path) => rm(path) },
  { what: 'a checkpoint with a flipped bit', file: 'group-a.meta', make: () => flip('group-a.meta', 60) },
  { what: 'a checkpoint that is missing', file: 'group-a.meta', make: (path) => rm(path) },
  { what: 'a snapshot that is missing', file: 'snapshot-a-1-31.snap', make: (path) => rm(path) },
];

describe('a group whose files are damaged', () => {
  it.each(damages)('by $what is named, and the others go on', async ({ file, make }) => {
    await twoGroups();
    const path = join(directory, file);
    await chmod(path, 0o600);
    await make(path);
    const storage = await openFiles();
    expect(storage.groupIds).toEqual(['b']);
    expect(storage.damagedGroups()).toMatchObject([{ groupId: 'a', file: path }]);
    const refused = await storage.openGroup('a', TEST_CONF).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'raft-group-damaged', details: { file: path } });
    const b = await storage.openGroup('b', TEST_CONF);
    expect(b.lastIndex()).toBe(35);
    await storage.write([turn('b', 36, 40)]);
    await storage.close();
  });

  it('stays damaged over restarts, even when the disk reads well again, until it is replaced', async () => {
    await twoGroups();
    await flip('raft-log-a-0000000011.seg', -9);
    const first = await openFiles();
    const found = first.damagedGroups();
    expect(found).toHaveLength(1);
    await first.close();
    await flip('raft-log-a-0000000011.seg', -9);
    const storage = await openFiles({ checkpointBytes: 1 });
    expect(storage.damagedGroups()).toEqual(found);
    const anew = await storage.replaceGroup('a', TEST_CONF);
    expect(anew.lastIndex()).toBe(0);
    expect(storage.damagedGroups()).toEqual([]);
    await storage.write([turn('a', 1, 3, 9)]);
    await storage.close();
    const aside = await readdir(join(directory, 'damaged'));
    expect(aside).toContain('000001-raft-log-a-0000000011.seg');
    expect(aside).toContain('000001-group-a.meta');
    expect(aside).toContain('000001-snapshot-a-1-31.snap');
    const again = await openFiles();
    expect([again.groupIds, again.damagedGroups()]).toEqual([['a', 'b'], []]);
    expect((await again.openGroup('a', TEST_CONF)).lastIndex()).toBe(3);
    await again.close();
  });

  it('can be destroyed', async () => {
    await twoGroups();
    await flip('group-a.meta', 60);
    const storage = await openFiles();
    await storage.destroyGroup('a');
    expect(storage.damagedGroups()).toEqual([]);
    await storage.close();
    expect((await readdir(directory)).filter((name) => name.includes('-a-'))).toEqual([]);
    const again = await openFiles();
    expect([again.groupIds, again.damagedGroups()]).toEqual([['b'], []]);
    await again.close();
  });

  it('keeps no more files aside than it may', async () => {
    const storage = await openFiles({ keepDamaged: 2 });
    await storage.openGroup('a', TEST_CONF);
    for (let time = 0; time < 5; time++) await storage.replaceGroup('a', TEST_CONF);
    await storage.close();
    const aside = await readdir(join(directory, 'damaged'));
    expect(aside.sort()).toEqual(['000004-group-a.meta', '000005-group-a.meta']);
  });
});

it('a tombstone stays as long as the journal speaks of its group, and goes with that', async () => {
  const log = new CrashLog();
  const storage = await openFiles({ checkpointBytes: 2_000, openLog: async () => log });
  await storage.openGroup('a', TEST_CONF);
  await storage.openGroup('b', TEST_CONF);
  await storage.write([turn('a', 1, 3)]);
  await storage.destroyGroup('a');
  expect(await readdir(directory)).toContain('group-a.meta');
  const stillThere = await openFiles({ openLog: async () => new CrashLog(log.crash()) });
  expect([stillThere.groupIds, stillThere.damagedGroups()]).toEqual([['b'], []]);
  await stillThere.close();
  const again = new CrashLog(log.crash());
  const last = await openFiles({ checkpointBytes: 2_000, openLog: async () => again });
  for (let index = 1; index < 60; index++) await last.write([turn('b', index, index)]);
  expect(again.firstPosition).toBeGreaterThan(5);
  const { storageId } = last;
  await last.close();
  expect(await readdir(directory)).not.toContain('group-a.meta');
  // The record that told the id first is gone as well; later ones repeat it.
  const reopened = await openFiles({ openLog: async () => new CrashLog(again.crash()) });
  expect([reopened.storageId, reopened.fresh, reopened.damagedGroups()]).toEqual([storageId, false, []]);
  await reopened.close();
});

it('a journal that lost everything is not taken for that of a new storage', async () => {
  await twoGroups();
  for (const name of await readdir(join(directory, 'journal'))) {
    await rm(join(directory, 'journal', name), { recursive: true });
  }
  const error: unknown = await openFiles().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'raft-log-damaged' });
  expect(String(error)).toContain('the journal is empty');
});

describe('a bit that flips while the node runs', () => {
  /** A clock whose time passes when it is waited for. */
  async function pass(clock: FakeClock, until: () => boolean): Promise<void> {
    for (let turns = 0; turns < 100_000 && !until(); turns++) {
      clock.advance(50);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect(until()).toBe(true);
  }

  it('is found by a read, which gives no wrong bytes, and told to whoever listens', async () => {
    await twoGroups();
    const storage = await openFiles();
    const told: GroupDamage[] = [];
    storage.onGroupDamaged((damage) => told.push(damage));
    const a = await storage.openGroup('a', TEST_CONF);
    await flip('raft-log-a-0000000011.seg', 90);
    expect(() => a.entries(11, 21, Infinity)).toThrow('raft-log-a-0000000011.seg at offset');
    expect(() => a.entries(11, 21, Infinity)).toThrow('raft-log-a-0000000011.seg at offset');
    await Promise.resolve();
    expect(told).toMatchObject([{ groupId: 'a', file: join(directory, 'raft-log-a-0000000011.seg') }]);
    expect(storage.damagedGroups()).toEqual(told);
    // What is sound can still be read, and written: it is for the engine to give the replica up.
    expect(a.entries(1, 11, Infinity)).toHaveLength(10);
    await storage.write([turn('a', 36, 36)]);
    await storage.replaceGroup('a', TEST_CONF);
    expect(storage.damagedGroups()).toEqual([]);
    await storage.close();
  });

  it.each(['raft-log-a-0000000011.seg', 'snapshot-a-1-31.snap'])(
    'in %s is found by looking over everything, before it is needed, and remembered',
    async (name) => {
      await twoGroups();
      const clock = new FakeClock();
      const storage = await openFiles({ clock, scrubBytesPerSecond: 10_000, scrubIntervalMs: 500 });
      const told: GroupDamage[] = [];
      storage.onGroupDamaged((damage) => told.push(damage));
      await pass(clock, () => storage.statistics().scrubbedBytes > 2_000);
      expect(told).toEqual([]);
      await flip(name, 90);
      await pass(clock, () => told.length > 0);
      expect(told).toMatchObject([{ groupId: 'a', file: join(directory, name) }]);
      expect(storage.statistics().scrubFailures).toBe(0);
      await storage.close();
      const again = await openFiles();
      expect(again.damagedGroups()).toEqual(told);
      await again.close();
    },
  );

  it('is not looked for when that is turned off', async () => {
    await twoGroups();
    const clock = new FakeClock();
    const storage = await openFiles({ clock, scrubBytesPerSecond: 0 });
    for (let turns = 0; turns < 100; turns++) {
      clock.advance(1_000);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect(storage.statistics().scrubbedBytes).toBe(0);
    await storage.close();
  });
});
