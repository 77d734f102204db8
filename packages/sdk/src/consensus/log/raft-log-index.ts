// Where each entry of a single-file Raft log is: the position of its record and its term, by index. Replaying the
// records of the log in their order gives it back. Both lookups are one step.

import type { RaftLogBase, RaftLogRecord } from './raft-log-record.js';

/** Empty places at the front that are worth a copy. */
const COMPACT_AT = 4096;

/** The index of a log. Entries are contiguous from `base.index + 1` on, with the last at `last`. */
export class RaftLogIndex {
  #base: RaftLogBase = { index: 0, term: 0 };
  #positions: number[] = [];
  #terms: number[] = [];
  /** Where in the lists the first entry is. */
  #head = 0;
  /** What is replayed of a log whose beginning was dropped; undefined for a whole one. */
  readonly #dropped: { readonly base: RaftLogBase; firstLoose: number; lastLoose: number } | undefined;

  /**
   * @param droppedTo The newest base of a log whose beginning was dropped: nothing at or below it counts. Records of
   * entries after it may come first that a later truncation voids, without those that they followed.
   */
  constructor(droppedTo?: RaftLogBase) {
    if (droppedTo === undefined) return;
    this.#base = droppedTo;
    this.#dropped = { base: droppedTo, firstLoose: 0, lastLoose: -1 };
  }

  get base(): RaftLogBase {
    return this.#base;
  }

  get count(): number {
    return this.#positions.length - this.#head;
  }

  get last(): number {
    return this.#base.index + this.count;
  }

  /** Whether entries were read back that follow nothing, and no truncation voided them. */
  get hasLoose(): boolean {
    return this.#dropped !== undefined && this.#dropped.lastLoose >= this.#dropped.firstLoose;
  }

  /** The position of an entry's record; undefined when there is no such entry. */
  position(index: number): number | undefined {
    return index <= this.#base.index ? undefined : this.#positions[this.#head + index - this.#base.index - 1];
  }

  /** The term of an entry, also of the last one that was compacted. */
  term(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return index < this.#base.index ? undefined : this.#terms[this.#head + index - this.#base.index - 1];
  }

  /** Takes the entry after the last. */
  push(term: number, position: number): void {
    this.#positions.push(position);
    this.#terms.push(term);
  }

  /** Forgets the entries from `index` on. */
  truncateFrom(index: number): void {
    const keep = Math.max(0, index - this.#base.index - 1);
    this.#positions.length = Math.min(this.#positions.length, this.#head + keep);
    this.#terms.length = this.#positions.length;
  }

  /** Forgets the entries up to `base`, which is one of them. */
  compact(base: RaftLogBase): void {
    this.#head += Math.min(base.index - this.#base.index, this.count);
    this.#base = base;
    if (this.#head < COMPACT_AT || this.#head * 2 < this.#positions.length) return;
    this.#positions = this.#positions.slice(this.#head);
    this.#terms = this.#terms.slice(this.#head);
    this.#head = 0;
  }

  /** Takes a record that was read back at a position. @returns why it cannot be; undefined when it can. */
  replay(record: RaftLogRecord, position: number): string | undefined {
    switch (record.kind) {
      case 'state':
        return undefined;
      case 'entry':
        return this.#replayEntry(record.entry.index, record.entry.term, position);
      case 'truncate':
        return this.#replayTruncation(record.index);
      case 'base':
        return this.#replayBase(record.base);
    }
  }

  #replayEntry(index: number, term: number, position: number): string | undefined {
    const dropped = this.#dropped;
    if (dropped !== undefined && index <= dropped.base.index) return undefined;
    const loose = dropped !== undefined && (this.hasLoose || (this.count === 0 && index > this.last + 1));
    const expected = loose && this.hasLoose ? dropped.lastLoose + 1 : loose ? index : this.last + 1;
    if (index !== expected) return `entry ${index} stands where ${expected} should`;
    if (!loose) this.push(term, position);
    else if (this.hasLoose) dropped.lastLoose = index;
    else Object.assign(dropped, { firstLoose: index, lastLoose: index });
    return undefined;
  }

  #replayTruncation(index: number): string | undefined {
    const dropped = this.#dropped;
    if (dropped !== undefined) dropped.lastLoose = Math.min(dropped.lastLoose, index - 1);
    else if (index <= this.#base.index) {
      return `entries from ${index} on are void, but the log begins after ${this.#base.index}`;
    }
    this.truncateFrom(index);
    return undefined;
  }

  #replayBase(base: RaftLogBase): string | undefined {
    if (this.#dropped !== undefined) return undefined;
    if (base.index < this.#base.index || base.index > this.last) {
      return `entries up to ${base.index} were compacted, but there are those from ${this.#base.index + 1} to ${this.last}`;
    }
    if (this.term(base.index) !== base.term) {
      return `entry ${base.index} has term ${this.term(base.index)}, not ${base.term}`;
    }
    this.compact(base);
    return undefined;
  }
}
