// Given chunks of a leader's snapshot that come as a network and a disk let them.

import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotMetadata } from '../raft/types.js';
import { memorySource } from './memory-snapshot.js';
import { NodeStorageFiles } from './node-storage-files.js';
import { CHUNK_HEADER_BYTES, MAX_CHUNK_BYTES, chunkCount, encodeHead } from './snapshot-format.js';
import { openSnapshotSource, readSnapshotChunks } from './snapshot-reader.js';
import { MAX_CHUNKS_AHEAD, PartFile } from './snapshot-sink.js';
import type { StorageFile } from './storage-files.js';
import { TEST_CONF } from './testing/storage-model.js';

const metadata: SnapshotMetadata = { index: 42, term: 3, conf: TEST_CONF };
let directory = '';
let files = new NodeStorageFiles('.');
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-sink-'));
  files = new NodeStorageFiles(directory);
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A body of so many chunks, the last of them short, each unlike the others. */
function bodyOf(chunks: number): Buffer {
  const body = Buffer.alloc((chunks - 1) * MAX_CHUNK_BYTES + 1_000);
  for (let chunk = 0; chunk < chunks; chunk++) body.fill(chunk + 1, chunk * MAX_CHUNK_BYTES);
  return body;
}

const body = bodyOf(5);
const source = memorySource({ metadata, chunks: [body] });

async function received(): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const chunk of readSnapshotChunks(files, 'g', metadata)) found.push(chunk);
  return Buffer.concat(found);
}

async function give(part: PartFile, chunks: readonly number[]): Promise<void> {
  for (const chunk of chunks) await part.write(chunk, await source.read(chunk));
}

describe('a snapshot that is received', () => {
  it('is whole whatever the order in which its chunks come, and how often', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
        fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
        async (order, again) => {
          const part = await PartFile.open(files, 'g', metadata, source.shape);
          await Promise.all([...order, ...again].map((chunk) => give(part, [chunk])));
          await part.finish();
          expect((await received()).equals(body)).toBe(true);
          expect(await readdir(directory)).toEqual(['snapshot-g-3-42.snap']);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('may be empty', async () => {
    const empty = memorySource({ metadata, chunks: [] });
    await (await PartFile.open(files, 'g', metadata, empty.shape)).finish();
    expect(await received()).toHaveLength(0);
  });

  it('can be sent on from its file, chunk by chunk, also when the file was removed meanwhile', async () => {
    const part = await PartFile.open(files, 'g', metadata, source.shape);
    await give(part, [0, 1, 2, 3, 4]);
    await files.remove(await part.finish().then((name) => name));
    await expect(openSnapshotSource(files, 'g', metadata)).rejects.toMatchObject({
      code: 'raft-snapshot-gone',
    });
    const again = await PartFile.open(files, 'g', metadata, source.shape);
    await give(again, [0, 1, 2, 3, 4]);
    await again.finish();
    const onward = await openSnapshotSource(files, 'g', metadata);
    await files.remove('snapshot-g-3-42.snap');
    expect(onward.shape).toEqual(source.shape);
    for (const chunk of [4, 0, 2]) {
      expect(Buffer.from(await onward.read(chunk)).equals(await source.read(chunk))).toBe(true);
    }
    await onward.close();
  });

  it('goes on at the first missing chunk after a break and after a restart', async () => {
    const first = await PartFile.open(files, 'g', metadata, source.shape);
    await give(first, [0, 1, 3]);
    expect(first.next).toBe(2);
    await first.close();
    const second = await PartFile.open(files, 'g', metadata, source.shape);
    // What lies beyond the gap is asked for again: only the beginning is known to be there.
    expect(second.next).toBe(2);
    await give(second, [2, 3, 4]);
    await second.finish();
    expect((await received()).equals(body)).toBe(true);
  });

  it('goes on before a chunk that the crash has torn', async () => {
    const part = await PartFile.open(files, 'g', metadata, source.shape);
    await give(part, [0, 1, 2]);
    await part.close();
    const torn = await open(join(directory, part.name), 'r+');
    const head = encodeHead('g', metadata).length;
    await torn.write(Buffer.alloc(100), 0, 100, head + CHUNK_HEADER_BYTES + MAX_CHUNK_BYTES + 5_000);
    await torn.close();
    const again = await PartFile.open(files, 'g', metadata, source.shape);
    expect(again.next).toBe(1);
    await again.close();
  });

  it('is begun anew when its body is another, though term and index are the same', async () => {
    const part = await PartFile.open(files, 'g', metadata, source.shape);
    await give(part, [0, 1]);
    await part.close();
    const other = memorySource({ metadata, chunks: [bodyOf(3).fill(9)] });
    const next = await PartFile.open(files, 'g', metadata, other.shape);
    expect(next.next).toBe(0);
    await next.close();
    // And what was begun before does not stay behind.
    expect((await readdir(directory)).filter((name) => name.endsWith('.part'))).toHaveLength(1);
  });

  it('does not take the file of another membership for its own', async () => {
    const part = await PartFile.open(files, 'g', metadata, source.shape);
    await give(part, [0]);
    await part.close();
    const changed = { ...metadata, conf: { ...TEST_CONF, voters: ['x'] } };
    const next = await PartFile.open(files, 'g', changed, source.shape);
    expect(next.next).toBe(0);
    await next.close();
  });
});

describe('what is not as announced is refused', () => {
  it('a chunk with a flipped bit, of another length, out of range, or far ahead', async () => {
    const part = await PartFile.open(files, 'g', metadata, source.shape);
    const flipped = Buffer.from(await source.read(1));
    flipped[100] = (flipped[100] as number) ^ 1;
    const refused = { code: 'raft-snapshot-chunk-refused' };
    await expect(part.write(1, flipped)).rejects.toMatchObject(refused);
    await expect(part.write(4, await source.read(0))).rejects.toMatchObject(refused);
    await expect(part.write(5, await source.read(4))).rejects.toMatchObject(refused);
    await expect(part.write(-1, await source.read(0))).rejects.toMatchObject(refused);
    await expect(part.write(0, new Uint8Array(3))).rejects.toMatchObject(refused);
    await expect(part.finish()).rejects.toMatchObject(refused);
    expect(part.next).toBe(0);
    await part.close();
    const shape = { bytes: (MAX_CHUNKS_AHEAD + 10) * MAX_CHUNK_BYTES, digest: source.shape.digest };
    const long = await PartFile.open(files, 'g', { ...metadata, index: 50 }, shape);
    await expect(long.write(MAX_CHUNKS_AHEAD, await source.read(0))).rejects.toMatchObject(refused);
    await long.close();
  });

  it('chunks that are sound but of another snapshot, and the file is not gone on with', async () => {
    const part = await PartFile.open(files, 'g', metadata, { ...source.shape, digest: '0'.repeat(64) });
    await give(part, [0, 1, 2, 3, 4]);
    await expect(part.finish()).rejects.toMatchObject({ code: 'raft-snapshot-chunk-refused' });
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('a disk that fails', () => {
  /** Files whose sync fails once. */
  class FailingSync extends NodeStorageFiles {
    override async create(name: string): Promise<StorageFile> {
      const file = await super.create(name);
      let failed = false;
      return new Proxy(file, {
        get: (target, property) => {
          if (property === 'datasync' && !failed) {
            return async () => {
              failed = true;
              throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'fdatasync' });
            };
          }
          const value: unknown = Reflect.get(target, property);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    }
  }

  it('leaves nothing that a later try would take as written', async () => {
    const part = await PartFile.open(new FailingSync(directory), 'g', metadata, source.shape);
    const all = Array.from({ length: chunkCount(source.shape.bytes) }, (_, chunk) => chunk);
    await expect(give(part, all).then(() => part.finish())).rejects.toThrow('EIO');
    await expect(give(part, all).then(() => part.finish())).rejects.toMatchObject({
      code: 'raft-snapshot-chunk-refused',
    });
    await part.close();
    expect(await readdir(directory)).toEqual([]);
  });

  it('is noticed also when nothing is written after the sync that failed', async () => {
    const part = await PartFile.open(new FailingSync(directory), 'g', metadata, source.shape);
    const written = give(part, [0]);
    // The sync begins with the first chunk, and fails in the background.
    await written.catch(() => undefined);
    await part.close();
    expect(await readdir(directory)).toEqual([]);
  });
});
