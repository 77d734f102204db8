// Given a disk that answers when the test says so, and snapshots that use it.

import { settle } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { BULK_CALLS, BulkFiles } from './bulk-files.js';
import type { StorageFile } from './storage-files.js';

/** Calls to the disk that are under way, by name. */
class HeldDisk {
  readonly calls: { readonly name: string; readonly end: () => void }[] = [];

  file(): StorageFile {
    const call = (name: string) => () =>
      new Promise<number>((end) => {
        this.calls.push({ name, end: () => end(0) });
      });
    return {
      descriptor: 7,
      write: async () => void (await call('write')()),
      read: call('read'),
      datasync: async () => void (await call('sync')()),
      truncate: async () => void (await call('truncate')()),
      readSync: () => 0,
      size: async () => 1,
      close: async () => undefined,
    };
  }

  async end(): Promise<void> {
    this.calls.shift()?.end();
    await settle();
  }
}

it('has no more calls of all files under way than leave the journal its threads', async () => {
  const disk = new HeldDisk();
  const make = async (): Promise<StorageFile> => disk.file();
  const files = new BulkFiles({
    create: make,
    openForReading: make,
    openForWriting: make,
  } as never);
  const [written, read, resumed] = [
    await files.create('a'),
    await files.openForReading('b'),
    await files.openForWriting('c'),
  ];
  const done = [
    written.write([], 0),
    written.datasync(),
    read.read(new Uint8Array(1), 0),
    resumed.truncate(0),
    resumed.datasync(),
  ];
  await settle();
  expect(disk.calls.map(({ name }) => name)).toEqual(['write', 'sync']);
  expect(BULK_CALLS).toBe(2);
  await disk.end();
  expect(disk.calls.map(({ name }) => name)).toEqual(['sync', 'read']);
  for (let n = 0; n < 4; n++) await disk.end();
  await Promise.all(done);
});
