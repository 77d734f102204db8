// The indexed store behind the journal: one group's entries in segment files, each for a bucket of `entriesPerSegment`
// indexes, so that an index names its segment without a search. One writer works on it in the background; reads are
// synchronous and see what that writer has written.
//
// It makes nothing durable by itself. The group's checkpoint does: it syncs the active segment and then stores the
// manifests. A file is removed, or its name used again, only after a stored manifest has ceased to name it.

import { entryBytes } from '../raft/entry-size.js';
import type { Entry } from '../raft/types.js';
import type { FileMapper } from './mapped-file.js';
import { Segment, type SegmentManifest, type TermOf } from './segment.js';
import { RECORD_HEADER_BYTES, parseSegmentName } from './segment-format.js';
import type { StorageFiles } from './storage-files.js';

/** How a group's segments are laid out. */
export interface SegmentOptions {
  /** Entries for each file. */
  readonly entriesPerSegment: number;
  /** A file that passes this is sealed before it is full, so that offsets and maps stay handy. */
  readonly maxSegmentBytes: number;
  /** How many of the newest sealed segments are mapped, now. */
  readonly mappedSegments: () => number;
  /** Loads what maps; without one all are read by position. */
  readonly mapper: () => FileMapper | undefined;
}

/** Bytes encoded and written in one go, so that no turn of the event loop is long. */
const WRITE_BYTES = 64 * 1024;
/** Bytes fetched by one positional read. */
const READ_BYTES = 256 * 1024;
/** Descriptors that a group keeps open for sealed segments. */
const MAX_OPEN_SEALED = 4;

/** The segments of one group. */
export class SegmentedRaftLog {
  /** Ascending by index. All but the last are sealed. */
  readonly #segments: Segment[] = [];
  /** Voided or compacted, on disk until the next checkpoint is stored. */
  #obsolete: Segment[] = [];
  /** Where the next entry goes. */
  #next: number;
  #directoryDirty = false;

  private constructor(
    private readonly files: StorageFiles,
    private readonly groupId: string,
    private readonly options: SegmentOptions,
    next: number,
  ) {
    this.#next = next;
  }

  /**
   * Opens the segments that a checkpoint names and removes those that it does not.
   * @param present Names of the group's segment files.
   * @param next Index that follows the newest entry of the checkpoint.
   * @param onTerm Told of each index that has another term than the one before, and perhaps of others, in order.
   * @throws DwError `raft-log-damaged`.
   */
  static async open(
    files: StorageFiles,
    groupId: string,
    options: SegmentOptions,
    manifests: readonly SegmentManifest[],
    present: readonly string[],
    next: number,
    onTerm: (index: number, term: number) => void,
  ): Promise<SegmentedRaftLog> {
    const log = new SegmentedRaftLog(files, groupId, options, next);
    try {
      for (const manifest of manifests) {
        log.#segments.push(await Segment.open(files, groupId, manifest, onTerm));
      }
    } catch (error) {
      await log.close();
      throw error;
    }
    const named = new Set(log.#segments.map((segment) => segment.name));
    for (const name of present) {
      if (!named.has(name)) await files.remove(name);
    }
    log.mapNewest();
    return log;
  }

  get last(): number {
    return this.#next - 1;
  }

  get bytes(): number {
    let sum = 0;
    for (const segment of this.#segments) sum += segment.bytes;
    return sum;
  }

  /** About how many bytes the entries from `from` to before `to` take. */
  bytesBetween(from: number, to: number): number {
    let sum = 0;
    for (const segment of this.#segments) {
      if (segment.start >= to) break;
      if (segment.last >= from) sum += segment.bytesBetween(from, to);
    }
    return sum;
  }

  get mappedSegments(): number {
    return this.#segments.reduce((sum, segment) => sum + (segment.mapped ? 1 : 0), 0);
  }

  /** What a checkpoint stores, true once {@link sync} has returned. */
  get manifests(): readonly SegmentManifest[] {
    return this.#segments.map((segment) => segment.manifest);
  }

  /** Whether there are files that wait for a checkpoint before they can be removed. */
  get hasObsolete(): boolean {
    return this.#obsolete.length > 0;
  }

  /** Adds entries, the first of which follows {@link last}. Seals what gets full. */
  async append(entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length;) {
      const segment = await this.#writable((entries[at] as Entry).index);
      const bucketEnd = this.#bucketEnd(segment);
      let to = at;
      let bytes = 0;
      let end = segment.bytes;
      while (to < entries.length && (entries[to] as Entry).index <= bucketEnd && bytes < WRITE_BYTES) {
        bytes += entryBytes(entries[to] as Entry);
        end += RECORD_HEADER_BYTES + (entries[to] as Entry).data.length;
        to++;
      }
      const fills = (entries[to - 1] as Entry).index >= bucketEnd || end >= this.options.maxSegmentBytes;
      if (fills) await segment.appendLast(entries, at, to);
      else await segment.append(entries, at, to);
      this.#next += to - at;
      at = to;
      if (fills) this.mapNewest();
    }
  }

  /**
   * Voids the entries from `index` on. When that touches a sealed segment, the change is in memory only, and
   * {@link hasObsolete} or {@link needsCheckpoint} asks for a checkpoint before anything is appended.
   * @returns whether a checkpoint must be stored before the next append.
   */
  async truncateFrom(index: number): Promise<boolean> {
    if (index >= this.#next) return false;
    this.#next = index;
    let touchedSealed = false;
    while ((this.#segments.at(-1)?.start ?? -1) >= index) {
      const gone = this.#segments.pop() as Segment;
      this.#obsolete.push(gone);
      touchedSealed = true;
    }
    const newest = this.#segments.at(-1);
    if (newest !== undefined && newest.last >= index) {
      if (newest.sealed) {
        newest.cut(index);
        touchedSealed = true;
      } else {
        await newest.mark(index);
      }
    }
    return touchedSealed;
  }

  /** Voids everything; `next` is the next index. A checkpoint must be stored before the next append. */
  reset(next: number): void {
    this.#obsolete.push(...this.#segments.splice(0));
    this.#next = next;
  }

  /** Lets whole segments go whose entries all lie at or below `index`. */
  dropThrough(index: number): void {
    while (this.#segments.length > 1 && (this.#segments[0] as Segment).last <= index) {
      this.#obsolete.push(this.#segments.shift() as Segment);
    }
    const only = this.#segments[0];
    if (only !== undefined && only.sealed && only.last <= index) {
      this.#obsolete.push(this.#segments.pop() as Segment);
    }
  }

  /** Puts all that was written on disk, names included. */
  async sync(): Promise<void> {
    await this.#segments.at(-1)?.sync();
    if (!this.#directoryDirty) return;
    await this.files.syncDirectory();
    this.#directoryDirty = false;
  }

  /** Removes what the checkpoint that was just stored does not name. */
  async removeObsolete(): Promise<void> {
    const gone = this.#obsolete;
    this.#obsolete = [];
    for (const segment of gone) {
      await segment.close();
      await this.files.remove(segment.name);
    }
  }

  /**
   * Adds entries from `from` to before `to` to `into`, as long as they have fewer than `maxBytes`, but at least one.
   * All of them are in segments.
   * @param termOf The term that each must have.
   * @returns the bytes added.
   * @throws DwError `raft-log-damaged`.
   */
  read(from: number, to: number, maxBytes: number, into: Entry[], termOf: TermOf): number {
    let bytes = 0;
    for (let index = from; index < to;) {
      const segment = this.#segmentOf(index);
      if (segment === undefined) throw new Error(`group ${this.groupId}: no segment has entry ${index}`);
      const limit = Math.min(to, segment.last + 1);
      let end = index;
      let span = 0;
      while (end < limit && span < READ_BYTES) {
        const next = segment.recordSpan(end);
        if (into.length + end - index > 0 && bytes + span + next > maxBytes) break;
        span += next;
        end++;
      }
      if (end === index) return bytes;
      segment.read(index, end, into, termOf);
      if (!segment.mapped && segment.sealed) this.#limitOpen(segment);
      bytes += span;
      index = end;
    }
    return bytes;
  }

  /** Sealed segments, oldest first. One may be removed while it is looked at. */
  get sealed(): readonly Segment[] {
    return this.#segments.filter((segment) => segment.sealed);
  }

  /** Whether a segment is still part of the log. */
  has(segment: Segment): boolean {
    return this.#segments.includes(segment);
  }

  async close(): Promise<void> {
    for (const segment of [...this.#segments, ...this.#obsolete]) await segment.close();
  }

  #bucket(index: number): number {
    return Math.floor((index - 1) / this.options.entriesPerSegment);
  }

  /** Segments mostly hold one bucket each, so the first guess is right; a cut or short bucket moves it by a few. */
  #segmentOf(index: number): Segment | undefined {
    const first = this.#segments[0];
    if (first === undefined) return undefined;
    const guess = this.#bucket(index) - this.#bucket(first.start);
    let at = Math.max(0, Math.min(this.#segments.length - 1, guess));
    while (at > 0 && (this.#segments[at] as Segment).start > index) at--;
    while (at + 1 < this.#segments.length && (this.#segments[at + 1] as Segment).start <= index) at++;
    const found = this.#segments[at] as Segment;
    return index >= found.start && index <= found.last ? found : undefined;
  }

  async #writable(index: number): Promise<Segment> {
    const newest = this.#segments.at(-1);
    if (newest !== undefined && !newest.sealed) {
      if (!this.#isFull(newest)) return newest;
      // It was begun when segments were larger.
      await this.#seal(newest);
    }
    const segment = await Segment.create(this.files, this.groupId, index);
    this.#directoryDirty = true;
    this.#segments.push(segment);
    return segment;
  }

  #bucketEnd(segment: Segment): number {
    return (this.#bucket(segment.start) + 1) * this.options.entriesPerSegment;
  }

  #isFull(segment: Segment): boolean {
    return segment.last >= this.#bucketEnd(segment) || segment.bytes >= this.options.maxSegmentBytes;
  }

  async #seal(segment: Segment): Promise<void> {
    await segment.seal();
    this.mapNewest();
  }

  /** Maps the newest sealed segments, and lets go of the maps of others. */
  mapNewest(): void {
    let left = this.options.mappedSegments();
    const mapper = left > 0 ? this.options.mapper() : undefined;
    for (let at = this.#segments.length - 1; at >= 0; at--) {
      const segment = this.#segments[at] as Segment;
      if (!segment.sealed) continue;
      if (left > 0 && mapper !== undefined) segment.map(mapper);
      else segment.unmap();
      left--;
    }
  }

  /** Keeps few descriptors of sealed segments, `used` among them. */
  #limitOpen(used: Segment): void {
    let open = 0;
    for (const segment of this.#segments) if (segment.sealed && segment.open) open++;
    for (const segment of this.#segments) {
      if (open <= MAX_OPEN_SEALED) return;
      if (segment === used || !segment.sealed || !segment.open) continue;
      segment.releaseFile();
      open--;
    }
  }
}

/** The segment files among `names`, by group. */
export function segmentFilesByGroup(names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const byGroup = new Map<string, string[]>();
  for (const name of names) {
    const groupId = parseSegmentName(name)?.groupId;
    if (groupId === undefined) continue;
    const files = byGroup.get(groupId);
    if (files === undefined) byGroup.set(groupId, [name]);
    else files.push(name);
  }
  return byGroup;
}
