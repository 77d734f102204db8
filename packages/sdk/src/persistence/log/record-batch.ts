// What goes to the disk in one write: the records of one batch, encoded as they are appended. Small payloads are
// copied into a chunk that is used again and again; large ones are written from where the caller keeps them.
// This is the hot path of the log: one CRC and one promise a record, no other allocation of its own.

import { crc32 } from '../../checksum/crc32.js';
import { deferred } from './deferred.js';
import { RECORD_HEADER_BYTES, recordBytes, viewOf } from './log-format.js';
import type { LogSegment } from './log-segment.js';

/** Size of a chunk, unless segments are smaller; payloads up to an eighth of it are copied. */
const CHUNK_BYTES = 256 * 1024;
const LEAST_CHUNK_BYTES = 4 * 1024;
const SPARE_CHUNKS = 4;
const TWO_32 = 0x1_0000_0000;

/** A piece of memory that batches are encoded into. */
interface Chunk {
  /** A whole array buffer. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Chunks that no batch uses now; at most a few are kept. */
export class ChunkPool {
  readonly #free: Chunk[] = [];
  /** Bytes of each. */
  readonly chunkBytes: number;
  /** Payloads up to so many bytes are copied. */
  readonly copyLimit: number;

  /** @param segmentBytes What the files hold that the batches go to: a batch seldom holds more. */
  constructor(segmentBytes: number) {
    this.chunkBytes = Math.min(CHUNK_BYTES, Math.max(LEAST_CHUNK_BYTES, segmentBytes & ~7));
    this.copyLimit = this.chunkBytes / 8;
  }

  take(): Chunk {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const bytes = new Uint8Array(this.chunkBytes);
    return { bytes, view: viewOf(bytes) };
  }

  giveBack(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) if (this.#free.length < SPARE_CHUNKS) this.#free.push(chunk);
  }
}

/** The records of one write and one sync. */
export class RecordBatch {
  readonly #outcome = deferred();
  /** Bytes on disk. */
  bytes = 0;
  /** Position after the last record. */
  end: number;
  readonly #chunks: Chunk[] = [];
  readonly #pieces: Uint8Array[] = [];
  #chunk: Chunk;
  /** Start of the part of the chunk that is not in `#pieces` yet. */
  #pieceStart = 0;
  #used = 0;

  /**
   * @param segment where it goes
   * @param offset where in the segment's file
   * @param start position of its first record; all below it are on disk when this batch is written
   * @param headerBlock the segment's header block, if its file is to be made first
   */
  constructor(
    readonly segment: LogSegment,
    readonly offset: number,
    readonly start: number,
    readonly headerBlock: Buffer | undefined,
    private readonly pool: ChunkPool,
  ) {
    this.end = start;
    this.#chunk = this.#newChunk();
  }

  /** Adds the record at position `end`. @returns its CRC. */
  add(parts: readonly Uint8Array[], length: number): number {
    const copied = length <= this.pool.copyLimit;
    const total = recordBytes(length);
    const needed = copied ? total : RECORD_HEADER_BYTES + 8;
    if (this.#used + needed > this.pool.chunkBytes) {
      this.#flushPiece();
      this.#chunk = this.#newChunk();
    }
    const { view } = this.#chunk;
    const at = this.#used;
    view.setUint32(at + 4, length, true);
    view.setUint32(at + 8, this.end % TWO_32, true);
    view.setUint32(at + 12, Math.floor(this.end / TWO_32), true);
    view.setUint32(at + 16, this.end - this.start, true);
    view.setUint32(at + 20, this.segment.header.salt, true);
    const crc = copied ? this.#copy(parts, length, total) : this.#refer(parts, length, total);
    view.setUint32(at, crc, true);
    this.bytes += total;
    this.end += 1;
    return crc;
  }

  /** Resolves when the batch is on disk; rejects when the log fails first. */
  get done(): Promise<void> {
    return this.#outcome.promise;
  }

  /** The batch is on disk. */
  succeed(): void {
    this.#outcome.resolve();
  }

  /** The log failed before the batch was on disk. */
  fail(error: Error): void {
    this.#outcome.reject(error);
  }

  /** What to write, in order. */
  pieces(): readonly Uint8Array[] {
    this.#flushPiece();
    return this.#pieces;
  }

  /** Lets the memory go; to be called once the write is over. */
  release(): void {
    this.pool.giveBack(this.#chunks);
    this.#chunks.length = 0;
    this.#pieces.length = 0;
  }

  #copy(parts: readonly Uint8Array[], length: number, total: number): number {
    const { bytes } = this.#chunk;
    const at = this.#used;
    let to = at + RECORD_HEADER_BYTES;
    for (const part of parts) {
      bytes.set(part, to);
      to += part.byteLength;
    }
    for (const end = at + total; to < end; to++) bytes[to] = 0;
    this.#used = at + total;
    // Made directly: Buffer's subarray costs twice as much, and this is the larger part of an append.
    const covered = new Uint8Array(bytes.buffer, at + 4, RECORD_HEADER_BYTES - 4 + length);
    return crc32(covered, this.segment.header.seed);
  }

  #refer(parts: readonly Uint8Array[], length: number, total: number): number {
    const { bytes } = this.#chunk;
    const at = this.#used;
    let crc = crc32(bytes.subarray(at + 4, at + RECORD_HEADER_BYTES), this.segment.header.seed);
    this.#used = at + RECORD_HEADER_BYTES;
    this.#flushPiece();
    for (const part of parts) {
      if (part.byteLength === 0) continue;
      crc = crc32(part, crc);
      this.#pieces.push(part);
    }
    const padding = total - RECORD_HEADER_BYTES - length;
    bytes.fill(0, this.#used, this.#used + padding);
    this.#used += padding;
    return crc;
  }

  #flushPiece(): void {
    if (this.#used > this.#pieceStart) {
      this.#pieces.push(this.#chunk.bytes.subarray(this.#pieceStart, this.#used));
    }
    this.#pieceStart = this.#used;
  }

  #newChunk(): Chunk {
    const chunk = this.pool.take();
    this.#chunks.push(chunk);
    this.#used = 0;
    this.#pieceStart = 0;
    return chunk;
  }
}
