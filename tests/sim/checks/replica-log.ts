// What one replica has been told to write, and what it was told is durable, as seen from outside of the product: the
// ground truth that its storage and its answers are held against.

import type { Entry, HardState } from '../../../packages/plugin-consensus/src/raft/types.js';
import type { GroupWrite } from '../../../packages/plugin-consensus/src/storage/types.js';

/** One entry as the checks know it. */
export interface Logged {
  readonly term: number;
  /** Checksum of type and data. */
  readonly sum: number;
}

/** A log with a hard state. */
export class ReplicaLog {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  /** Everything up to here is in a snapshot. */
  snapshotIndex = 0;
  lastIndex = 0;
  private readonly entries = new Map<number, Logged>();
  /** What others took the place of. */
  private readonly replaced = new Set<string>();

  /** The entry at an index; undefined when there is none, or it is in the snapshot and was never seen. */
  at(index: number): Logged | undefined {
    return this.entries.get(index);
  }

  /** Whether the entry at `index` is this one, or is covered by the snapshot. */
  holds(index: number, term: number): boolean {
    if (index <= this.snapshotIndex) return true;
    return index <= this.lastIndex && this.entries.get(index)?.term === term;
  }

  /** As {@link holds}, or whether it did before others took the place of that entry. */
  held(index: number, term: number): boolean {
    return this.holds(index, term) || this.replaced.has(`${index} ${term}`);
  }

  /** Takes in one write: snapshot, entries, hard state, in this order. */
  take(write: Omit<GroupWrite, 'groupId'>, sums: readonly number[]): void {
    const { snapshot, entries, hardState } = write;
    if (snapshot !== undefined && snapshot.metadata.index > this.snapshotIndex) {
      this.installSnapshot(snapshot.metadata.index);
    }
    entries.forEach((entry, at) => this.append(entry, sums[at] as number));
    if (hardState !== undefined) this.hardState = hardState;
  }

  /** A snapshot that came from a leader takes the place of all that is there. */
  private installSnapshot(index: number): void {
    this.dropFrom(index + 1);
    this.entries.clear();
    this.lastIndex = index;
    this.snapshotIndex = index;
  }

  /** What the storage found on its disk takes the place of everything. */
  reset(hardState: HardState, snapshotIndex: number, entries: ReadonlyMap<number, Logged>): void {
    this.hardState = hardState;
    this.snapshotIndex = snapshotIndex;
    this.entries.clear();
    this.lastIndex = snapshotIndex;
    for (const [index, logged] of entries) {
      this.entries.set(index, logged);
      this.lastIndex = Math.max(this.lastIndex, index);
    }
  }

  private append(entry: Entry, sum: number): void {
    this.dropFrom(entry.index);
    this.entries.set(entry.index, { term: entry.term, sum });
    this.lastIndex = entry.index;
  }

  /** Other entries take the places from `from` on. */
  private dropFrom(from: number): void {
    for (let index = from; index <= this.lastIndex; index++) {
      const entry = this.entries.get(index);
      if (entry !== undefined) this.replaced.add(`${index} ${entry.term}`);
      this.entries.delete(index);
    }
  }
}
