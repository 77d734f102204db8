// What a sealed segment ends with: where its records are and which terms they have, so that opening it reads this and
// not every record. Written and synced before the segment counts as sealed. All numbers little-endian:
//
//   u32 magic "DWRF", u16 version, u16 zero, u64 start index, u32 CRC of the group id, u32 number of entries,
//   u32 number of term runs, u32 CRC over the CRCs of all records in the order of the file,
//   for each run u64 index and u64 term, for each entry u32 offset, u32 CRC of all that
//
// A footer vouches for places, not for records: each record is checked by its own CRC when it is read, and all of
// them, with the CRC over their CRCs, by the scrubber.

import { crc32 } from '@datawarehouse/sdk';
import { readU64, writeU64 } from './segment-format.js';

const MAGIC = 0x46_52_57_44;
const VERSION = 1;
const HEAD_BYTES = 32;
const RUN_BYTES = 16;

/** Where a term begins. */
export interface TermStart {
  readonly index: number;
  readonly term: number;
}

/** The facts in a footer. */
export interface SegmentFooter {
  readonly start: number;
  /** Offset of the record of each index, from `start` on. */
  readonly offsets: Uint32Array;
  /** Ascending; the first is that of `start`. */
  readonly runs: readonly TermStart[];
  readonly recordsCrc: number;
}

/** The bytes of a footer. */
export function encodeFooter(groupId: string, footer: SegmentFooter): Buffer {
  const { start, offsets, runs, recordsCrc } = footer;
  const bytes = Buffer.alloc(HEAD_BYTES + runs.length * RUN_BYTES + offsets.length * 4 + 4);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt16LE(VERSION, 4);
  writeU64(bytes, start, 8);
  bytes.writeUInt32LE(crc32(Buffer.from(groupId)), 16);
  bytes.writeUInt32LE(offsets.length, 20);
  bytes.writeUInt32LE(runs.length, 24);
  bytes.writeUInt32LE(recordsCrc, 28);
  let at = HEAD_BYTES;
  for (const { index, term } of runs) {
    writeU64(bytes, index, at);
    writeU64(bytes, term, at + 8);
    at += RUN_BYTES;
  }
  for (const offset of offsets) at = bytes.writeUInt32LE(offset, at);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at);
  return bytes;
}

/** The facts in the footer of a group's segment, or why there are none to be believed. */
export function decodeFooter(bytes: Buffer, groupId: string, start: number): SegmentFooter | string {
  const end = bytes.length - 4;
  if (end < HEAD_BYTES || bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end))) {
    return 'the checksum of the footer fails';
  }
  if (bytes.readUInt32LE(0) !== MAGIC) return 'this is no footer of a segment';
  if (bytes.readUInt16LE(4) !== VERSION)
    return `the footer has version ${bytes.readUInt16LE(4)}, not ${VERSION}`;
  if (readU64(bytes, 8) !== start || bytes.readUInt32LE(16) !== crc32(Buffer.from(groupId))) {
    return 'the footer is that of another segment';
  }
  const count = bytes.readUInt32LE(20);
  const runCount = bytes.readUInt32LE(24);
  const offsetsAt = HEAD_BYTES + runCount * RUN_BYTES;
  if (offsetsAt + count * 4 !== end) return 'the footer has another length than it says';
  const runs: TermStart[] = [];
  for (let at = HEAD_BYTES; at < offsetsAt; at += RUN_BYTES) {
    runs.push({ index: readU64(bytes, at), term: readU64(bytes, at + 8) });
  }
  const offsets = new Uint32Array(count);
  for (let at = 0; at < count; at++) offsets[at] = bytes.readUInt32LE(offsetsAt + at * 4);
  return { start, offsets, runs, recordsCrc: bytes.readUInt32LE(28) };
}
