// The newest entries of a group, in memory: those that are not in segment files yet, and as many before them as the
// cache allows. Contiguous, cut at either end in constant time.

import { entryBytes } from '../raft/entry-size.js';
import type { Entry } from '../raft/types.js';

/** Empty places at the front that are worth a copy. */
const COMPACT_AT = 1024;

/** A contiguous run of entries that ends with the log's last. */
export class EntryTail {
  #entries: (Entry | undefined)[] = [];
  /** Where in `#entries` the first one is. What is before was dropped. */
  #head = 0;
  #first: number;
  #bytes = 0;

  /** @param first Index of the entry that comes next. */
  constructor(first: number) {
    this.#first = first;
  }

  /** Index of the first entry here, or of the next one to come. */
  get first(): number {
    return this.#first;
  }

  /** Index of the last entry; `first - 1` when there is none. */
  get last(): number {
    return this.#first + this.#entries.length - this.#head - 1;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(index: number): Entry | undefined {
    return index < this.#first ? undefined : this.#entries[this.#head + index - this.#first];
  }

  /** Adds the entry that follows the last. */
  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entryBytes(entry);
  }

  /** Drops entries from `index` on; the next one to come is `index`, even when it lies before the first. */
  truncateFrom(index: number): void {
    if (index <= this.#first) {
      this.reset(index);
      return;
    }
    while (this.last >= index) {
      const dropped = this.#entries.pop();
      if (dropped !== undefined) this.#bytes -= entryBytes(dropped);
    }
  }

  /** Drops everything; `first` comes next. */
  reset(first: number): void {
    this.#entries = [];
    this.#head = 0;
    this.#first = first;
    this.#bytes = 0;
  }

  /** Drops entries from the front, up to `index`, while more than `keepBytes` stay. */
  shrink(index: number, keepBytes: number): void {
    while (this.#bytes > keepBytes && this.#first <= index) {
      const entry = this.#entries[this.#head];
      if (entry === undefined) return;
      this.#entries[this.#head] = undefined;
      this.#head++;
      this.#first++;
      this.#bytes -= entryBytes(entry);
    }
    if (this.#head >= COMPACT_AT && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }
}
