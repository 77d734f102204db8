// One segment file of a group's log. While it is active, records are added at its end and nothing in it is ever written
// over; once full it is sealed: synced, read-only, and mapped while it is among the newest. An array of offsets makes
// reading by index one step.

import type { Entry } from '../raft/types.js';
import { logDamaged, storageClosed } from './errors.js';
import { readingGroup } from './group-damage.js';
import type { FileMapper } from './mapped-file.js';
import {
  MAX_RECORD_DATA_BYTES,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  checkSegmentHeader,
  decodeRecord,
  encodeRecord,
  encodeSegmentHeader,
  recordDataBytes,
  segmentName,
} from './segment-format.js';
import type { StorageFile, StorageFiles } from './storage-files.js';

/** What a checkpoint says of a segment: which part of it counts. Everything after `bytes` is not to be believed. */
export interface SegmentManifest {
  readonly start: number;
  /** Last index that counts; `start - 1` when none does. */
  readonly last: number;
  readonly bytes: number;
  readonly sealed: boolean;
}

const SCAN_BYTES = 256 * 1024;
const NO_DATA = new Uint8Array(0);

/** A segment. Reads are synchronous; all else is called by the one writer of its group. */
export class Segment {
  readonly name: string;
  /** Offset of the record of each index, from `start` on. */
  readonly #offsets: number[] = [];
  /** Open for writing while active, for reading when asked, else undefined. */
  #file: StorageFile | undefined;
  #map: Buffer | undefined;
  #end = SEGMENT_HEADER_BYTES;
  #sealed = false;
  #closed = false;

  private constructor(
    private readonly files: StorageFiles,
    private readonly groupId: string,
    readonly start: number,
  ) {
    this.name = segmentName(groupId, start);
  }

  /** Makes a new, empty, active segment. Its name is durable after the next `syncDirectory`. */
  static async create(files: StorageFiles, groupId: string, start: number): Promise<Segment> {
    const segment = new Segment(files, groupId, start);
    segment.#file = await files.create(segment.name);
    await segment.#file.write([encodeSegmentHeader(groupId, start)], 0);
    return segment;
  }

  /**
   * Opens a segment as its manifest describes it, reading and checking every record of it. What lies beyond is cut.
   * @param onEntry Told of each entry that counts, in order of index.
   * @throws DwError `raft-log-damaged`.
   */
  static async open(
    files: StorageFiles,
    groupId: string,
    manifest: SegmentManifest,
    onEntry: (index: number, term: number) => void,
  ): Promise<Segment> {
    const segment = new Segment(files, groupId, manifest.start);
    const path = segment.#path();
    const file = await readingGroup(path, () =>
      manifest.sealed ? files.openForReading(segment.name) : files.openForWriting(segment.name),
    );
    try {
      await readingGroup(path, () => segment.#load(file, manifest, onEntry));
    } catch (error) {
      await file.close();
      throw error;
    }
    if (manifest.sealed) await file.close();
    else segment.#file = file;
    return segment;
  }

  get last(): number {
    return this.start + this.#offsets.length - 1;
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
    return { start: this.start, last: this.last, bytes: this.#end, sealed: this.#sealed };
  }

  /** Bytes of the record of `index`, which is here (with marks that follow it). */
  recordSpan(index: number): number {
    const at = index - this.start;
    return (this.#offsets[at + 1] ?? this.#end) - (this.#offsets[at] as number);
  }

  /** Bytes of the records from index `from` to before `to`, as far as they are here. */
  bytesBetween(from: number, to: number): number {
    const begin = this.#offsets[Math.max(0, from - this.start)] ?? this.#end;
    const end = this.#offsets[Math.max(0, to - this.start)] ?? this.#end;
    return Math.max(0, end - begin);
  }

  /** Writes entries that follow the last one, from `from` to before `to`. They are on disk after {@link sync}. */
  async append(entries: readonly Entry[], from: number, to: number): Promise<void> {
    let bytes = 0;
    for (let at = from; at < to; at++) bytes += RECORD_HEADER_BYTES + (entries[at] as Entry).data.length;
    const buffer = Buffer.allocUnsafe(bytes);
    const offsets: number[] = [];
    let offset = 0;
    for (let at = from; at < to; at++) {
      const { type, term, index, data } = entries[at] as Entry;
      offsets.push(this.#end + offset);
      offset = encodeRecord(buffer, offset, type, term, index, data);
    }
    await this.#active().write([buffer], this.#end);
    for (const one of offsets) this.#offsets.push(one);
    this.#end += bytes;
  }

  /** Voids the entries from `index` on, which is after `start`, by a mark at the end. */
  async mark(index: number): Promise<void> {
    const buffer = Buffer.alloc(RECORD_HEADER_BYTES);
    encodeRecord(buffer, 0, 'mark', 0, index, NO_DATA);
    await this.#active().write([buffer], this.#end);
    this.#end += buffer.length;
    this.cut(index);
  }

  /** Voids the entries from `index` on in memory only: the next manifest says so. For a sealed segment. */
  cut(index: number): void {
    this.#offsets.length = Math.max(0, Math.min(this.#offsets.length, index - this.start));
  }

  /** Puts all that was written on disk. */
  async sync(): Promise<void> {
    if (!this.#sealed) await this.#active().datasync();
  }

  /** Syncs, makes the file read-only, and lets nothing be added any more. */
  async seal(): Promise<void> {
    if (this.#sealed) return;
    const file = this.#active();
    await file.datasync();
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
   * @throws DwError `raft-log-damaged`.
   */
  read(from: number, to: number, into: Entry[]): void {
    const begin = this.#offsets[from - this.start] as number;
    const end = this.#offsets[to - this.start] ?? this.#end;
    const map = this.#map;
    const bytes = map ?? this.#readSpan(begin, end);
    const base = map === undefined ? begin : 0;
    for (let index = from; index < to; index++) {
      const offset = (this.#offsets[index - this.start] as number) - base;
      const limit = (this.#offsets[index - this.start + 1] ?? end) - base;
      into.push(this.#decode(bytes, offset, limit, index, map !== undefined, base));
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
    const record = whole ? decodeRecord(bytes, offset) : undefined;
    if (record === undefined || record.kind === 'mark' || record.index !== index) {
      throw logDamaged(this.#path(), offset + base, `there is no sound record of entry ${index}`);
    }
    const data = bytes.subarray(offset + RECORD_HEADER_BYTES, offset + RECORD_HEADER_BYTES + dataBytes);
    // A mapped page is never handed out: whoever wrote into it would end the process.
    return { term: record.term, index, type: record.kind, data: copy ? Buffer.from(data) : data };
  }

  #readSpan(begin: number, end: number): Buffer {
    const bytes = Buffer.allocUnsafe(end - begin);
    const count = this.#reading().readSync(bytes, begin);
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
    onEntry: (index: number, term: number) => void,
  ): Promise<void> {
    const size = await file.size();
    if (size < manifest.bytes) {
      throw logDamaged(this.#path(), size, `the file ends early; it had ${manifest.bytes} bytes`);
    }
    const terms = await this.#scan(file, manifest.bytes);
    if (this.last < manifest.last) {
      throw logDamaged(
        this.#path(),
        this.#end,
        `entry ${manifest.last} is not there; the last is ${this.last}`,
      );
    }
    this.cut(manifest.last + 1);
    for (let index = this.start; index <= this.last; index++) {
      onEntry(index, terms[index - this.start] as number);
    }
    this.#sealed = manifest.sealed;
    // What was written after the checkpoint may be torn; the journal has it.
    if (!manifest.sealed && size > manifest.bytes) await file.truncate(manifest.bytes);
  }

  /** Reads all records up to `bytes` and fills the offsets. @returns the terms, from `start` on. */
  async #scan(file: StorageFile, bytes: number): Promise<number[]> {
    const terms: number[] = [];
    let window = Buffer.alloc(0);
    let windowAt = 0;
    const need = async (offset: number, length: number): Promise<number> => {
      if (offset + length > bytes) throw logDamaged(this.#path(), offset, 'a record goes beyond the end');
      if (offset + length > windowAt + window.length) {
        window = Buffer.allocUnsafe(Math.min(bytes - offset, Math.max(length, SCAN_BYTES)));
        windowAt = offset;
        const count = await file.read(window, offset);
        if (count < window.length) throw logDamaged(this.#path(), offset + count, 'the file ends early');
      }
      return offset - windowAt;
    };
    await need(0, SEGMENT_HEADER_BYTES);
    const wrong = checkSegmentHeader(window.subarray(0, SEGMENT_HEADER_BYTES), this.groupId, this.start);
    if (wrong !== undefined) throw logDamaged(this.#path(), 0, wrong);
    for (let offset = SEGMENT_HEADER_BYTES; offset < bytes;) {
      const headerAt = await need(offset, RECORD_HEADER_BYTES);
      const dataBytes = recordDataBytes(window, headerAt);
      if (dataBytes > MAX_RECORD_DATA_BYTES) {
        throw logDamaged(this.#path(), offset, `a record of ${dataBytes} bytes cannot be`);
      }
      const at = await need(offset, RECORD_HEADER_BYTES + dataBytes);
      const record = decodeRecord(window, at);
      if (record === undefined) throw logDamaged(this.#path(), offset, 'the checksum of a record fails');
      if (record.kind === 'mark') {
        if (record.index < this.start || record.index > this.last) {
          throw logDamaged(this.#path(), offset, `a mark at ${record.index} voids nothing`);
        }
        this.cut(record.index);
        terms.length = this.#offsets.length;
      } else if (record.index === this.last + 1) {
        this.#offsets.push(offset);
        terms.push(record.term);
      } else {
        throw logDamaged(this.#path(), offset, `entry ${record.index} stands where ${this.last + 1} should`);
      }
      offset += RECORD_HEADER_BYTES + dataBytes;
    }
    this.#end = bytes;
    return terms;
  }

  #path(): string {
    return `${this.files.directory}/${this.name}`;
  }
}
