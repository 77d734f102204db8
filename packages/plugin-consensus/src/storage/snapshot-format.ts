// The bytes of a snapshot file `snapshot-{groupId}-{term}-{index}.snap`, all numbers little-endian:
//
//   head     magic "DWSNAP02", u32 length and u32 CRC of what follows, then JSON {groupId, metadata}
//   chunk    u32 length, u32 CRC, bytes; repeated. All but the last are MAX_CHUNK_BYTES long
//   end      u32 0xffffffff, u32 CRC of the rest, u64 bytes of all chunks, SHA-256 of the chunks' CRCs
//
// The end is what makes a file whole: one that lacks it was never finished. Chunks carry their own checksums and lie
// where their number says, so that a copy can be made of them in any order and gone on with after a break; the digest
// over the checksums ties them together. It costs a hash of four bytes a chunk instead of one of all bytes.

import { crc32 } from '@datawarehouse/sdk';
import { createHash } from 'node:crypto';
import type { SnapshotMetadata } from '../raft/types.js';
import { readSnapshotMetadata } from './group-meta.js';

/** Bytes of the fixed part of the head. */
export const SNAPSHOT_HEAD_BYTES = 16;
/** Bytes before the bytes of a chunk. */
export const CHUNK_HEADER_BYTES = 8;
/** Bytes of the end. */
export const SNAPSHOT_END_BYTES = 48;
/** Length of every chunk but the last, which may be shorter. */
export const MAX_CHUNK_BYTES = 256 * 1024;
/** Longest metadata; a longer length is damage. */
export const MAX_METADATA_BYTES = 1024 * 1024;
/** What stands in place of a chunk's length at the end. */
export const END_MARK = 0xffffffff;

const MAGIC = Buffer.from('DWSNAP02', 'latin1');

/** The name of a snapshot's file. */
export function snapshotName(
  groupId: string,
  metadata: { readonly term: number; readonly index: number },
): string {
  return `snapshot-${groupId}-${metadata.term}-${metadata.index}.snap`;
}

/** The group of a snapshot's name; undefined for other names. */
export function parseSnapshotName(name: string): string | undefined {
  return /^snapshot-(.+)-\d{1,16}-\d{1,16}\.snap$/.exec(name)?.[1];
}

/** The name of the file that a snapshot of this shape is received into. */
export function partName(
  groupId: string,
  metadata: { readonly term: number; readonly index: number },
  shape: SnapshotShape,
): string {
  return `snapshot-${groupId}-${metadata.term}-${metadata.index}-${shape.digest.slice(0, 16)}.part`;
}

/** The group of a partly received snapshot's name; undefined for other names. */
export function parsePartName(name: string): string | undefined {
  return /^snapshot-(.+)-\d{1,16}-\d{1,16}-[0-9a-f]{16}\.part$/.exec(name)?.[1];
}

/** The head of a snapshot. */
export function encodeHead(groupId: string, metadata: SnapshotMetadata): Buffer {
  const json = Buffer.from(JSON.stringify({ groupId, metadata }));
  const fixed = Buffer.alloc(SNAPSHOT_HEAD_BYTES);
  MAGIC.copy(fixed);
  fixed.writeUInt32LE(json.length, 8);
  fixed.writeUInt32LE(crc32(json), 12);
  return Buffer.concat([fixed, json]);
}

/** Bytes of the JSON that follows the fixed part of a head; undefined when this is no head. */
export function metadataBytes(fixed: Buffer): number | undefined {
  if (fixed.length < SNAPSHOT_HEAD_BYTES || !fixed.subarray(0, 8).equals(MAGIC)) return undefined;
  const bytes = fixed.readUInt32LE(8);
  return bytes <= MAX_METADATA_BYTES ? bytes : undefined;
}

/** The metadata in a head; undefined when it is not sound or of another group. */
export function decodeMetadata(fixed: Buffer, json: Buffer, groupId: string): SnapshotMetadata | undefined {
  if (crc32(json) !== fixed.readUInt32LE(12)) return undefined;
  const head = JSON.parse(json.toString('utf8')) as { groupId?: unknown; metadata?: unknown };
  return head.groupId === groupId ? readSnapshotMetadata(head.metadata) : undefined;
}

/** What stands before a chunk. */
export function encodeChunkHeader(length: number, crc: number): Buffer {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  header.writeUInt32LE(length, 0);
  header.writeUInt32LE(crc, 4);
  return header;
}

/** What the body of a snapshot is: where each chunk lies, and whether two bodies are the same. */
export interface SnapshotShape {
  /** Bytes of all chunks together. */
  readonly bytes: number;
  /** SHA-256 of the chunks' CRCs, hexadecimal. */
  readonly digest: string;
}

/** Length of a {@link SnapshotShape.digest} as bytes. */
export const DIGEST_BYTES = 32;

/** How many chunks a body of so many bytes has. */
export function chunkCount(bytes: number): number {
  return Math.ceil(bytes / MAX_CHUNK_BYTES);
}

/** Bytes of a chunk's data. */
export function chunkLength(bytes: number, chunk: number): number {
  return Math.min(MAX_CHUNK_BYTES, bytes - chunk * MAX_CHUNK_BYTES);
}

/** Where a chunk's header lies, from the first chunk's header on. */
export function chunkOffset(chunk: number): number {
  return chunk * (CHUNK_HEADER_BYTES + MAX_CHUNK_BYTES);
}

/** The digest of a body from its chunks' CRCs, in order. */
export function digestOf(crcs: Iterable<number>): string {
  const hash = createHash('sha256');
  const word = Buffer.allocUnsafe(4);
  for (const crc of crcs) {
    word.writeUInt32LE(crc, 0);
    hash.update(word);
  }
  return hash.digest('hex');
}

/**
 * The CRC of a chunk that stands behind its header.
 * @returns undefined when the block is not such a chunk of `length` bytes.
 */
export function checkedCrc(block: Uint8Array, length: number): number | undefined {
  if (block.length !== CHUNK_HEADER_BYTES + length) return undefined;
  const header = Buffer.from(block.buffer, block.byteOffset, CHUNK_HEADER_BYTES);
  const crc = header.readUInt32LE(4);
  if (header.readUInt32LE(0) !== length || crc32(block.subarray(CHUNK_HEADER_BYTES)) !== crc)
    return undefined;
  return crc;
}

/** The end of a snapshot. */
export function encodeEnd({ bytes, digest }: SnapshotShape): Buffer {
  const end = Buffer.alloc(SNAPSHOT_END_BYTES);
  end.writeUInt32LE(END_MARK, 0);
  end.writeBigUInt64LE(BigInt(bytes), 8);
  end.write(digest, 16, DIGEST_BYTES, 'hex');
  end.writeUInt32LE(crc32(end.subarray(8)), 4);
  return end;
}

/** The end's contents; undefined when it is not sound. */
export function decodeEnd(end: Buffer): SnapshotShape | undefined {
  if (end.length < SNAPSHOT_END_BYTES || end.readUInt32LE(0) !== END_MARK) return undefined;
  if (end.readUInt32LE(4) !== crc32(end.subarray(8, SNAPSHOT_END_BYTES))) return undefined;
  return { bytes: Number(end.readBigUInt64LE(8)), digest: end.toString('hex', 16, SNAPSHOT_END_BYTES) };
}
