// Puts a snapshot together from chunks that a leader sends, in a file `….part` of its own. Each chunk carries its own
// checksum and has its place, so chunks may come out of order, a broken transfer goes on at the first missing chunk,
// and after a restart the file itself tells how far it got.

import type { SnapshotMetadata } from '../raft/types.js';
import type { SnapshotFiles } from './bulk-files.js';
import { chunkRefused } from './errors.js';
import {
  CHUNK_HEADER_BYTES,
  type SnapshotShape,
  checkedCrc,
  chunkCount,
  chunkLength,
  chunkOffset,
  digestOf,
  encodeEnd,
  encodeHead,
  parsePartName,
  partName,
  snapshotName,
} from './snapshot-format.js';
import { SteadySync } from './steady-sync.js';
import { type StorageFile, renameDurably, writeDurably } from './storage-files.js';

/** How far ahead of the first missing chunk a chunk may come: bounds what is remembered beside the file. */
export const MAX_CHUNKS_AHEAD = 256;

/** A file that a snapshot is received into. */
export class PartFile {
  readonly #head: Buffer;
  readonly #count: number;
  readonly #crcs: number[] = [];
  /** CRCs of chunks that came before one that is missing. */
  readonly #ahead = new Map<number, number>();
  readonly #syncs: SteadySync;
  #closing: Promise<void> | undefined;
  readonly #working = new Set<Promise<void>>();
  /** Once the disk has refused a write or a sync, nothing of the file is to be taken as written. */
  #broken = false;

  /** Opens the file of an earlier try, if there is one, and begins anew otherwise. @throws what the disk throws. */
  static async open(
    files: SnapshotFiles,
    groupId: string,
    metadata: SnapshotMetadata,
    shape: SnapshotShape,
  ): Promise<PartFile> {
    const name = partName(groupId, metadata, shape);
    let found = false;
    for (const other of await files.list()) {
      if (other === name) found = true;
      // A group receives one snapshot at a time; whatever else was begun is not gone on with.
      else if (parsePartName(other) === groupId) await files.remove(other);
    }
    const file = await (found ? files.openForWriting(name) : files.create(name));
    const part = new PartFile(files, file, name, groupId, metadata, shape);
    try {
      if (!found || !(await part.#resume())) await part.#begin();
      return part;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    private readonly files: SnapshotFiles,
    private readonly file: StorageFile,
    readonly name: string,
    private readonly groupId: string,
    private readonly metadata: SnapshotMetadata,
    private readonly shape: SnapshotShape,
  ) {
    this.#head = encodeHead(groupId, metadata);
    this.#count = chunkCount(shape.bytes);
    this.#syncs = new SteadySync(file);
  }

  /** The first chunk that is missing. */
  get next(): number {
    return this.#crcs.length;
  }

  /** Writes a chunk at its place. @throws DwError `raft-snapshot-chunk-refused`; what the disk throws. */
  async write(chunk: number, block: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(chunk) || chunk < 0 || chunk >= this.#count) {
      throw chunkRefused(this.groupId, chunk, `there are ${this.#count}`);
    }
    if (chunk < this.next || this.#ahead.has(chunk)) return;
    if (chunk >= this.next + MAX_CHUNKS_AHEAD) {
      throw chunkRefused(this.groupId, chunk, `chunk ${this.next} is the first that is missing`);
    }
    const crc = checkedCrc(block, chunkLength(this.shape.bytes, chunk));
    if (crc === undefined) throw chunkRefused(this.groupId, chunk, 'its length or its checksum is wrong');
    await this.#onDisk(async () => {
      await this.file.write([block], this.#offset(chunk));
      this.#note(chunk, crc);
      await this.#syncs.wrote(block.length);
    });
  }

  /**
   * Makes the whole durable under the snapshot's own name.
   * @throws DwError `raft-snapshot-chunk-refused` when something is missing or the whole is not what was announced.
   */
  async finish(): Promise<string> {
    if (this.next < this.#count) throw chunkRefused(this.groupId, this.next, 'it is missing');
    if (digestOf(this.#crcs) !== this.shape.digest) {
      // Every chunk is sound by itself, so these are chunks of another snapshot: nothing here can be gone on with.
      this.#broken = true;
      await this.close();
      throw chunkRefused(
        this.groupId,
        this.#count,
        'together the chunks are not the snapshot that was announced',
      );
    }
    await this.#onDisk(async () => {
      await this.#syncs.settled();
      await writeDurably(this.file, [encodeEnd(this.shape)], this.#endOffset());
    });
    await this.close();
    const name = snapshotName(this.groupId, this.metadata);
    await renameDurably(this.files, this.name, name);
    return name;
  }

  /** Closes the file, and removes one that cannot be gone on with. Calling it again does nothing. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    // A descriptor must not be closed, and given to another file, under a write or a sync.
    await Promise.allSettled(this.#working);
    await this.#syncs.settled().catch(() => {
      this.#broken = true;
    });
    await this.file.close();
    if (this.#broken) await this.files.remove(this.name);
  }

  async #onDisk(work: () => Promise<void>): Promise<void> {
    if (this.#broken) throw chunkRefused(this.groupId, this.next, 'the file could not be written before');
    if (this.#closing !== undefined) throw chunkRefused(this.groupId, this.next, 'the transfer was given up');
    const working = work();
    this.#working.add(working);
    try {
      await working;
    } catch (error) {
      this.#broken = true;
      throw error;
    } finally {
      this.#working.delete(working);
    }
  }

  /** Where the end goes: behind the last chunk. */
  #endOffset(): number {
    const last = this.#count - 1;
    if (last < 0) return this.#head.length;
    return this.#offset(last) + CHUNK_HEADER_BYTES + chunkLength(this.shape.bytes, last);
  }

  #offset(chunk: number): number {
    return this.#head.length + chunkOffset(chunk);
  }

  #note(chunk: number, crc: number): void {
    // It may have come twice at once.
    if (chunk < this.next) return;
    this.#ahead.set(chunk, crc);
    for (let crcOfNext = this.#ahead.get(this.next); crcOfNext !== undefined;) {
      this.#ahead.delete(this.next);
      this.#crcs.push(crcOfNext);
      crcOfNext = this.#ahead.get(this.next);
    }
  }

  async #begin(): Promise<void> {
    await this.file.truncate(0);
    await this.file.write([this.#head], 0);
  }

  /** @returns false when the file does not begin as this snapshot does. */
  async #resume(): Promise<boolean> {
    const head = Buffer.alloc(this.#head.length);
    await this.file.read(head, 0);
    if (!head.equals(this.#head)) return false;
    for (let chunk = 0; chunk < this.#count; chunk++) {
      const length = chunkLength(this.shape.bytes, chunk);
      const block = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + length);
      const read = await this.file.read(block, this.#offset(chunk));
      const crc = checkedCrc(block.subarray(0, read), length);
      if (crc === undefined) break;
      this.#crcs.push(crc);
    }
    return true;
  }
}
