// The disk of a node of the harness, in memory: what is here survives a restart. The newest snapshot is whatever the
// state machine has applied last; compacting the log is another matter.

import type { ConfState, Entry, HardState, RaftStorage, Snapshot } from '#consensus/raft/types.js';

const none: readonly Entry[] = [];

/** A log in memory. Entry i of the log has index `#base.index + 1 + i`. */
export class HarnessStorage implements RaftStorage {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  /** The snapshot that this log starts from: its state, its members. */
  base: Snapshot;
  readonly #newest: () => Snapshot;
  #offset: { readonly index: number; readonly term: number };
  #log: readonly Entry[] = none;

  constructor(base: Snapshot, newest: () => Snapshot) {
    this.base = base;
    this.#newest = newest;
    this.#offset = base.metadata;
  }

  initialState(): { hardState: HardState; conf: ConfState } {
    return { hardState: this.hardState, conf: this.base.metadata.conf };
  }

  firstIndex(): number {
    return this.#offset.index + 1;
  }

  lastIndex(): number {
    return this.#offset.index + this.#log.length;
  }

  term(index: number): number | undefined {
    if (index === this.#offset.index) return this.#offset.term;
    return this.#log[index - this.firstIndex()]?.term;
  }

  entries(from: number, to: number): readonly Entry[] {
    if (from < this.firstIndex()) throw new Error(`the harness was asked for the compacted entry ${from}`);
    return this.#log.slice(from - this.firstIndex(), to - this.firstIndex());
  }

  snapshot(): Snapshot | undefined {
    return this.#newest();
  }

  /** All entries that are kept. */
  all(): readonly Entry[] {
    return this.#log;
  }

  applySnapshot(snapshot: Snapshot): void {
    this.base = snapshot;
    this.#offset = snapshot.metadata;
    this.#log = none;
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index > this.lastIndex() + 1) throw new Error(`a gap before entry ${first.index}`);
    // What is compacted already stays so.
    const fresh = entries.filter((entry) => entry.index >= this.firstIndex());
    if (fresh[0] === undefined) return;
    this.#log = [...this.#log.slice(0, fresh[0].index - this.firstIndex()), ...fresh];
  }

  /** Drops the log up to and with this entry. */
  compact(index: number): void {
    const term = this.term(index);
    if (index < this.firstIndex()) throw new Error('requested index is unavailable due to compaction');
    if (term === undefined) throw new Error(`entry ${index} is beyond the log's end ${this.lastIndex()}`);
    this.#log = this.#log.slice(index + 1 - this.firstIndex());
    this.#offset = { index, term };
  }
}
