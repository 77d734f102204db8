// The part of a log that is not known to be on disk: entries and perhaps a snapshot. They stay here until storage has
// answered, also while they are being written, because until then storage's own view may still change under them.

import { entryOverheadBytes } from '../entry-size.js';
import type { Entry, Snapshot } from '../types.js';

const none: readonly Entry[] = Object.freeze([]);

/**
 * Entries from `offset` on. Note that `offset` may lie below storage's end: then the next write replaces a tail.
 * Invariant: offset ≤ offsetInProgress ≤ offset + count.
 */
export class Unstable {
  snapshot: Snapshot | undefined;
  snapshotInProgress = false;
  /** Index of the first entry here. */
  offset: number;
  /** Entries below this index are being written. */
  offsetInProgress: number;
  /** Entries live at #entries[#head …]; what is before was made stable and is dropped in bulk. */
  #entries: Entry[] = [];
  #head = 0;

  constructor(offset: number) {
    this.offset = offset;
    this.offsetInProgress = offset;
  }

  /** How many entries are here. */
  get count(): number {
    return this.#entries.length - this.#head;
  }

  /** Index after the last entry here. */
  get end(): number {
    return this.offset + this.#entries.length - this.#head;
  }

  /** Index of the last entry or of the snapshot, if there is either. */
  lastIndex(): number | undefined {
    if (this.#entries.length > this.#head) return this.end - 1;
    return this.snapshot?.metadata.index;
  }

  term(index: number): number | undefined {
    if (index >= this.offset) return this.#entries[this.#head + index - this.offset]?.term;
    if (this.snapshot !== undefined && this.snapshot.metadata.index === index)
      return this.snapshot.metadata.term;
    return undefined;
  }

  get hasNextEntries(): boolean {
    return this.offsetInProgress < this.end;
  }

  /** Entries that nobody is writing yet. */
  nextEntries(): readonly Entry[] {
    if (!this.hasNextEntries) return none;
    return this.#entries.slice(this.#head + this.offsetInProgress - this.offset);
  }

  /** The snapshot, if nobody is writing it yet. */
  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  /** All that is here has been handed out for writing. */
  acceptInProgress(): void {
    this.offsetInProgress = this.end;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /**
   * Storage has everything up to this entry. Ignored when the entry here is another one by now: it was replaced while
   * it was being written.
   */
  stableTo(index: number, term: number): boolean {
    if (index < this.offset || this.term(index) !== term) return false;
    this.#head += index + 1 - this.offset;
    this.offset = index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
    this.#dropHead();
    return true;
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot === undefined || this.snapshot.metadata.index !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1;
    this.offsetInProgress = this.offset;
    this.#entries = [];
    this.#head = 0;
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Appends consecutive entries, replacing whatever is at and after the first one's index. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = (entries[0] as Entry).index;
    if (from !== this.end) {
      if (from <= this.offset) {
        this.offset = from;
        this.#entries = [];
        this.#head = 0;
      } else {
        this.#entries.length = this.#head + from - this.offset;
      }
      // What is being written from here on is void: it will be overwritten by a later write.
      this.offsetInProgress = Math.min(this.offsetInProgress, from);
    }
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Appends one entry at the end. */
  push(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** Entries in `[from, to)`, all of them here, within `maxBytes` of which `atLeastOne` may go beyond. */
  slice(from: number, to: number, maxBytes: number, atLeastOne: boolean): readonly Entry[] {
    const start = this.#head + from - this.offset;
    const end = this.#head + to - this.offset;
    let bytes = 0;
    let stop = start;
    while (stop < end) {
      bytes += (this.#entries[stop] as Entry).data.length + entryOverheadBytes;
      if (bytes > maxBytes && !(atLeastOne && stop === start)) break;
      stop++;
    }
    return stop === start ? none : this.#entries.slice(start, stop);
  }

  /** Gives memory back once most of the array is dead, so that each entry is moved at most once on average. */
  #dropHead(): void {
    if (this.#head === this.#entries.length) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }
}
