// One segment of a log: its header, how long its file is, and a sparse index from positions to offsets.

import type { LogFile, LogFiles } from './log-files.js';
import { writeFully } from './log-files.js';
import type { SegmentHeader, SegmentMark } from './log-format.js';
import { encodeMark, HEADER_BLOCK_BYTES, markOffset } from './log-format.js';
import type { FileWindow } from './record-walk.js';

/** One index entry for about this many bytes: 4 096 entries for 64 MiB. */
const INDEX_STEP_BYTES = 16 * 1024;
const NAME = /^(\d{16})\.log$/;
/** First length of a segment's file. */
export const INITIAL_BYTES = 256 * 1024;
/**
 * Zeros for preallocation. A system that caches a file in pieces as large as it was written in handles a whole piece at
 * each small write into it later, and counts all of it as written: with pieces of a MiB such a write takes a fifth more
 * of the system's time than with these.
 */
const ZEROS = Buffer.alloc(256 * 1024);

/** The file name of the segment that starts at this position. */
export function segmentFileName(firstPosition: number): string {
  return `${String(firstPosition).padStart(16, '0')}.log`;
}

/** The position that a file name says, or undefined when it is not a segment's name. */
export function firstPositionOf(fileName: string): number | undefined {
  const digits = NAME.exec(fileName)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What a mark says, without what the segment knows itself. */
export type MarkFacts = Pick<SegmentMark, 'durablePosition' | 'keptFrom' | 'sealedBy'>;

/** A segment and the file it lives in. */
export class LogSegment {
  readonly fileName: string;
  /** Bytes of the file that are known to be on disk. Records are written only into these. */
  allocatedBytes = 0;
  /** Bytes that the file has; those beyond `allocatedBytes` are on disk after the next sync. */
  writtenBytes = 0;
  /** Where the next record goes. */
  endOffset = HEADER_BLOCK_BYTES;
  /** How much of the file the newest mark tells of. */
  markedBytes = 0;
  #markSequence = 0;
  /** Writes to the file beside those of records, and how many of them the last sync covered. */
  #changes = 0;
  #syncedChanges = 0;
  readonly #positions: number[] = [];
  readonly #offsets: number[] = [];

  constructor(readonly header: SegmentHeader) {
    this.fileName = segmentFileName(header.firstPosition);
  }

  get firstPosition(): number {
    return this.header.firstPosition;
  }

  /** Tells that the record at `position` starts at `offset`. Positions come in order. */
  note(position: number, offset: number): void {
    const last = this.#offsets[this.#offsets.length - 1];
    if (last !== undefined && offset - last < INDEX_STEP_BYTES) return;
    this.#positions.push(position);
    this.#offsets.push(offset);
  }

  /** A record at or before `position` whose offset is known. */
  near(position: number): { readonly position: number; readonly offset: number } {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#positions[middle] ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    return {
      position: this.#positions[at] ?? this.firstPosition,
      offset: this.#offsets[at] ?? HEADER_BLOCK_BYTES,
    };
  }

  /** Goes on counting marks after the newest one that was read back. */
  resumeMarks(newest: SegmentMark | undefined): void {
    this.#markSequence = newest?.sequence ?? 0;
  }

  /** Whether everything that was written to the file is on disk, but for records being written now. */
  get isClean(): boolean {
    return this.#changes === this.#syncedChanges;
  }

  /** Writes a mark; it is on disk with the next sync of the file. Marks are written one at a time, by one owner. */
  async writeMark(file: LogFile, facts: MarkFacts): Promise<void> {
    this.#markSequence += 1;
    this.#changes += 1;
    const mark = { ...facts, sequence: this.#markSequence, allocatedBytes: this.allocatedBytes };
    await writeFully(file, [encodeMark(mark, this.header.seed)], markOffset(mark.sequence));
    this.markedBytes = mark.allocatedBytes;
  }

  /** Writes zeros up to a length. Once they are on disk, later syncs need not change the file's length. */
  async lengthen(file: LogFile, bytes: number): Promise<void> {
    if (bytes <= this.writtenBytes) return;
    this.#changes += 1;
    await writeZeros(file, this.writtenBytes, bytes);
    this.writtenBytes = bytes;
    // A sync that returned meanwhile covered only a part of it.
    this.#changes += 1;
  }

  /** Syncs the file; zeros that were written before the call then count as allocated. */
  async sync(file: LogFile): Promise<void> {
    const written = this.writtenBytes;
    const changes = this.#changes;
    await file.datasync();
    this.#syncedChanges = changes;
    this.allocatedBytes = written;
  }
}

/** Writes zeros from `from` to `to`. */
export async function writeZeros(file: LogFile, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += ZEROS.byteLength) {
    await writeFully(file, [ZEROS.subarray(0, Math.min(ZEROS.byteLength, to - at))], at);
  }
}

/** As {@link writeZeros}, but leaves alone what is zero already. Nothing there is to be read in `window` after it. */
export async function clear(file: LogFile, window: FileWindow, from: number, to: number): Promise<void> {
  for (let at = from; at < to;) {
    if (!window.holds(at, 1) && !(await window.moveTo(at, 1))) return;
    const begin = window.at(at);
    const count = Math.min(window.bytes.byteLength - begin, to - at, ZEROS.byteLength);
    if (ZEROS.compare(window.bytes, begin, begin + count, 0, count) !== 0) {
      await writeZeros(file, at, at + count);
    }
    at += count;
  }
}

/** Name of the file a segment has while it is being made. */
export const DRAFT_FILE = 'next.tmp';
/** Name of a dropped segment's file that is kept to be used again. */
export const SPARE_FILE = 'spare';

/**
 * Makes the file of a segment, from a recycled one if that has any bytes: whole and on disk before it gets its name, and the name on disk before it returns.
 */
export async function createSegmentFile(
  files: LogFiles,
  segment: LogSegment,
  block: Buffer,
  wantedBytes: number,
  spareBytes: number,
): Promise<LogFile> {
  const recycled = spareBytes > 0;
  const draft = recycled ? SPARE_FILE : DRAFT_FILE;
  const file = recycled ? await files.open(draft) : await files.create(draft);
  try {
    // A recycled file still holds old records behind the header. Their seed and salt are not this segment's.
    await writeFully(file, [block], 0);
    if (recycled) {
      segment.writtenBytes = spareBytes;
    } else {
      segment.writtenBytes = HEADER_BLOCK_BYTES;
      await segment.lengthen(file, wantedBytes);
    }
    await segment.sync(file);
    await files.rename(draft, segment.fileName);
    await files.syncDirectory();
  } catch (error) {
    // The descriptor is of no use any more; why it was given up matters, not whether closing it worked.
    await file.close().catch(() => undefined);
    throw error;
  }
  return file;
}
