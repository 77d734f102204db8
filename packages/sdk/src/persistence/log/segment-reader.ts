// Reads records back from the segments of an open log. Files are opened apart from the one that is written, so that
// a segment can be sealed, dropped or recycled while somebody reads: then the record is gone, and that is no damage.

import type { LogRecord } from '../append-log.js';
import { logDamaged, logReadFailed } from '../errors.js';
import { isDwError } from '../../errors/index.js';
import type { LogFile } from './log-files.js';
import { decodeRecordHeader, RECORD_HEADER_BYTES, recordBytes, recordIsWhole } from './log-format.js';
import type { LogSegment } from './log-segment.js';
import { FileWindow } from './record-walk.js';
import type { SegmentHandles } from './segment-handles.js';

/** Goes through the records of one segment. */
export class RecordCursor {
  readonly #window: FileWindow;
  #position: number;
  #offset: number;

  /**
   * @param start the first record wanted
   * @param windowBytes how much is read at a time
   */
  constructor(
    private readonly log: string,
    private readonly segment: LogSegment,
    handles: SegmentHandles,
    start: number,
    windowBytes: number,
  ) {
    const source: Pick<LogFile, 'read'> = {
      read: (target, offset) => handles.with(segment.fileName, (file) => file.read(target, offset)),
    };
    this.#window = new FileWindow(source, windowBytes);
    const near = segment.near(start);
    this.#position = near.position;
    this.#offset = near.offset;
  }

  /** Reads the record at `position`, which is not before the last one read and is on disk. */
  async read(position: number): Promise<LogRecord> {
    while (this.#position < position) await this.#step();
    const offset = this.#offset;
    const length = await this.#step();
    const header = this.#header(offset);
    const total = RECORD_HEADER_BYTES + length;
    if (!this.#window.holds(offset, total) && !(await this.#window.moveTo(offset, total))) {
      throw this.#damaged(offset, position, 'the end of the file');
    }
    const at = this.#window.at(offset);
    if (header === undefined || !recordIsWhole(this.#window.bytes, at, header, this.segment.header.seed)) {
      throw this.#damaged(offset, position, 'a record whose checksum is wrong');
    }
    const data = new Uint8Array(length);
    data.set(this.#window.bytes.subarray(at + RECORD_HEADER_BYTES, at + total));
    return { position, data };
  }

  /** Goes past one record. @returns the length of its payload. */
  async #step(): Promise<number> {
    const offset = this.#offset;
    if (
      !this.#window.holds(offset, RECORD_HEADER_BYTES) &&
      !(await this.#window.moveTo(offset, RECORD_HEADER_BYTES))
    ) {
      throw this.#damaged(offset, this.#position, 'the end of the file');
    }
    const header = this.#header(offset);
    if (header === undefined || header.position !== this.#position) {
      throw this.#damaged(offset, this.#position, 'something else');
    }
    const total = RECORD_HEADER_BYTES + header.length;
    if (total > this.segment.header.maxBatchBytes) {
      throw this.#damaged(offset, this.#position, `a record of ${header.length} bytes`);
    }
    this.#position += 1;
    this.#offset = offset + recordBytes(header.length);
    return header.length;
  }

  #header(offset: number): ReturnType<typeof decodeRecordHeader> {
    return decodeRecordHeader(this.#window.view, this.#window.at(offset), this.segment.header.salt);
  }

  #damaged(offset: number, position: number, found: string): Error {
    return logDamaged(this.log, {
      file: this.segment.fileName,
      offset,
      expected: `the record at position ${position}`,
      found,
    });
  }
}

/** The segment of a list, oldest first, that holds `position`. */
export function segmentOf(segments: readonly LogSegment[], position: number): LogSegment | undefined {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((segments[middle]?.firstPosition ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  return segments[low - 1];
}

/** What reading `segment` threw, as an error of the log. */
export function readError(log: string, segment: LogSegment, thrown: unknown): Error {
  return isDwError(thrown) ? thrown : logReadFailed(log, segment.fileName, thrown);
}
