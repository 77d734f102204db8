// Reads the records of a segment's file in order, up to the first place where there is none. Memory: one window of up to
// a mebibyte, or one record if that is larger.

import type { LogFile } from './log-files.js';
import { readFully } from './log-files.js';
import type { RecordHeader, SegmentHeader } from './log-format.js';
import {
  decodeRecordHeader,
  getPosition,
  HEADER_BLOCK_BYTES,
  RECORD_HEADER_BYTES,
  recordBytes,
  recordIsWhole,
  viewOf,
} from './log-format.js';

const WINDOW_BYTES = 1024 * 1024;
/** Where in a record's header the salt is. */
const SALT_OFFSET = 20;
/** The first window; each later one is twice as large. Most files that are looked into hold little. */
const FIRST_WINDOW_BYTES = 64 * 1024;

/** A window on a file that moves forward. */
export class FileWindow {
  #bytes = Buffer.alloc(0);
  #view = viewOf(this.#bytes);
  #start = 0;
  #next = FIRST_WINDOW_BYTES;

  /** @param fileBytes The file's length, where it is known: then nothing is read, or made room for, behind it. */
  constructor(
    private readonly file: Pick<LogFile, 'read'>,
    private readonly windowBytes: number = WINDOW_BYTES,
    private readonly fileBytes: number = Infinity,
  ) {}

  get bytes(): Buffer {
    return this.#bytes;
  }

  get view(): DataView {
    return this.#view;
  }

  /** Whether the bytes from `offset` on are in the window. */
  holds(offset: number, count: number): boolean {
    return offset >= this.#start && offset + count <= this.#start + this.#bytes.byteLength;
  }

  /** Moves to `offset`. @returns whether `count` bytes are there. */
  async moveTo(offset: number, count: number): Promise<boolean> {
    if (offset >= this.fileBytes) return false;
    const wanted = Math.max(Math.min(this.#next, this.windowBytes), count);
    const buffer = Buffer.allocUnsafeSlow(Math.min(wanted, this.fileBytes - offset));
    this.#next *= 2;
    const filled = await readFully(this.file, buffer, offset);
    this.#bytes = buffer.subarray(0, filled);
    this.#view = viewOf(this.#bytes);
    this.#start = offset;
    return filled >= count;
  }

  /** Where a file offset is in {@link bytes}. */
  at(offset: number): number {
    return offset - this.#start;
  }
}

/** Where and how a walk ended. */
export interface WalkEnd {
  /** Where the next record would be. */
  readonly offset: number;
  /** Its position. */
  readonly position: number;
  /** CRC of the last record; undefined when there was none. */
  readonly lastCrc: number | undefined;
  /** Position and offset at which the last batch starts. */
  readonly lastBatch: { readonly position: number; readonly offset: number };
  /** What was found there in place of a record: words for an error. */
  readonly found: string;
  /** A whole record of this segment is there, but not the one that should be. No crash leaves that. */
  readonly misplaced: boolean;
}

/** Walks the records of a segment from its first. `visit` is told of each whole one. */
export async function walkRecords(
  window: FileWindow,
  segment: SegmentHeader,
  visit: (position: number, offset: number) => void,
): Promise<WalkEnd> {
  let offset = HEADER_BLOCK_BYTES;
  let position = segment.firstPosition;
  let lastCrc: number | undefined;
  let lastBatch = { position, offset };
  for (;;) {
    const header = await headerAt(window, offset, segment);
    const found =
      typeof header === 'string' ? header : await problemOf(window, offset, position, header, segment);
    if (typeof header === 'string' || found !== undefined) {
      return { offset, position, lastCrc, lastBatch, found: found ?? '', misplaced: found === MISPLACED };
    }
    visit(position, offset);
    if (header.batchStart === position) lastBatch = { position, offset };
    lastCrc = header.crc;
    offset += recordBytes(header.length);
    position += 1;
  }
}

const MISPLACED = 'the record of another position';

/** The header at `offset`, or what is there in its place. */
async function headerAt(
  window: FileWindow,
  offset: number,
  segment: SegmentHeader,
): Promise<RecordHeader | string> {
  if (!window.holds(offset, RECORD_HEADER_BYTES) && !(await window.moveTo(offset, RECORD_HEADER_BYTES))) {
    return 'the end of the file';
  }
  const header = decodeRecordHeader(window.view, window.at(offset), segment.salt);
  if (header !== undefined) return header;
  const at = window.at(offset);
  const blank = window.bytes.subarray(at, at + RECORD_HEADER_BYTES).every((byte) => byte === 0);
  return blank ? 'zeros' : 'bytes that are no record of this segment';
}

/** What is wrong with the record at `offset`, if anything is. */
async function problemOf(
  window: FileWindow,
  offset: number,
  position: number,
  header: RecordHeader,
  segment: SegmentHeader,
): Promise<string | undefined> {
  const total = RECORD_HEADER_BYTES + header.length;
  if (total > segment.maxBatchBytes) return `a record of ${header.length} bytes`;
  if (!window.holds(offset, total) && !(await window.moveTo(offset, total))) return 'a record cut short';
  if (!recordIsWhole(window.bytes, window.at(offset), header, segment.seed)) {
    return 'a record whose checksum is wrong';
  }
  const fits = header.position === position && header.batchStart >= segment.firstPosition;
  return fits ? undefined : MISPLACED;
}

/** A whole record found behind a place where there was none. */
export interface LaterRecord {
  readonly position: number;
  readonly offset: number;
  readonly batchStart: number;
}

/** What a search behind a bad place found. */
export interface LaterRecords {
  /** The first record that proves that `position` was on disk: its batch was written after that. */
  readonly proof: LaterRecord | undefined;
  /** End of the last whole record found; the place searched from if there was none. */
  readonly end: number;
}

/** Looks everywhere behind `offset` for whole records with positions above `position`. */
export async function findLaterRecords(
  window: FileWindow,
  segment: SegmentHeader,
  offset: number,
  position: number,
): Promise<LaterRecords> {
  const salt = Buffer.alloc(4);
  salt.writeUInt32LE(segment.salt);
  let end = offset;
  for (let at = offset + 8; ; at += 8) {
    if (!window.holds(at, RECORD_HEADER_BYTES) && !(await window.moveTo(at, RECORD_HEADER_BYTES))) {
      return { proof: undefined, end };
    }
    at = nextCandidate(window, at, salt);
    const inWindow = window.at(at);
    if (!window.holds(at, RECORD_HEADER_BYTES)) {
      // Nothing up to the window's end.
      at -= 8;
      continue;
    }
    if (getPosition(window.view, inWindow + 8) <= position) continue;
    const header = decodeRecordHeader(window.view, inWindow, segment.salt);
    if (
      header === undefined ||
      (await problemOf(window, at, header.position, header, segment)) !== undefined
    ) {
      continue;
    }
    if (header.batchStart > position) return { proof: { ...header, offset: at }, end };
    end = at + recordBytes(header.length);
  }
}

/**
 * The first place from `at` on, in steps of eight, where a record of the segment with this salt may begin; behind the
 * last one that the window holds when there is none. Most of what is looked through is zeros, megabytes of them.
 */
function nextCandidate(window: FileWindow, at: number, salt: Buffer): number {
  const begin = window.at(at);
  const last = window.bytes.byteLength - RECORD_HEADER_BYTES;
  for (let from = begin + SALT_OFFSET; ; from++) {
    from = window.bytes.indexOf(salt, from);
    const found = from - SALT_OFFSET;
    if (from < 0 || found > last) return at + (Math.floor((last - begin) / 8) + 1) * 8;
    if ((found - begin) % 8 === 0) return at + found - begin;
  }
}
