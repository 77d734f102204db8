// The bytes of a segment file `raft-log-{groupId}-{startIndex}.seg`, all numbers little-endian:
//
//   header   magic "DWRL", u16 version, u16 zero, u64 start index, u32 CRC of the group id, u32 CRC of the header
//   record   u32 length of data, u32 CRC of the rest, u8 kind, u64 term, u64 index, data
//   footer   of a sealed segment: see segment-footer.ts
//
// A record of kind `mark` says that the entries from its index on are void; records that follow replace them. A record
// names its index and term, and its CRC is seeded with its length and the CRC of its group's id, so that bytes that
// landed in the wrong place are found out. (In files of version 1 the seed is the length alone.)

import { crc32 } from '@datawarehouse/sdk';
import type { EntryType } from '../raft/types.js';

/** Length of a segment's header. */
export const SEGMENT_HEADER_BYTES = 24;
/** Length of a record before its data. */
export const RECORD_HEADER_BYTES = 25;
/** Longest data of a record; a longer length is damage. */
export const MAX_RECORD_DATA_BYTES = 64 * 1024 * 1024;

const MAGIC = 0x4c_52_57_44;
const VERSION = 2;
const TWO_32 = 2 ** 32;

/** What a record is. */
export type RecordKind = EntryType | 'mark';

const KINDS: readonly RecordKind[] = ['normal', 'conf-change', 'mark'];
const KIND_CODES: Readonly<Record<RecordKind, number>> = { normal: 0, 'conf-change': 1, mark: 2 };

/** A record's header, decoded, and whether the checksum holds. */
export interface SegmentRecord {
  readonly kind: RecordKind;
  readonly term: number;
  readonly index: number;
  readonly dataBytes: number;
}

/** The name of a segment's file. */
export function segmentName(groupId: string, start: number): string {
  return `raft-log-${groupId}-${String(start).padStart(10, '0')}.seg`;
}

/** The group and start index in a segment's name; undefined for other names. */
export function parseSegmentName(name: string): { groupId: string; start: number } | undefined {
  const found = /^raft-log-(.+)-(\d{10,16})\.seg$/.exec(name);
  if (found === null) return undefined;
  return { groupId: found[1] as string, start: Number(found[2]) };
}

/** The header of a group's segment. */
export function encodeSegmentHeader(groupId: string, start: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(VERSION, 4);
  writeU64(header, start, 8);
  header.writeUInt32LE(crc32(Buffer.from(groupId)), 16);
  header.writeUInt32LE(crc32(header.subarray(0, 20)), 20);
  return header;
}

/** The version in the header of a group's segment, or why it is not that header. */
export function readSegmentHeader(
  header: Buffer,
  groupId: string,
  start: number,
): { readonly version: number } | string {
  if (header.length < SEGMENT_HEADER_BYTES) return 'the header is cut short';
  if (header.readUInt32LE(20) !== crc32(header.subarray(0, 20)) || header.readUInt32LE(0) !== MAGIC) {
    return 'this is no segment header';
  }
  const version = header.readUInt16LE(4);
  if (version < 1 || version > VERSION) return `the format version is ${version}, not ${VERSION}`;
  if (readU64(header, 8) !== start || header.readUInt32LE(16) !== crc32(Buffer.from(groupId))) {
    return 'the header is that of another segment';
  }
  return { version };
}

/** What the CRCs of a group's records are seeded with. */
export function recordSeed(version: number, groupId: string): number {
  return version === 1 ? 0 : crc32(Buffer.from(groupId));
}

/** The version of segments that are written. */
export const SEGMENT_VERSION = VERSION;

/** Writes a record into `target` at `offset`, which has room for it. @returns the offset after it. */
export function encodeRecord(
  target: Buffer,
  offset: number,
  seed: number,
  kind: RecordKind,
  term: number,
  index: number,
  data: Uint8Array,
): number {
  // Hot: once for each entry. Plain stores cost a fraction of what Buffer's checked writers do.
  const end = offset + RECORD_HEADER_BYTES + data.length;
  writeU32(target, data.length, offset);
  target[offset + 8] = KIND_CODES[kind];
  writeU32(target, term % TWO_32, offset + 9);
  writeU32(target, Math.floor(term / TWO_32), offset + 13);
  writeU32(target, index % TWO_32, offset + 17);
  writeU32(target, Math.floor(index / TWO_32), offset + 21);
  target.set(data, offset + RECORD_HEADER_BYTES);
  // Made directly: Buffer's subarray costs twice as much.
  const covered = new Uint8Array(target.buffer, target.byteOffset + offset + 8, end - offset - 8);
  writeU32(target, crc32(covered, (seed ^ data.length) >>> 0), offset + 4);
  return end;
}

/** Length of the data of the record whose header begins at `offset`. */
export function recordDataBytes(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset);
}

/** Decodes the record at `offset`, all of whose bytes are in `source`; undefined when its checksum fails. */
export function decodeRecord(source: Buffer, offset: number, seed: number): SegmentRecord | undefined {
  const dataBytes = source.readUInt32LE(offset);
  const end = offset + RECORD_HEADER_BYTES + dataBytes;
  const crc = crc32(source.subarray(offset + 8, end), (seed ^ dataBytes) >>> 0);
  if (source.readUInt32LE(offset + 4) !== crc) return undefined;
  const kind = KINDS[source[offset + 8] as number];
  if (kind === undefined) return undefined;
  return { kind, term: readU64(source, offset + 9), index: readU64(source, offset + 17), dataBytes };
}

function writeU32(target: Buffer, value: number, offset: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

/** Writes a safe integer in eight bytes. */
export function writeU64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32LE(value % TWO_32, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

/** Reads eight bytes as a number; one that is not a safe integer was never written. */
export function readU64(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * TWO_32;
}
