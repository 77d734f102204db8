// Snapshots as blocks: a length and a body of whole records, so that a state is written and read piece by piece with
// little memory, however the chunks are cut on their way.

import { ByteWriter } from '../codec/byte-writer.js';
import { snapshotDamaged } from '../errors.js';

/** A block is closed when it has so many bytes. */
export const BLOCK_BYTES = 64 * 1_024;
/**
 * Bytes that a block's buffer has beyond that, so that the record which closes the block fits. Without them each block
 * is copied into a buffer of twice the size, and what the collector then has to clear away holds up whoever writes.
 */
const BLOCK_SLACK_BYTES = 8 * 1_024;
/** The first block's buffer grows from this: most states are smaller than a block, and there are many of those. */
const FIRST_BLOCK_BYTES = 2 * 1_024;
/** No block that we write is larger: one record with the largest value that any limit allows. */
export const MAX_BLOCK_BYTES = 256 * 1_024 * 1_024;
const LENGTH_BYTES = 4;

/** Begins a block of a kind whose body is about so long. Its length is filled in by {@link block}. */
export function blockWriter(kind: number, bytes: number): ByteWriter {
  const writer = new ByteWriter(LENGTH_BYTES + bytes);
  beginBlock(writer, kind);
  return writer;
}

function beginBlock(writer: ByteWriter, kind: number): void {
  writer.rewind();
  writer.u32(0);
  writer.u8(kind);
}

/** A block that is done as one chunk: its length and its body. */
export function block(writer: ByteWriter): Uint8Array {
  writer.u32At(0, bodyBytes(writer));
  return writer.finish();
}

function bodyBytes(writer: ByteWriter): number {
  return writer.length - LENGTH_BYTES;
}

/**
 * Whose the memory of a snapshot's chunks is: `own`, each has its own for as long as it is wanted; `lent`, a chunk may be
 * used until the next is pulled, and then its memory takes that one. A large state that is written with memory of its own for each
 * chunk leaves as much to the collector as the state has, whose threads then take the processors from everybody.
 */
export type ChunkMemory = 'own' | 'lent';

/** Records as blocks that begin with their kind. There is at least one block. */
export function* blocksOf<T>(
  kind: number,
  records: Iterable<T>,
  write: (writer: ByteWriter, record: T) => void,
  memory: ChunkMemory = 'own',
): Generator<Uint8Array> {
  let writer = blockWriter(kind, FIRST_BLOCK_BYTES);
  for (const record of records) {
    write(writer, record);
    if (bodyBytes(writer) < BLOCK_BYTES) continue;
    yield block(writer);
    if (memory === 'own') writer = blockWriter(kind, BLOCK_BYTES + BLOCK_SLACK_BYTES);
    else beginBlock(writer, kind);
  }
  yield block(writer);
}

/** Puts blocks together from chunks cut anywhere. */
export class BlockReader {
  /** Bytes received that do not make a whole block yet. */
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  /** What the next block has, once its length was read. */
  private expected: number | undefined;

  /** Whether bytes are left that make no block. */
  get partial(): boolean {
    return this.pendingBytes > 0 || this.expected !== undefined;
  }

  /** Takes the next chunk. It must stay as it is. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.pendingBytes += chunk.length;
  }

  /** The next whole block's body; undefined when more chunks are needed. @throws DwError `snapshot-damaged`. */
  next(): Buffer | undefined {
    if (this.expected === undefined) {
      if (this.pendingBytes < LENGTH_BYTES) return undefined;
      this.expected = this.take(LENGTH_BYTES).readUInt32LE(0);
      if (this.expected === 0 || this.expected > MAX_BLOCK_BYTES) {
        throw snapshotDamaged(`a block claims ${this.expected} bytes`);
      }
    }
    if (this.pendingBytes < this.expected) return undefined;
    const body = this.take(this.expected);
    this.expected = undefined;
    return body;
  }

  /** Takes out what was received and is no block yet. */
  rest(): Uint8Array {
    return this.take(this.pendingBytes);
  }

  private take(bytes: number): Buffer {
    const joined = this.pending.length === 1 ? (this.pending[0] as Buffer) : Buffer.concat(this.pending);
    const rest = joined.subarray(bytes);
    this.pending = rest.length === 0 ? [] : [rest];
    this.pendingBytes = rest.length;
    return joined.subarray(0, bytes);
  }
}
