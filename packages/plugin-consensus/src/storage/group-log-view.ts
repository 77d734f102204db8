// What reads of a group see: every change that was handed over, durable or not. Entries that are in segment files are
// read from there; the newest are in memory.

import { entryBytes } from '../raft/entry-size.js';
import type { ConfState, Entry, HardState, SnapshotMetadata } from '../raft/types.js';
import { logCompacted, logGap } from './errors.js';
import { EntryTail } from './entry-tail.js';
import type { LogBounds, LogChange } from './log-change.js';
import type { SegmentedRaftLog } from './segmented-raft-log.js';
import { TermRuns } from './term-runs.js';

/** Where a view begins. */
export interface ViewStart {
  readonly bootstrap: ConfState;
  readonly hardState: HardState;
  readonly snapshot: SnapshotMetadata | undefined;
  readonly compacted: { readonly index: number; readonly term: number };
}

/** The readable state of a group's log. */
export class GroupLogView {
  hardState: HardState;
  snapshot: SnapshotMetadata | undefined;
  /** The entry just before the first one kept. At most the snapshot's index. */
  compacted: { readonly index: number; readonly term: number };
  readonly terms: TermRuns;
  readonly #tail: EntryTail;
  readonly #termOf = (index: number): number | undefined => this.terms.at(index);

  /** @param terms Terms of the entries in `segments`. */
  constructor(
    private readonly groupId: string,
    readonly start: ViewStart,
    private readonly segments: SegmentedRaftLog,
    terms: TermRuns,
  ) {
    this.hardState = start.hardState;
    this.snapshot = start.snapshot;
    this.compacted = start.compacted;
    this.terms = terms;
    this.#tail = new EntryTail(segments.last + 1);
  }

  get bounds(): LogBounds {
    return { snapshotIndex: this.snapshot?.index ?? 0, lastIndex: this.lastIndex };
  }

  get firstIndex(): number {
    return this.compacted.index + 1;
  }

  get lastIndex(): number {
    return this.#tail.last;
  }

  /** Bytes of the entries kept. */
  get bytes(): number {
    return this.segments.bytesBetween(this.firstIndex, this.#tail.first) + this.#tail.bytes;
  }

  term(index: number): number | undefined {
    if (index === this.compacted.index) return this.compacted.term;
    if (index < this.compacted.index || index > this.lastIndex) return undefined;
    return this.terms.at(index);
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    if (from < this.firstIndex) throw logCompacted(this.groupId, from, this.firstIndex);
    if (to > this.lastIndex + 1) throw logGap(this.groupId, to - 1, this.lastIndex);
    const found: Entry[] = [];
    const inSegments = Math.min(to, this.#tail.first);
    let bytes = from < inSegments ? this.segments.read(from, inSegments, maxBytes, found, this.#termOf) : 0;
    for (let index = from + found.length; index >= inSegments && index < to; index++) {
      const entry = this.#tail.get(index) as Entry;
      bytes += entryBytes(entry);
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  /** Takes a change that was checked. */
  apply(change: LogChange): void {
    const { snapshot, truncateFrom, entries, hardState } = change;
    if (snapshot !== undefined) this.#install(snapshot.metadata);
    if (truncateFrom !== undefined) this.#truncateFrom(truncateFrom);
    const first = entries[0];
    if (first !== undefined) {
      this.#truncateFrom(first.index);
      for (const entry of entries) {
        this.#tail.push(entry);
        this.terms.push(entry.index, entry.term);
      }
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  /** Moves the first index. `index` is at most the snapshot's. */
  compact(index: number): void {
    const term = this.term(index);
    if (index <= this.compacted.index || term === undefined) return;
    this.compacted = { index, term };
    this.terms.dropThrough(index);
    this.#tail.shrink(index, 0);
  }

  /** Notes that entries are in segment files now, so that memory may let them go, but for a cache of `keepBytes`. */
  written(entries: readonly Entry[], keepBytes: number): void {
    for (let at = entries.length - 1; at >= 0; at--) {
      const { index } = entries[at] as Entry;
      if (index < this.#tail.first) return;
      // Meanwhile another entry may have taken its place, which is not written yet.
      if (this.#tail.get(index) !== entries[at]) continue;
      this.#tail.shrink(index, keepBytes);
      return;
    }
  }

  #install(metadata: SnapshotMetadata): void {
    const { index, term } = metadata;
    this.snapshot = metadata;
    this.compacted = { index, term };
    this.terms.clear();
    this.#tail.reset(index + 1);
  }

  #truncateFrom(index: number): void {
    if (index > this.lastIndex) return;
    this.terms.truncateFrom(index);
    this.#tail.truncateFrom(index);
  }
}
