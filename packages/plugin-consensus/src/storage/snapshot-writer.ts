// Writes a snapshot to a file of its own: under a temporary name, in checked chunks, synced, then renamed. Memory is
// bounded by one chunk, whatever the source gives at a time.

import { crc32 } from '@datawarehouse/sdk';
import type { SnapshotMetadata } from '../raft/types.js';
import type { SnapshotFiles } from './bulk-files.js';
import {
  MAX_CHUNK_BYTES,
  digestOf,
  encodeChunkHeader,
  encodeEnd,
  encodeHead,
  snapshotName,
} from './snapshot-format.js';
import { SteadySync } from './steady-sync.js';
import { type StorageFile, renameDurably, writeDurably } from './storage-files.js';

let temporaryNames = 0;

/**
 * Writes a snapshot durably. Nothing is left behind when it fails.
 * @param aborted Rejects when the writing is to be given up; the source is then told to stop.
 * @returns the name of the file.
 * @throws what the source, the disk or `aborted` throws.
 */
export async function writeSnapshot(
  files: SnapshotFiles,
  groupId: string,
  metadata: SnapshotMetadata,
  chunks: AsyncIterator<Uint8Array>,
  aborted: Promise<never>,
): Promise<string> {
  const name = snapshotName(groupId, metadata);
  const temporary = `${name}.${++temporaryNames}.tmp`;
  const next = untilAborted(chunks, aborted);
  let finished = false;
  try {
    const file = await files.create(temporary);
    const syncs = new SteadySync(file);
    try {
      await new SnapshotBody(file, syncs).write(encodeHead(groupId, metadata), next);
    } finally {
      // A descriptor must not be closed, and given to another file, under a sync. How that one ends changes nothing: either
      // it was asked before the end was written, or the file is about to be removed.
      await syncs.settled().catch(() => undefined);
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

/**
 * The source's chunks one by one, until the writing is given up. One listener for all of them: a race with `aborted` for
 * each would keep every chunk in memory for as long as that promise is pending.
 */
function untilAborted(
  chunks: AsyncIterator<Uint8Array>,
  aborted: Promise<never>,
): () => Promise<IteratorResult<Uint8Array>> {
  let reason: { readonly error: unknown } | undefined;
  let giveUp: ((error: unknown) => void) | undefined;
  aborted.catch((error: unknown) => {
    reason = { error };
    giveUp?.(error);
  });
  return () =>
    new Promise((resolve, reject) => {
      giveUp = reject;
      if (reason === undefined) chunks.next().then(resolve, reject);
      else reject(reason.error);
    });
}

/** Bytes that a block has room for before it grows. */
const FIRST_BLOCK_BYTES = 4 * 1_024;

/** The source's chunks, gathered into blocks of a size that suits the disk. */
class SnapshotBody {
  readonly #crcs: number[] = [];
  /** Grows up to {@link MAX_CHUNK_BYTES}: the snapshots of most groups are far smaller, and there are many of those. */
  #block = Buffer.allocUnsafe(FIRST_BLOCK_BYTES);
  #filled = 0;
  #bytes = 0;
  #offset = 0;
  /** What goes to the disk with the next write: the head, a block, and the end of a small snapshot are one. */
  #waiting: Buffer[] = [];

  constructor(
    private readonly file: StorageFile,
    private readonly syncs: SteadySync,
  ) {}

  /** Writes all of it. On disk on return. */
  async write(head: Buffer, next: () => Promise<IteratorResult<Uint8Array>>): Promise<void> {
    this.#waiting.push(head);
    for (let found = await next(); found.done !== true; found = await next()) await this.#add(found.value);
    if (this.#filled > 0) this.#seal();
    await this.syncs.settled();
    this.#waiting.push(encodeEnd({ bytes: this.#bytes, digest: digestOf(this.#crcs) }));
    await writeDurably(this.file, this.#waiting, this.#offset);
  }

  async #add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + MAX_CHUNK_BYTES - this.#filled);
      this.#reserve(this.#filled + part.length);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === MAX_CHUNK_BYTES) await this.#flush();
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#block.length) return;
    const grown = Buffer.allocUnsafe(Math.min(MAX_CHUNK_BYTES, Math.max(bytes, 2 * this.#block.length)));
    this.#block.copy(grown, 0, 0, this.#filled);
    this.#block = grown;
  }

  async #flush(): Promise<void> {
    this.#seal();
    const pieces = this.#waiting;
    this.#waiting = [];
    await this.file.write(pieces, this.#offset);
    for (const piece of pieces) this.#offset += piece.length;
    const written = this.#filled;
    // Written, so that the block takes the next bytes.
    this.#filled = 0;
    await this.syncs.wrote(written);
  }

  /** Has the block go to the disk with the next write. */
  #seal(): void {
    const block = this.#block.subarray(0, this.#filled);
    const crc = crc32(block);
    this.#crcs.push(crc);
    this.#bytes += block.length;
    this.#waiting.push(encodeChunkHeader(block.length, crc), block);
  }
}
