// Writes a snapshot to a file of its own: under a temporary name, in checked chunks, synced, then renamed. Memory is
// bounded by one chunk, whatever the source gives at a time.

import { type Clock, crc32, nextTurn, SystemClock } from '@datawarehouse/sdk';
import type { SnapshotMetadata } from '../raft/types.js';
import {
  MAX_CHUNK_BYTES,
  digestOf,
  encodeChunkHeader,
  encodeEnd,
  encodeHead,
  snapshotName,
} from './snapshot-format.js';
import { type StorageFile, type StorageFiles, renameDurably, writeDurably } from './storage-files.js';

/**
 * Bytes after which a long file is synced while it is written. One sync of a gigabyte at the end would hold up every
 * write of the journal behind it on the same disk.
 */
export const SYNC_EVERY_BYTES = 8 * 1024 * 1_024;

let temporaryNames = 0;

/**
 * Writes a snapshot durably. Nothing is left behind when it fails.
 * @param aborted Rejects when the writing is to be given up; the source is then told to stop.
 * @returns the name of the file.
 * @throws what the source, the disk or `aborted` throws.
 */
export async function writeSnapshot(
  files: StorageFiles,
  groupId: string,
  metadata: SnapshotMetadata,
  chunks: AsyncIterator<Uint8Array>,
  aborted: Promise<never>,
): Promise<string> {
  const name = snapshotName(groupId, metadata);
  const temporary = `${name}.${++temporaryNames}.tmp`;
  // It may be rejected while nobody races with it.
  aborted.catch(() => undefined);
  let finished = false;
  try {
    const file = await files.create(temporary);
    try {
      await new SnapshotBody(file).write(encodeHead(groupId, metadata), chunks, aborted);
    } finally {
      await file.close();
    }
    await renameDurably(files, temporary, name);
    finished = true;
    return name;
  } finally {
    if (!finished) {
      // A source that hangs must not hold us: it is told to stop, and not waited for.
      Promise.resolve(chunks.return?.()).catch(() => undefined);
      await files.remove(temporary);
    }
  }
}

/** The source's chunks, gathered into blocks of a size that suits the disk. */
class SnapshotBody {
  readonly #crcs: number[] = [];
  readonly #block = Buffer.allocUnsafe(MAX_CHUNK_BYTES);
  #filled = 0;
  #bytes = 0;
  #offset = 0;
  #unsynced = 0;
  /** What goes to the disk with the next write: the head, a block, and the end of a small snapshot are one. */
  #waiting: Buffer[] = [];

  constructor(private readonly file: StorageFile) {}

  /** Writes all of it. On disk on return. */
  async write(head: Buffer, chunks: AsyncIterator<Uint8Array>, aborted: Promise<never>): Promise<void> {
    this.#waiting.push(head);
    for (;;) {
      const next = await Promise.race([chunks.next(), aborted]);
      if (next.done === true) break;
      await this.#add(next.value);
    }
    if (this.#filled > 0) this.#seal();
    this.#waiting.push(encodeEnd({ bytes: this.#bytes, digest: digestOf(this.#crcs) }));
    await writeDurably(this.file, this.#waiting, this.#offset);
  }

  async #add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + MAX_CHUNK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === MAX_CHUNK_BYTES) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    this.#seal();
    const pieces = this.#waiting;
    this.#waiting = [];
    if (this.#unsynced < SYNC_EVERY_BYTES) {
      await this.file.write(pieces, this.#offset);
    } else {
      this.#unsynced = 0;
      await writeDurably(this.file, pieces, this.#offset);
    }
    for (const piece of pieces) this.#offset += piece.length;
    // Written, so that the block takes the next bytes.
    this.#filled = 0;
  }

  /** Has the block go to the disk with the next write. */
  #seal(): void {
    const block = this.#block.subarray(0, this.#filled);
    const crc = crc32(block);
    this.#crcs.push(crc);
    this.#bytes += block.length;
    this.#unsynced += block.length;
    this.#waiting.push(encodeChunkHeader(block.length, crc), block);
  }
}

/** Bytes taken from a source before the event loop goes round, and for how many a chunk counts at least. */
const TURN_BYTES = 64 * 1024;
const LEAST_CHUNK_BYTES = 16 * 1024;

/** Takes the chunks of a synchronous source, with the event loop free between them: all but the smallest one by one. */
export async function* paced(
  chunks: Iterable<Uint8Array>,
  clock: Clock = new SystemClock(false),
): AsyncGenerator<Uint8Array, void> {
  let taken = 0;
  for (const chunk of chunks) {
    yield chunk;
    taken += Math.max(chunk.byteLength, LEAST_CHUNK_BYTES);
    if (taken < TURN_BYTES) continue;
    taken = 0;
    await nextTurn(clock);
  }
}
