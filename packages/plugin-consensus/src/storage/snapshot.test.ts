// Given a snapshot's file on the real disk.

import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SystemClock, isDwError, nextTurn } from '@datawarehouse/sdk';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotMetadata } from '../raft/types.js';
import { NodeStorageFiles } from './node-storage-files.js';
import { parseSnapshotName, snapshotName } from './snapshot-format.js';
import { checkSnapshot, readSnapshotChunks } from './snapshot-reader.js';
import { paced } from './snapshot-pace.js';
import { writeSnapshot } from './snapshot-writer.js';
import { TEST_CONF } from './testing/storage-model.js';

const metadata: SnapshotMetadata = { index: 42, term: 3, conf: TEST_CONF };
const never = new Promise<never>(() => undefined);
let directory = '';
let files = new NodeStorageFiles('.');
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-snapshot-'));
  files = new NodeStorageFiles(directory);
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function read(): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const chunk of readSnapshotChunks(files, 'g', metadata)) found.push(chunk);
  return Buffer.concat(found);
}

it('has a name that gives its group away, whatever the group is called', () => {
  expect(snapshotName('g', metadata)).toBe('snapshot-g-3-42.snap');
  expect(parseSnapshotName(snapshotName('a-1-2', metadata))).toBe('a-1-2');
  expect(parseSnapshotName('snapshot-g-3.snap')).toBeUndefined();
});

it('is the same when it is read back, whatever the sizes of its chunks', async () => {
  const chunks = [0, 1, 300_000, 5, 262_144, 700_000].map((size, at) => Buffer.alloc(size, at + 1));
  await writeSnapshot(files, 'g', metadata, paced(chunks), never);
  expect(await readdir(directory)).toEqual([snapshotName('g', metadata)]);
  expect((await read()).equals(Buffer.concat(chunks))).toBe(true);
  await checkSnapshot(files, 'g', metadata);
});

it('is the same when its source makes each chunk in the memory of the one before', async () => {
  const memory = Buffer.alloc(100_000);
  function* lent(): Generator<Uint8Array> {
    for (let n = 1; n <= 12; n++) yield memory.fill(n);
  }
  await writeSnapshot(files, 'g', metadata, paced(lent()), never);
  const wanted = Array.from({ length: 12 }, (_, n) => Buffer.alloc(100_000, n + 1));
  expect((await read()).equals(Buffer.concat(wanted))).toBe(true);
});

it('may be empty', async () => {
  await writeSnapshot(files, 'g', metadata, paced([]), never);
  expect(await read()).toHaveLength(0);
});

it('leaves nothing behind when its source fails', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(300_000);
    throw new Error('the source failed');
  }
  await expect(writeSnapshot(files, 'g', metadata, failing(), never)).rejects.toThrow('the source failed');
  expect(await readdir(directory)).toEqual([]);
});

it('is given up when it is to be, though its source hangs', async () => {
  let giveUp: ((error: Error) => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    giveUp = reject;
  });
  const hanging = { next: () => never, return: () => never };
  const written = writeSnapshot(files, 'g', metadata, hanging, aborted);
  giveUp?.(new Error('closing'));
  await expect(written).rejects.toThrow('closing');
  expect(await readdir(directory)).toEqual([]);
});

it('lets go of chunks that are written, though it may still be given up', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const chunks: WeakRef<Uint8Array>[] = [];
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 50; n++) {
      const chunk = Buffer.alloc(100_000, n);
      chunks.push(new WeakRef(chunk));
      yield chunk;
      await nextTurn(new SystemClock());
    }
    gc();
    expect(chunks.filter((chunk) => chunk.deref() !== undefined).length).toBeLessThan(10);
  }
  await writeSnapshot(files, 'g', metadata, source(), never);
});

describe('damage is named', () => {
  it('any flipped bit, any missing end', async () => {
    await writeSnapshot(files, 'g', metadata, paced([Buffer.from('the state of a group')]), never);
    const path = join(directory, snapshotName('g', metadata));
    await chmod(path, 0o600);
    const sound = await readFile(path);
    const variants: Buffer[] = [];
    for (let bit = 0; bit < sound.length * 8; bit += 61) {
      const bad = Buffer.from(sound);
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      variants.push(bad);
    }
    for (let length = 0; length < sound.length; length += 13) variants.push(sound.subarray(0, length));
    for (const bad of variants) {
      await writeFile(path, bad);
      const error: unknown = await read().catch((thrown: unknown) => thrown);
      expect(isDwError(error, 'raft-log-damaged')).toBe(true);
      expect(String(error)).toContain(path);
      if (bad.length < sound.length) {
        await expect(checkSnapshot(files, 'g', metadata)).rejects.toMatchObject({ code: 'raft-log-damaged' });
      }
    }
  });

  it('a file of another group or index', async () => {
    await writeSnapshot(files, 'g', metadata, paced([]), never);
    const path = join(directory, snapshotName('g', metadata));
    const other = { ...metadata, index: 43 };
    await writeFile(join(directory, snapshotName('g', other)), await readFile(path));
    await expect(checkSnapshot(files, 'g', other)).rejects.toMatchObject({ code: 'raft-log-damaged' });
  });

  it('a file that is not there', async () => {
    await expect(checkSnapshot(files, 'g', metadata)).rejects.toMatchObject({ code: 'raft-log-damaged' });
    await expect(read()).rejects.toMatchObject({ code: 'raft-snapshot-gone' });
  });
});
