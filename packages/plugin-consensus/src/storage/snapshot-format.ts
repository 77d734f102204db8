// The bytes of a snapshot file `snapshot-{groupId}-{term}-{index}.snap`, all numbers little-endian:
//
//   head     magic "DWSNAP01", u32 length and u32 CRC of what follows, then JSON {groupId, metadata}
//   chunk    u32 length, u32 CRC, bytes; repeated
//   end      u32 0xffffffff, u32 CRC of the rest, u64 bytes of all chunks, their SHA-256
//
// The end is what makes a file whole: one that lacks it was never finished.

import { crc32 } from '@datawarehouse/sdk';
import type { SnapshotMetadata } from '../raft/types.js';
import { readSnapshotMetadata } from './group-meta.js';

/** Bytes of the fixed part of the head. */
export const SNAPSHOT_HEAD_BYTES = 16;
/** Bytes before the bytes of a chunk. */
export const CHUNK_HEADER_BYTES = 8;
/** Bytes of the end. */
export const SNAPSHOT_END_BYTES = 48;
/** Longest chunk that is written; a longer length is damage. */
export const MAX_CHUNK_BYTES = 256 * 1024;
/** Longest metadata; a longer length is damage. */
export const MAX_METADATA_BYTES = 1024 * 1024;
/** What stands in place of a chunk's length at the end. */
export const END_MARK = 0xffffffff;

const MAGIC = Buffer.from('DWSNAP01', 'latin1');

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
export function encodeChunkHeader(chunk: Uint8Array): Buffer {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  header.writeUInt32LE(chunk.length, 0);
  header.writeUInt32LE(crc32(chunk), 4);
  return header;
}

/** The end of a snapshot. */
export function encodeEnd(bytes: number, digest: Buffer): Buffer {
  const end = Buffer.alloc(SNAPSHOT_END_BYTES);
  end.writeUInt32LE(END_MARK, 0);
  end.writeBigUInt64LE(BigInt(bytes), 8);
  digest.copy(end, 16);
  end.writeUInt32LE(crc32(end.subarray(8)), 4);
  return end;
}

/** The end's contents; undefined when it is not sound. */
export function decodeEnd(end: Buffer): { readonly bytes: number; readonly digest: Buffer } | undefined {
  if (end.length < SNAPSHOT_END_BYTES || end.readUInt32LE(0) !== END_MARK) return undefined;
  if (end.readUInt32LE(4) !== crc32(end.subarray(8, SNAPSHOT_END_BYTES))) return undefined;
  return { bytes: Number(end.readBigUInt64LE(8)), digest: end.subarray(16, SNAPSHOT_END_BYTES) };
}
