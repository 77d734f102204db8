// One segment file of a group's log. While it is active, records are added at its end and nothing in it is ever written
// over; once full it is sealed: synced, read-only, and mapped while it is among the newest. An array of offsets makes
// reading by index one step.

import { crc32 } from '@datawarehouse/sdk';
import type { Entry } from '../raft/types.js';
import { logDamaged, storageClosed } from './errors.js';
import { readingGroup, unreadable } from './group-damage.js';
import type { FileMapper } from './mapped-file.js';
import { OffsetIndex } from './offset-index.js';
import { encodeFooter } from './segment-footer.js';
import {
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  SEGMENT_VERSION,
  decodeRecord,
  encodeRecord,
  encodeSegmentHeader,
  recordDataBytes,
  recordSeed,
  segmentName,
} from './segment-format.js';
import { giveMemory, takeMemory } from './record-memory.js';
import { type SegmentContent, loadSegment, placeOf, verifySegment } from './segment-loader.js';
import { type StorageFile, type StorageFiles, writeDurably } from './storage-files.js';
import { TermRuns } from './term-runs.js';

/** What a checkpoint says of a segment: which part of it counts. Everything after `bytes` is not to be believed. */
export interface SegmentManifest {
  readonly start: number;
  /** Last index that counts; `start - 1` when none does. */
  readonly last: number;
  readonly bytes: number;
  /** Length of the footer that follows `bytes`; 0 when there is none: it is not sealed, or was by an older version. */
  readonly footerBytes: number;
  readonly sealed: boolean;
}

const NO_DATA = new Uint8Array(0);

/** The term that the entry at an index must have. */
export type TermOf = (index: number) => number | undefined;

/** A segment. Reads are synchronous; all else is called by the one writer of its group. */
export class Segment {
  readonly name: string;
  /** Where everything is. Terms are kept while it is active. */
  #content: Pick<SegmentContent, 'seed' | 'offsets' | 'terms'>;
  /** CRC over the CRCs of all records written. */
  #recordsCrc = 0;
  #footerBytes = 0;
  /** Open for writing while active, for reading when asked, else undefined. */
  #file: StorageFile | undefined;
  #map: Buffer | undefined;
  #end = SEGMENT_HEADER_BYTES;
  /** The header of a new segment, which is written with its first entries. */
  #header: Buffer | undefined;
  /** Whether anything was written since the last sync. */
  #dirty = false;
  #sealed = false;
  #closed = false;

  private constructor(
    private readonly files: StorageFiles,
    private readonly groupId: string,
    readonly start: number,
  ) {
    this.name = segmentName(groupId, start);
    const seed = recordSeed(SEGMENT_VERSION, groupId);
    this.#content = { seed, offsets: new OffsetIndex(), terms: new TermRuns() };
  }

  /** Makes a new, empty, active segment. Its name is durable after the next `syncDirectory`. */
  static async create(files: StorageFiles, groupId: string, start: number): Promise<Segment> {
    const segment = new Segment(files, groupId, start);
    segment.#file = await files.create(segment.name);
    segment.#header = encodeSegmentHeader(groupId, start);
    return segment;
  }

  /**
   * Opens a segment as its manifest describes it: a sealed one by its footer, an active one by reading and checking
   * every record of it. What lies beyond is cut.
   * @param onTerm Told of each index that counts and has another term than the one before, and perhaps of others.
   * @throws DwError `raft-log-damaged`.
   */
  static async open(
    files: StorageFiles,
    groupId: string,
    manifest: SegmentManifest,
    onTerm: (index: number, term: number) => void,
  ): Promise<Segment> {
    const segment = new Segment(files, groupId, manifest.start);
    const path = segment.#path();
    const file = await readingGroup(path, () =>
      manifest.sealed ? files.openForReading(segment.name) : files.openForWriting(segment.name),
    );
    try {
      await readingGroup(path, () => segment.#load(file, manifest, onTerm));
    } catch (error) {
      await file.close();
      throw error;
    }
    if (manifest.sealed) await file.close();
    else segment.#file = file;
    return segment;
  }

  get last(): number {
    return this.start + this.#content.offsets.count - 1;
  }

  get bytes(): number {
    return this.#end;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  get mapped(): boolean {
    return this.#map !== undefined;
  }

  get open(): boolean {
    return this.#file !== undefined;
  }

  get manifest(): SegmentManifest {
    const { start, last, sealed } = this;
    return { start, last, bytes: this.#end, footerBytes: this.#footerBytes, sealed };
  }

  /** Bytes of the record of `index`, which is here (with marks that follow it). */
  recordSpan(index: number): number {
    const at = index - this.start;
    return (this.#content.offsets.at(at + 1) ?? this.#end) - (this.#content.offsets.at(at) as number);
  }

  /** Bytes of the records from index `from` to before `to`, as far as they are here. */
  bytesBetween(from: number, to: number): number {
    const begin = this.#content.offsets.at(Math.max(0, from - this.start)) ?? this.#end;
    const end = this.#content.offsets.at(Math.max(0, to - this.start)) ?? this.#end;
    return Math.max(0, end - begin);
  }

  /** Writes entries that follow the last one, from `from` to before `to`. They are on disk after {@link sync}. */
  async append(entries: readonly Entry[], from: number, to: number): Promise<void> {
    const records = this.#add(entries, from, to);
    await this.#put([records]);
    giveMemory(records);
  }

  /** As {@link append} and then {@link seal}, with one write. */
  async appendLast(entries: readonly Entry[], from: number, to: number): Promise<void> {
    const records = this.#add(entries, from, to);
    await this.#seal([records]);
    giveMemory(records);
  }

  /** Takes entries in, to be written at once: nobody reads them here before that. @returns their records. */
  #add(entries: readonly Entry[], from: number, to: number): Buffer {
    let bytes = 0;
    for (let at = from; at < to; at++) bytes += RECORD_HEADER_BYTES + (entries[at] as Entry).data.length;
    const buffer = takeMemory(bytes);
    const crcs = Buffer.allocUnsafe((to - from) * 4);
    let offset = 0;
    for (let at = from; at < to; at++) {
      const { type, term, index, data } = entries[at] as Entry;
      const next = encodeRecord(buffer, offset, this.#content.seed, type, term, index, data);
      // By hand: a call that copies makes two views for four bytes.
      for (let byte = 0; byte < 4; byte++) crcs[(at - from) * 4 + byte] = buffer[offset + 4 + byte] as number;
      this.#content.offsets.push(this.#end + offset);
      this.#content.terms.push(index, term);
      offset = next;
    }
    this.#recordsCrc = crc32(crcs, this.#recordsCrc);
    return buffer;
  }

  /** Writes pieces behind all that is there. */
  async #put(pieces: readonly Buffer[]): Promise<void> {
    const file = this.#active();
    this.#dirty = true;
    const { all, offset } = this.#withHeader(pieces);
    for (const piece of pieces) this.#end += piece.length;
    await file.write(all, offset);
  }

  /** What is to be written where, so that pieces come behind all that is there. */
  #withHeader(pieces: readonly Buffer[]): { readonly all: readonly Buffer[]; readonly offset: number } {
    const header = this.#header;
    this.#header = undefined;
    return header === undefined
      ? { all: pieces, offset: this.#end }
      : { all: [header, ...pieces], offset: 0 };
  }

  /** Voids the entries from `index` on, which is after `start`, by a mark at the end. */
  async mark(index: number): Promise<void> {
    const buffer = Buffer.alloc(RECORD_HEADER_BYTES);
    encodeRecord(buffer, 0, this.#content.seed, 'mark', 0, index, NO_DATA);
    await this.#put([buffer]);
    this.#recordsCrc = crc32(buffer.subarray(4, 8), this.#recordsCrc);
    this.cut(index);
  }

  /** Voids the entries from `index` on in memory only: the next manifest says so. For a sealed segment. */
  cut(index: number): void {
    this.#content.offsets.truncate(index - this.start);
    this.#content.terms.truncateFrom(index);
  }

  /** Puts all that was written on disk. */
  async sync(): Promise<void> {
    if (this.#header !== undefined) await this.#put([]);
    if (!this.#dirty) return;
    await this.#active().datasync();
    this.#dirty = false;
  }

  /** Adds the footer, syncs, makes the file read-only, and lets nothing be added any more. */
  async seal(): Promise<void> {
    if (!this.#sealed) await this.#seal([]);
  }

  async #seal(pieces: readonly Buffer[]): Promise<void> {
    const file = this.#active();
    const footer = encodeFooter(this.groupId, {
      start: this.start,
      offsets: this.#content.offsets.values(),
      runs: this.#content.terms.starts(),
      recordsCrc: this.#recordsCrc,
    });
    const { all, offset } = this.#withHeader([...pieces, footer]);
    for (const piece of pieces) this.#end += piece.length;
    await writeDurably(file, all, offset);
    this.#footerBytes = footer.length;
    this.#dirty = false;
    await this.files.seal(this.name);
    this.#sealed = true;
    this.#file = undefined;
    await file.close();
  }

  /** Maps a sealed segment; without success it is read by position. */
  map(mapper: FileMapper): void {
    if (this.#map !== undefined || !this.#sealed) return;
    const wasOpen = this.#file !== undefined;
    const { descriptor } = this.#reading();
    if (descriptor !== undefined) this.#map = mapper(descriptor, this.#end);
    // A map outlives its descriptor.
    if (this.#map !== undefined || !wasOpen) this.releaseFile();
  }

  /** Lets the map go; it is unmapped once no reader has it. */
  unmap(): void {
    this.#map = undefined;
  }

  /** Closes the descriptor of a sealed segment; the next read by position opens it again. */
  releaseFile(): void {
    if (!this.#sealed) return;
    const file = this.#file;
    this.#file = undefined;
    // Nothing was written through it, so there is nothing that closing could lose.
    file?.close().catch(() => undefined);
  }

  /**
   * Reads entries from `from` to before `to`, all of them here.
   * @param termOf The term that an entry must have.
   * @throws DwError `raft-log-damaged`.
   */
  read(from: number, to: number, into: Entry[], termOf: TermOf): void {
    const begin = this.#content.offsets.at(from - this.start) as number;
    const end = this.#content.offsets.at(to - this.start) ?? this.#end;
    const map = this.#map;
    const bytes = map ?? this.#readSpan(begin, end);
    const base = map === undefined ? begin : 0;
    for (let index = from; index < to; index++) {
      const offset = (this.#content.offsets.at(index - this.start) as number) - base;
      const limit = (this.#content.offsets.at(index - this.start + 1) ?? end) - base;
      const entry = this.#decode(bytes, offset, limit, index, map !== undefined, base);
      // A write that was lost leaves what was there before: sound, and of an earlier term.
      if (entry.term !== termOf(index)) {
        throw logDamaged(
          this.#path(),
          offset + base,
          `entry ${index} has term ${entry.term}, not ${termOf(index)}`,
        );
      }
      into.push(entry);
    }
  }

  /**
   * Reads a sealed segment whole, footer included, and checks all of it.
   * @param pace Waited for before each read, with the bytes that are read then.
   * @throws DwError `raft-log-damaged`; what the disk throws.
   */
  async verify(pace: (bytes: number) => Promise<void>): Promise<void> {
    const path = this.#path();
    const file = await readingGroup(path, () => this.files.openForReading(this.name));
    try {
      const place = placeOf(file, path, this.groupId, this.manifest);
      await readingGroup(path, () => verifySegment(place, this.#recordsCrc, pace));
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#map = undefined;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #decode(bytes: Buffer, offset: number, limit: number, index: number, copy: boolean, base: number): Entry {
    const dataBytes = limit - offset < RECORD_HEADER_BYTES ? Infinity : recordDataBytes(bytes, offset);
    const whole = offset + RECORD_HEADER_BYTES + dataBytes <= limit;
    const record = whole ? decodeRecord(bytes, offset, this.#content.seed) : undefined;
    if (record === undefined || record.kind === 'mark' || record.index !== index) {
      throw logDamaged(this.#path(), offset + base, `there is no sound record of entry ${index}`);
    }
    const data = bytes.subarray(offset + RECORD_HEADER_BYTES, offset + RECORD_HEADER_BYTES + dataBytes);
    // A mapped page is never handed out: whoever wrote into it would end the process.
    return { term: record.term, index, type: record.kind, data: copy ? Buffer.from(data) : data };
  }

  #readSpan(begin: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(end - begin);
    let count: number;
    try {
      count = this.#reading().readSync(bytes, begin);
    } catch (error) {
      throw unreadable(this.#path(), error) ?? error;
    }
    if (count < bytes.length) throw logDamaged(this.#path(), begin + count, 'the file ends early');
    return bytes;
  }

  #reading(): StorageFile {
    // A file of this name may belong to another segment by now.
    if (this.#closed) throw storageClosed();
    this.#file ??= this.files.openForReadingSync(this.name);
    return this.#file;
  }

  #active(): StorageFile {
    if (this.#file === undefined || this.#sealed) throw new Error(`segment ${this.name} is not active`);
    return this.#file;
  }

  async #load(
    file: StorageFile,
    manifest: SegmentManifest,
    onTerm: (index: number, term: number) => void,
  ): Promise<void> {
    const path = this.#path();
    const size = await file.size();
    const length = manifest.bytes + manifest.footerBytes;
    if (size < length) throw logDamaged(path, size, `the file ends early; it had ${length} bytes`);
    const content = await loadSegment(placeOf(file, path, this.groupId, manifest));
    this.#content = content;
    this.#end = manifest.bytes;
    this.#footerBytes = manifest.footerBytes;
    this.#recordsCrc = content.recordsCrc;
    if (this.last < manifest.last) {
      throw logDamaged(path, this.#end, `entry ${manifest.last} is not there; the last is ${this.last}`);
    }
    for (const { index, term } of content.starts) if (index <= manifest.last) onTerm(index, term);
    this.cut(manifest.last + 1);
    this.#sealed = manifest.sealed;
    // What was written after the checkpoint may be torn; the journal has it.
    if (manifest.sealed || size <= manifest.bytes) return;
    await file.truncate(manifest.bytes);
    this.#dirty = true;
  }

  #path(): string {
    return `${this.files.directory}/${this.name}`;
  }
}
