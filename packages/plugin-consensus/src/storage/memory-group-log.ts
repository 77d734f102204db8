// One group's log, hard state and snapshots as plain values in memory. Two of them make a group of MemoryNodeStorage:
// what reads see, and what a crash would leave.

import { entryBytes } from '../raft/entry-size.js';
import type { ConfState, Entry, HardState, SnapshotMetadata } from '../raft/types.js';
import { logCompacted, logGap } from './errors.js';
import type { LogBounds, LogChange } from './log-change.js';

/** A snapshot with its state. */
export interface MemorySnapshot {
  readonly metadata: SnapshotMetadata;
  readonly chunks: readonly Uint8Array[];
}

/** The name of a snapshot among those of its group. */
export function snapshotKey(metadata: SnapshotMetadata): string {
  return `${metadata.term}-${metadata.index}`;
}

/** A group's log in memory. */
export class MemoryGroupLog {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  snapshot: MemorySnapshot | undefined;
  /** Index and term just before the first entry. */
  compacted = { index: 0, term: 0 };
  /** Contiguous, from `compacted.index + 1`. */
  entries: Entry[] = [];

  constructor(readonly bootstrap: ConfState) {}

  /** A copy that shares only what never changes. */
  clone(): MemoryGroupLog {
    const copy = new MemoryGroupLog(this.bootstrap);
    copy.hardState = this.hardState;
    copy.snapshot = this.snapshot;
    copy.compacted = this.compacted;
    copy.entries = [...this.entries];
    return copy;
  }

  get bounds(): LogBounds {
    return { snapshotIndex: this.snapshot?.metadata.index ?? 0, lastIndex: this.lastIndex };
  }

  get firstIndex(): number {
    return this.compacted.index + 1;
  }

  get lastIndex(): number {
    return this.compacted.index + this.entries.length;
  }

  get bytes(): number {
    let sum = 0;
    for (const entry of this.entries) sum += entryBytes(entry);
    return sum;
  }

  term(index: number): number | undefined {
    if (index === this.compacted.index) return this.compacted.term;
    return this.entries[index - this.firstIndex]?.term;
  }

  range(groupId: string, from: number, to: number, maxBytes: number): readonly Entry[] {
    if (from < this.firstIndex) throw logCompacted(groupId, from, this.firstIndex);
    if (to > this.lastIndex + 1) throw logGap(groupId, to - 1, this.lastIndex);
    const found: Entry[] = [];
    let bytes = 0;
    for (let index = from; index < to; index++) {
      const entry = this.entries[index - this.firstIndex] as Entry;
      bytes += entryBytes(entry);
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  /** Takes a change that was checked. `installed` is the state that belongs to its snapshot. */
  apply(change: LogChange, installed: MemorySnapshot | undefined): void {
    if (installed !== undefined) {
      const { index, term } = installed.metadata;
      this.snapshot = installed;
      this.compacted = { index, term };
      this.entries = [];
    }
    const { truncateFrom, entries, hardState } = change;
    if (truncateFrom !== undefined) this.truncate(truncateFrom);
    const first = entries[0];
    if (first !== undefined) {
      this.truncate(first.index);
      for (const entry of entries) this.entries.push(entry);
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  /** Drops entries up to `index`, which is at most the last. */
  compact(index: number): void {
    if (index <= this.compacted.index) return;
    const term = this.term(index) ?? 0;
    this.entries.splice(0, index - this.compacted.index);
    this.compacted = { index, term };
  }

  private truncate(from: number): void {
    const keep = from - this.firstIndex;
    if (keep < this.entries.length) this.entries.length = Math.max(0, keep);
  }
}
