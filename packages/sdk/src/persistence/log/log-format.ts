// The bytes of a log. A segment file is one header block, then records.
//
//   header block, 4 096 bytes
//     0     header: who this segment is; written once, durable before the file gets its name
//     512   mark slot 0  } facts that are known later: how far the log was durable, how long the file is.
//     1024  mark slot 1  } Written in turn, so that a torn mark leaves the other one.
//   records from 4 096 on, each at a multiple of 8
//     0   u32 CRC-32 of all that follows, seeded with the CRC of the segment's header
//     4   u32 length of the payload
//     8   u64 position
//     16  u32 position minus the position at which its batch starts
//     20  u32 salt of the segment
//     24  payload, then zeros up to a multiple of 8
//
// The seed and the salt make bytes of another log, another segment, or an earlier life of a recycled file worthless
// here. The start of the batch is what tells torn from damaged: a batch is written only after the one before is on
// disk, so a whole record whose batch starts at b proves that everything below b was on disk.

import { crc32 } from '../../checksum/crc32.js';

/** Bytes of the header block; records start here. */
export const HEADER_BLOCK_BYTES = 4096;
/** Bytes before a record's payload. */
export const RECORD_HEADER_BYTES = 24;
/** Version of this format. */
export const FORMAT_VERSION = 1;

const HEADER_BYTES = 80;
const MARK_BYTES = 48;
const MARK_SLOTS = [512, 1024] as const;
const MAGIC = Buffer.from('dw-log\r\n', 'latin1');
const TWO_32 = 0x1_0000_0000;

/** Who a segment is. */
export interface SegmentHeader {
  /** 32 hexadecimal digits, the same in all segments of a log. */
  readonly logId: string;
  readonly firstPosition: number;
  /** First position of the segment before it; 0 for the first ever. */
  readonly previousFirstPosition: number;
  /** CRC of the last record before this segment; 0 for the first ever. */
  readonly previousCrc: number;
  /** Random. */
  readonly salt: number;
  /** First position kept in the log when this segment was made. */
  readonly keptFrom: number;
  /** No batch in this segment has more bytes on disk than this. */
  readonly maxBatchBytes: number;
  /** The CRC of the header: seed of everything else in the segment. */
  readonly seed: number;
}

/** What is known of a segment after its header was written. */
export interface SegmentMark {
  /** Counts up from 1; the valid mark with the highest counts. */
  readonly sequence: number;
  /** All positions of the log below this were on disk. */
  readonly durablePosition: number;
  /** Positions below this have been let go of; files that hold only such may be missing. */
  readonly keptFrom: number;
  /** The file was at least this long, on disk. */
  readonly allocatedBytes: number;
  /** First position of the next segment once there is one; 0 before. */
  readonly sealedBy: number;
}

/** Bytes on disk of a record with this payload. */
export function recordBytes(payloadBytes: number): number {
  return RECORD_HEADER_BYTES + ((payloadBytes + 7) & ~7);
}

/** Writes a 64-bit position; exact up to 2^53. */
export function setPosition(view: DataView, offset: number, position: number): void {
  view.setUint32(offset, position % TWO_32, true);
  view.setUint32(offset + 4, Math.floor(position / TWO_32), true);
}

/** Reads what {@link setPosition} wrote. */
export function getPosition(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * TWO_32;
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Makes a header block without marks, and the header with its seed. */
export function encodeHeader(fields: Omit<SegmentHeader, 'seed'>): { block: Buffer; header: SegmentHeader } {
  const block = Buffer.alloc(HEADER_BLOCK_BYTES);
  const view = viewOf(block);
  MAGIC.copy(block);
  view.setUint32(8, FORMAT_VERSION, true);
  Buffer.from(fields.logId, 'hex').copy(block, 16);
  setPosition(view, 32, fields.firstPosition);
  setPosition(view, 40, fields.previousFirstPosition);
  view.setUint32(48, fields.previousCrc, true);
  view.setUint32(52, fields.salt, true);
  setPosition(view, 56, fields.keptFrom);
  setPosition(view, 64, fields.maxBatchBytes);
  const seed = crc32(block.subarray(0, HEADER_BYTES - 4));
  view.setUint32(HEADER_BYTES - 4, seed, true);
  return { block, header: { ...fields, seed } };
}

/** Reads a header block; a text says why it is not one. */
export function decodeHeader(block: Buffer): SegmentHeader | string {
  if (block.byteLength < HEADER_BLOCK_BYTES) return `a file of ${block.byteLength} bytes`;
  if (!block.subarray(0, MAGIC.length).equals(MAGIC)) return 'no segment header';
  const view = viewOf(block);
  const seed = view.getUint32(HEADER_BYTES - 4, true);
  if (crc32(block.subarray(0, HEADER_BYTES - 4)) !== seed) return 'a header whose checksum is wrong';
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) return `format version ${version}`;
  return {
    logId: block.toString('hex', 16, 32),
    firstPosition: getPosition(view, 32),
    previousFirstPosition: getPosition(view, 40),
    previousCrc: view.getUint32(48, true),
    salt: view.getUint32(52, true),
    keptFrom: getPosition(view, 56),
    maxBatchBytes: getPosition(view, 64),
    seed,
  };
}

/** Where the mark with this sequence number goes. */
export function markOffset(sequence: number): number {
  return MARK_SLOTS[sequence % 2 === 0 ? 0 : 1];
}

/** The bytes of a mark. */
export function encodeMark(mark: SegmentMark, seed: number): Buffer {
  const bytes = Buffer.alloc(MARK_BYTES);
  const view = viewOf(bytes);
  setPosition(view, 8, mark.sequence);
  setPosition(view, 16, mark.durablePosition);
  setPosition(view, 24, mark.keptFrom);
  setPosition(view, 32, mark.allocatedBytes);
  setPosition(view, 40, mark.sealedBy);
  view.setUint32(0, crc32(bytes.subarray(8), seed), true);
  return bytes;
}

/** The newest whole mark of a header block. A torn one is passed over: marks only ever add knowledge. */
export function decodeMarks(block: Buffer, seed: number): SegmentMark | undefined {
  let newest: SegmentMark | undefined;
  for (const slot of MARK_SLOTS) {
    const bytes = block.subarray(slot, slot + MARK_BYTES);
    const view = viewOf(bytes);
    if (view.getUint32(0, true) !== crc32(bytes.subarray(8), seed)) continue;
    const mark: SegmentMark = {
      sequence: getPosition(view, 8),
      durablePosition: getPosition(view, 16),
      keptFrom: getPosition(view, 24),
      allocatedBytes: getPosition(view, 32),
      sealedBy: getPosition(view, 40),
    };
    if (newest === undefined || mark.sequence > newest.sequence) newest = mark;
  }
  return newest;
}

/** A record's header, not yet checked against its CRC. */
export interface RecordHeader {
  readonly crc: number;
  readonly length: number;
  readonly position: number;
  /** Position at which its batch starts. */
  readonly batchStart: number;
}

/** Reads a record header at `offset`; undefined when the salt shows that none of this segment is there. */
export function decodeRecordHeader(view: DataView, offset: number, salt: number): RecordHeader | undefined {
  if (view.getUint32(offset + 20, true) !== salt) return undefined;
  const position = getPosition(view, offset + 8);
  return {
    crc: view.getUint32(offset, true),
    length: view.getUint32(offset + 4, true),
    position,
    batchStart: position - view.getUint32(offset + 16, true),
  };
}

/** Whether the record at `offset` of `bytes`, all of it there, has the CRC that its header says. */
export function recordIsWhole(
  bytes: Uint8Array,
  offset: number,
  header: RecordHeader,
  seed: number,
): boolean {
  const end = offset + RECORD_HEADER_BYTES + header.length;
  return end <= bytes.byteLength && crc32(bytes.subarray(offset + 4, end), seed) === header.crc;
}
