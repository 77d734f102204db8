// Given a group's checkpoint on the real disk.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type GroupMeta,
  loadCheckpoint,
  metaName,
  parseMetaName,
  saveMeta,
  saveTombstone,
} from './group-meta.js';
import { NodeStorageFiles } from './node-storage-files.js';
import { TEST_CONF } from './testing/storage-model.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-meta-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const meta: GroupMeta = {
  groupId: 'orders',
  bootstrap: TEST_CONF,
  hardState: { term: 4, vote: 'n2', commit: 9 },
  snapshot: { index: 7, term: 3, conf: TEST_CONF },
  compacted: { index: 5, term: 3 },
  segments: [
    { start: 1, last: 9, bytes: 333, footerBytes: 80, sealed: true },
    { start: 10, last: 12, bytes: 222, footerBytes: 0, sealed: false },
  ],
  journalPosition: 77,
};

it('is the same when it is read back, also without vote and snapshot', async () => {
  const files = new NodeStorageFiles(directory);
  const bare = {
    ...meta,
    hardState: { ...meta.hardState, vote: undefined },
    snapshot: undefined,
    segments: [],
  };
  for (const one of [meta, bare]) {
    await saveMeta(files, one);
    expect(await loadCheckpoint(files, 'orders')).toEqual({ kind: 'group', meta: one });
  }
  expect(parseMetaName(metaName('a.b-c'))).toBe('a.b-c');
});

it('is damaged, and says so with its name, when any bit or any part of it is', async () => {
  const files = new NodeStorageFiles(directory);
  await saveMeta(files, meta);
  const path = join(directory, metaName('orders'));
  const sound = await readFile(path);
  for (let bit = 0; bit < sound.length * 8 - 8; bit += 37) {
    const bad = Buffer.from(sound);
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
    await writeFile(path, bad);
    const error = await loadCheckpoint(files, 'orders').catch((thrown: unknown) => thrown);
    expect((error as { code: string }).code).toBe('raft-log-damaged');
    expect(String(error)).toContain(path);
  }
  for (let length = 0; length < sound.length; length += 17) {
    await writeFile(path, sound.subarray(0, length));
    await expect(loadCheckpoint(files, 'orders')).rejects.toMatchObject({ code: 'raft-log-damaged' });
  }
});

it('is refused when it is that of another group', async () => {
  const files = new NodeStorageFiles(directory);
  await saveMeta(files, meta);
  await writeFile(join(directory, metaName('other')), await readFile(join(directory, metaName('orders'))));
  await expect(loadCheckpoint(files, 'other')).rejects.toMatchObject({ code: 'raft-log-damaged' });
});

it('is gone when a tombstone stands in its place, and a later checkpoint stands in the place of that', async () => {
  const files = new NodeStorageFiles(directory);
  await saveMeta(files, meta);
  await saveTombstone(files, { groupId: 'orders', journalPosition: 77 });
  expect(await loadCheckpoint(files, 'orders')).toEqual({
    kind: 'destroyed',
    tombstone: { groupId: 'orders', journalPosition: 77 },
  });
  await saveMeta(files, meta);
  expect(await loadCheckpoint(files, 'orders')).toMatchObject({ kind: 'group' });
});

it('is of a version that is not known, and not damaged, when neither number nor checksum fit', async () => {
  const text = Buffer.from('DWMETA 2 00000000 2\n{}\n');
  await writeFile(join(directory, metaName('orders')), text);
  await expect(loadCheckpoint(new NodeStorageFiles(directory), 'orders')).rejects.toMatchObject({
    code: 'raft-storage-format-unknown',
  });
});
