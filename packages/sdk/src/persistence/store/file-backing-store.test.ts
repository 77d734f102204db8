import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { backingStoreContract } from '../../testing/backing-store-contract.js';
import { rejectionCode } from '../../testing/contract-hooks.js';
import { FakeClock } from '../../testing/fake-clock.js';
import { FaultyDisk, SeededRandom } from '../testing/faulty-disk.js';
import { FileBackingStore } from './file-backing-store.js';

backingStoreContract({ describe, it, expect }, async () => {
  const directory = await fs.mkdtemp(join(tmpdir(), 'dw-store-'));
  let store = await FileBackingStore.open({ directory });
  return {
    store,
    reopen: async () => {
      await store.closeAsync();
      store = await FileBackingStore.open({ directory });
      return store;
    },
    dispose: async () => {
      await store.closeAsync();
      await fs.rm(directory, { recursive: true });
    },
  };
});

describe('FileBackingStore', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'dw-store-'));
  });
  afterEach(() => fs.rm(directory, { recursive: true }));

  it('refuses what is over its bounds', async () => {
    const store = await FileBackingStore.open({ directory, maxValueBytes: 10, maxPaths: 1 });
    expect(await rejectionCode(store.writeAsync('dw://a', new Uint8Array(11)))).toBe('store-value-too-large');
    await store.writeAsync('dw://a', new Uint8Array(10));
    expect(await rejectionCode(store.appendAsync('dw://a', new Uint8Array(1)))).toBe('store-value-too-large');
    expect(await rejectionCode(store.writeAsync('dw://b', new Uint8Array(1)))).toBe('store-full');
    const many = Array.from({ length: 10_001 }, () => ({ type: 'delete', path: 'dw://a' }) as const);
    expect(await rejectionCode(store.batchAsync(many))).toBe('store-batch-too-large');
    const noBytes = 'text' as unknown as Uint8Array;
    expect(await rejectionCode(store.writeAsync('dw://a', noBytes))).toBe('store-invalid-data');
    await store.closeAsync();
  });

  it('tells nobody of a change before it is on disk', async () => {
    const disk = new FaultyDisk(new SeededRandom(1));
    const store = await FileBackingStore.open({ directory, files: disk, clock: new FakeClock() });
    await store.writeAsync('dw://old', Buffer.from('1'));
    const before = disk.synced;
    const write = store.writeAsync('dw://a', Buffer.from('1'));
    const remove = store.deleteAsync('dw://old');
    const answers: Promise<unknown>[] = [
      write,
      remove,
      store.existsAsync('dw://a'),
      store.readAsync('dw://a'),
      store.readAsync('dw://old'),
      store.deleteAsync('dw://old'),
      store.appendAsync('dw://a', Buffer.alloc(0)),
      store.listAsync('dw://'),
      rejectionCode(store.writeAsync('dw://a', Buffer.from('2'), { ifVersion: 'absent' })),
    ];
    const synced = await Promise.all(answers.map((answer) => answer.then(() => disk.synced - before)));
    expect(synced).toEqual(answers.map(() => 1));
    await store.closeAsync();
  });

  it('keeps its files small however much is overwritten, and loses nothing to cleaning', async () => {
    const options = { directory, segmentBytes: 64 * 1024 };
    let store = await FileBackingStore.open(options);
    await store.writeAsync('dw://still', Buffer.from('here'));
    await store.appendAsync('dw://still', Buffer.from(' and there'));
    await store.writeAsync('dw://empty', Buffer.alloc(0));
    const still = await store.readVersionedAsync('dw://still');
    for (let round = 0; round < 60; round++) {
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => store.writeAsync(`dw://k/${i}`, Buffer.alloc(1000, round))),
      );
    }
    await store.closeAsync();
    const sizes = await Promise.all(
      (await fs.readdir(directory)).map(async (name) => (await fs.stat(join(directory, name))).size),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(700_000);
    store = await FileBackingStore.open(options);
    expect(await store.readVersionedAsync('dw://still')).toEqual(still);
    expect(await store.readAsync('dw://empty')).toEqual(new Uint8Array(0));
    for (let i = 0; i < 20; i++) expect((await store.readAsync(`dw://k/${i}`))?.[999]).toBe(59);
    await store.closeAsync();
  });

  it('joins the parts of a value that grows in small steps', async () => {
    const store = await FileBackingStore.open({ directory, segmentBytes: 64 * 1024 });
    const lines = Array.from({ length: 3000 }, (_, index) => `line ${index}\n`);
    for (let at = 0; at < lines.length; at += 30) {
      await Promise.all(
        lines.slice(at, at + 30).map((line) => store.appendAsync('dw://a', Buffer.from(line))),
      );
    }
    expect(Buffer.from((await store.readAsync('dw://a')) ?? []).toString()).toBe(lines.join(''));
    await store.closeAsync();
    const again = await FileBackingStore.open({ directory });
    expect(Buffer.from((await again.readAsync('dw://a')) ?? []).toString()).toBe(lines.join(''));
    await again.closeAsync();
  });
});
