// What a segment file says of itself: learnt from its footer, or from all of its records where there is none, and checked
// against all of them by the scrubber.

import { logDamaged } from './errors.js';
import { OffsetIndex } from './offset-index.js';
import { type SegmentFooter, type TermStart, decodeFooter } from './segment-footer.js';
import { SEGMENT_HEADER_BYTES, type SegmentRecord, readSegmentHeader, recordSeed } from './segment-format.js';
import { type ScanTarget, scanSegment } from './segment-scan.js';
import type { StorageFile } from './storage-files.js';
import { TermRuns } from './term-runs.js';

/** A segment's file and the part of it that counts. */
export interface SegmentPlace extends ScanTarget {
  /** Length of the footer that follows `bytes`; 0 when there is none. */
  readonly footerBytes: number;
}

/** What is known of a segment once it was read. */
export interface SegmentContent {
  /** What the CRCs of its records are seeded with. */
  readonly seed: number;
  readonly offsets: OffsetIndex;
  /** Where terms begin; those of entries that were voided since the footer was written, too. */
  readonly starts: readonly TermStart[];
  /** Terms by index, for a segment that is added to; empty for one that was read by its footer. */
  readonly terms: TermRuns;
  readonly recordsCrc: number;
}

/** Learns where everything is in a segment. @throws DwError `raft-log-damaged`; what the disk throws. */
export function loadSegment(place: SegmentPlace): Promise<SegmentContent> {
  return place.footerBytes > 0 ? loadByFooter(place) : loadByRecords(place);
}

/**
 * Reads a sealed segment whole and checks all of it.
 * @param recordsCrc What was sealed: the CRC over the CRCs of its records.
 * @param pace Waited for before each read, with the bytes that are read then.
 * @throws DwError `raft-log-damaged`; what the disk throws.
 */
export async function verifySegment(
  place: SegmentPlace,
  recordsCrc: number,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  const order = new RecordOrder(place);
  const found = await scanSegment(place, (record, offset) => order.take(record, offset), pace);
  if (found.recordsCrc !== recordsCrc) {
    throw logDamaged(place.path, place.bytes, 'together the records are not those that were sealed');
  }
  if (place.footerBytes > 0) await readFooter(place);
}

async function loadByFooter(place: SegmentPlace): Promise<SegmentContent> {
  const { file, path, groupId, start } = place;
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const found = readSegmentHeader(header.subarray(0, await file.read(header, 0)), groupId, start);
  if (typeof found === 'string') throw logDamaged(path, 0, found);
  const { offsets, runs, recordsCrc } = await readFooter(place);
  return {
    seed: recordSeed(found.version, groupId),
    offsets: new OffsetIndex(offsets),
    starts: runs,
    terms: new TermRuns(),
    recordsCrc,
  };
}

async function readFooter({
  file,
  path,
  groupId,
  start,
  bytes,
  footerBytes,
}: SegmentPlace): Promise<SegmentFooter> {
  const buffer = Buffer.allocUnsafe(footerBytes);
  const count = await file.read(buffer, bytes);
  const footer = decodeFooter(buffer.subarray(0, count), groupId, start);
  if (typeof footer === 'string') throw logDamaged(path, bytes, footer);
  return footer;
}

async function loadByRecords(place: SegmentPlace): Promise<SegmentContent> {
  const order = new RecordOrder(place);
  const offsets = new OffsetIndex();
  const terms = new TermRuns();
  const { version, recordsCrc } = await scanSegment(place, (record, offset) => {
    order.take(record, offset);
    if (record.kind === 'mark') {
      offsets.truncate(record.index - place.start);
      terms.truncateFrom(record.index);
    } else {
      offsets.push(offset);
      terms.push(record.index, record.term);
    }
  });
  return { seed: recordSeed(version, place.groupId), offsets, starts: terms.starts(), terms, recordsCrc };
}

/** Checks that each record follows those before it. */
class RecordOrder {
  #last: number;

  constructor(private readonly place: { readonly path: string; readonly start: number }) {
    this.#last = place.start - 1;
  }

  take({ kind, index }: SegmentRecord, offset: number): void {
    const { path, start } = this.place;
    if (kind === 'mark') {
      if (index < start || index > this.#last) {
        throw logDamaged(path, offset, `a mark at ${index} voids nothing`);
      }
      this.#last = index - 1;
      return;
    }
    if (index !== this.#last + 1) {
      throw logDamaged(path, offset, `entry ${index} stands where ${this.#last + 1} should`);
    }
    this.#last = index;
  }
}

/** The place of a segment in an open file. */
export function placeOf(
  file: StorageFile,
  path: string,
  groupId: string,
  manifest: { readonly start: number; readonly bytes: number; readonly footerBytes: number },
): SegmentPlace {
  const { start, bytes, footerBytes } = manifest;
  return { file, path, groupId, start, bytes, footerBytes };
}
