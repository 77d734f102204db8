// Opening a log that is there: reads every segment, and tells a torn tail from damage.
//
// What a crash can leave: in the newest segment, behind all that was acknowledged, any mixture of old and new sectors
// of the one batch that was being written. Nothing else: each batch is written only after the one before it is on
// disk, and a segment gets its name only after everything before it is. So a bad record at position p is damage if
//   - it is in a segment that another one follows, or
//   - a mark says that p was on disk, or
//   - anywhere behind it is a whole record whose batch starts above p, or
//   - the file is shorter than a mark says it was, or
//   - a whole record is there, but of another position.
// Otherwise it is the torn tail of a batch that nobody was told of, and is cut.
// One case cannot be told apart: bytes of the very last batch that change after a crash which left no mark behind it
// (one is written when the log has been idle for a moment, and when it closes).

import { logDamaged } from '../errors.js';
import type { LogFile, LogFiles } from './log-files.js';
import { readFully, writeFully } from './log-files.js';
import type { SegmentMark } from './log-format.js';
import { decodeHeader, decodeMarks, HEADER_BLOCK_BYTES } from './log-format.js';
import {
  clear,
  DRAFT_FILE,
  firstPositionOf,
  LogSegment,
  segmentFileName,
  SPARE_FILE,
} from './log-segment.js';
import type { WalkEnd } from './record-walk.js';
import { FileWindow, findLaterRecords, walkRecords } from './record-walk.js';

/** What was found in a directory. */
export interface RecoveredLog {
  /** Oldest first. Empty: there is no log yet. */
  readonly segments: readonly LogSegment[];
  /** The last of them, with its file open for writing. */
  readonly newest: { readonly segment: LogSegment; readonly file: LogFile } | undefined;
  readonly nextPosition: number;
  /** CRC of the last record. */
  readonly lastCrc: number;
  readonly keptFrom: number;
  /** Length of the recycled file that waits; 0 if there is none. */
  readonly spareBytes: number;
}

interface Found {
  readonly segment: LogSegment;
  readonly mark: SegmentMark | undefined;
}

/**
 * Reads the log in a directory, cuts a torn tail, and sees to it that all that is left is on disk.
 * @throws DwError `log-damaged`; then nothing was changed.
 */
export async function recoverLog(files: LogFiles, name: string): Promise<RecoveredLog> {
  await files.remove(DRAFT_FILE);
  // Names that were given before a crash may not be on disk yet.
  await files.syncDirectory();
  const names = await files.list();
  const spareBytes = names.includes(SPARE_FILE) ? await lengthOf(files, SPARE_FILE) : 0;
  const firsts = names
    .map(firstPositionOf)
    .filter((first) => first !== undefined)
    .sort((a, b) => a - b);
  const found: Found[] = [];
  let keptFrom = 1;
  let nextPosition = 1;
  let lastCrc = 0;
  let newest: RecoveredLog['newest'];
  for (const [index, first] of firsts.entries()) {
    const isLast = index === firsts.length - 1;
    const file = await files.open(segmentFileName(first));
    try {
      const window = new FileWindow(file, undefined, await file.size());
      const before = { nextPosition, lastCrc };
      const next = await openSegment(file, window, name, first, found.at(-1)?.segment, before);
      keptFrom = Math.max(keptFrom, next.segment.header.keptFrom, next.mark?.keptFrom ?? 1);
      const end = await walkRecords(window, next.segment.header, (p, o) => next.segment.note(p, o));
      next.segment.endOffset = end.offset;
      if (isLast)
        await settleTail(file, window, name, next, end, keptFrom, found[0]?.segment ?? next.segment);
      else checkSealed(name, next.segment, end, firsts[index + 1] ?? 0);
      nextPosition = end.position;
      lastCrc = end.lastCrc ?? lastCrc;
      found.push(next);
      if (isLast) newest = { segment: next.segment, file };
    } finally {
      if (newest === undefined) await file.close();
    }
  }
  return { segments: found.map((item) => item.segment), nextPosition, lastCrc, keptFrom, newest, spareBytes };
}

async function lengthOf(files: LogFiles, name: string): Promise<number> {
  const file = await files.open(name);
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}

/** Reads a segment's header and checks that it belongs behind `previous`. */
async function openSegment(
  file: LogFile,
  window: FileWindow,
  name: string,
  first: number,
  previous: LogSegment | undefined,
  before: { readonly nextPosition: number; readonly lastCrc: number },
): Promise<Found> {
  const fileName = segmentFileName(first);
  const fail = (expected: string, found: string): never => {
    throw logDamaged(name, { file: fileName, offset: 0, expected, found });
  };
  // What follows the header is wanted next.
  await window.moveTo(0, HEADER_BLOCK_BYTES);
  const block = window.bytes.subarray(0, HEADER_BLOCK_BYTES);
  const header = decodeHeader(block);
  if (typeof header === 'string') return fail('a segment header', header);
  if (header.firstPosition !== first) {
    fail(`the segment that starts at ${first}`, `the one that starts at ${header.firstPosition}`);
  }
  if (previous !== undefined) {
    if (header.logId !== previous.header.logId) fail(`log ${previous.header.logId}`, `log ${header.logId}`);
    if (before.nextPosition !== first) {
      fail(`a segment that starts at ${before.nextPosition}`, `one that starts at ${first}`);
    }
    if (header.previousFirstPosition !== previous.firstPosition || header.previousCrc !== before.lastCrc) {
      fail(`a segment that follows ${previous.fileName} as it is`, 'one that follows something else');
    }
  }
  const segment = new LogSegment(header);
  const mark = decodeMarks(block, header.seed);
  segment.resumeMarks(mark);
  segment.writtenBytes = await file.size();
  segment.allocatedBytes = segment.writtenBytes;
  if (mark !== undefined && segment.writtenBytes < mark.allocatedBytes) {
    throw logDamaged(name, {
      file: fileName,
      offset: segment.writtenBytes,
      expected: `a file of at least ${mark.allocatedBytes} bytes`,
      found: 'its end',
    });
  }
  return { segment, mark };
}

/** A segment that another follows was whole on disk before that one had a name. */
function checkSealed(name: string, segment: LogSegment, end: WalkEnd, nextFirst: number): void {
  if (end.position >= nextFirst && !end.misplaced) return;
  throw damagedAt(name, segment, end);
}

function damagedAt(name: string, segment: LogSegment, end: WalkEnd, proof?: string): Error {
  const expected = `the record at position ${end.position}${proof === undefined ? '' : ` (${proof})`}`;
  return logDamaged(name, { file: segment.fileName, offset: end.offset, expected, found: end.found });
}

/** The end of the newest segment: checks that nothing acknowledged is missing, and cuts what nobody was told of. */
async function settleTail(
  file: LogFile,
  window: FileWindow,
  name: string,
  last: Found,
  end: WalkEnd,
  keptFrom: number,
  oldest: LogSegment,
): Promise<void> {
  const { segment, mark } = last;
  if (oldest.firstPosition > keptFrom) {
    throw logDamaged(name, {
      file: oldest.fileName,
      offset: 0,
      expected: `a segment that holds position ${keptFrom}`,
      found: `none before position ${oldest.firstPosition}`,
    });
  }
  if (mark !== undefined && mark.sealedBy > 0) {
    const missing = `the segment that starts at ${mark.sealedBy}`;
    throw logDamaged(name, {
      file: segment.fileName,
      offset: end.offset,
      expected: missing,
      found: 'no such file',
    });
  }
  if (mark !== undefined && mark.durablePosition > end.position) {
    throw damagedAt(name, segment, end, `all below ${mark.durablePosition} were on disk`);
  }
  if (end.misplaced) throw damagedAt(name, segment, end);
  const later = await findLaterRecords(window, segment.header, end.offset, end.position);
  if (later.proof !== undefined) {
    const { position, offset, batchStart } = later.proof;
    const proof = `all below ${batchStart} were on disk when position ${position} at offset ${offset} was written`;
    throw damagedAt(name, segment, end, proof);
  }
  // All that the torn batch may have reached becomes zeros, so that none of it can be taken for a record later on.
  const reach = Math.max(later.end, end.offset + segment.header.maxBatchBytes);
  await clear(file, window, end.offset, Math.min(segment.allocatedBytes, reach));
  // The last batch may be in memory only: its writer died before the sync, or the sync failed and the system now
  // takes the pages for clean. Written again, they are on disk after this sync, or this sync fails too.
  await rewrite(file, end.lastBatch.offset, end.offset);
  await file.datasync();
}

async function rewrite(file: LogFile, from: number, to: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(1024 * 1024, to - from));
  for (let at = from; at < to; at += buffer.byteLength) {
    const part = buffer.subarray(0, Math.min(buffer.byteLength, to - at));
    const count = await readFully(file, part, at);
    await writeFully(file, [part.subarray(0, count)], at);
  }
}
