// Reads all records of a segment file one after another and checks each: for opening a segment that has no footer, and
// for the scrubber. A window of the file is in memory at a time, never less than one record.

import { crc32 } from '@datawarehouse/sdk';
import { logDamaged } from './errors.js';
import {
  MAX_RECORD_DATA_BYTES,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentRecord,
  decodeRecord,
  readSegmentHeader,
  recordDataBytes,
  recordSeed,
} from './segment-format.js';
import type { StorageFile } from './storage-files.js';

const WINDOW_BYTES = 256 * 1024;

/** What is scanned. */
export interface ScanTarget {
  readonly file: StorageFile;
  /** For messages. */
  readonly path: string;
  readonly groupId: string;
  readonly start: number;
  /** Where the records end. */
  readonly bytes: number;
}

/** What a scan tells when it is through. */
export interface ScanResult {
  readonly version: number;
  /** CRC over the CRCs of all records in their order. */
  readonly recordsCrc: number;
}

/**
 * Goes through the records of a segment.
 * @param onRecord Told of each record, with its offset. It throws to refuse one.
 * @param pace Waited for before more is read, with the bytes that are read then.
 * @throws DwError `raft-log-damaged`; what the disk throws.
 */
export async function scanSegment(
  target: ScanTarget,
  onRecord: (record: SegmentRecord, offset: number) => void,
  pace?: (bytes: number) => Promise<void>,
): Promise<ScanResult> {
  const window = new Window(target, pace);
  const at = await window.need(0, SEGMENT_HEADER_BYTES);
  const header = window.bytes.subarray(at, at + SEGMENT_HEADER_BYTES);
  const read = readSegmentHeader(header, target.groupId, target.start);
  if (typeof read === 'string') throw logDamaged(target.path, 0, read);
  const seed = recordSeed(read.version, target.groupId);
  let recordsCrc = 0;
  for (let offset = SEGMENT_HEADER_BYTES; offset < target.bytes;) {
    const dataBytes = recordDataBytes(window.bytes, await window.need(offset, RECORD_HEADER_BYTES));
    if (dataBytes > MAX_RECORD_DATA_BYTES) {
      throw logDamaged(target.path, offset, `a record of ${dataBytes} bytes cannot be`);
    }
    const recordAt = await window.need(offset, RECORD_HEADER_BYTES + dataBytes);
    const record = decodeRecord(window.bytes, recordAt, seed);
    if (record === undefined) throw logDamaged(target.path, offset, 'the checksum of a record fails');
    onRecord(record, offset);
    recordsCrc = crc32(window.bytes.subarray(recordAt + 4, recordAt + 8), recordsCrc);
    offset += RECORD_HEADER_BYTES + dataBytes;
  }
  return { version: read.version, recordsCrc };
}

class Window {
  bytes = Buffer.alloc(0);
  #at = 0;

  constructor(
    private readonly target: ScanTarget,
    private readonly pace: ((bytes: number) => Promise<void>) | undefined,
  ) {}

  /** Sees to it that some bytes of the file are in memory. @returns where in `bytes` they begin. */
  async need(offset: number, length: number): Promise<number> {
    const { file, path, bytes: end } = this.target;
    if (offset + length > end) throw logDamaged(path, offset, 'a record goes beyond the end');
    if (offset < this.#at || offset + length > this.#at + this.bytes.length) {
      const window = Buffer.allocUnsafe(Math.min(end - offset, Math.max(length, WINDOW_BYTES)));
      await this.pace?.(window.length);
      const count = await file.read(window, offset);
      if (count < window.length) throw logDamaged(path, offset + count, 'the file ends early');
      this.bytes = window;
      this.#at = offset;
    }
    return offset - this.#at;
  }
}
