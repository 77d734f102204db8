// A RaftStorage in memory, for tests: takes what a Ready wants written, and can be copied, so that a test decides what
// of it survived a crash.

import { raftInvariant } from '../errors.js';
import type { ConfState, Entry, HardState, RaftStorage, Snapshot, StorageAppend } from '../types.js';

/** The parts of a storage append that are written. */
export type Write = Pick<StorageAppend, 'hardState' | 'entries' | 'snapshot'>;

/** A membership of plain voters. */
export function confOf(
  voters: readonly string[],
  learners: readonly string[] = [],
  witnesses: readonly string[] = [],
): ConfState {
  return { voters, votersOutgoing: [], learners, learnersNext: [], witnesses, autoLeave: false };
}

/** A log in memory. Entry i of `entries` has index firstIndex() + i. */
export class MemoryStorage implements RaftStorage {
  hardState: HardState = { term: 0, vote: undefined, commit: 0 };
  stored: Snapshot;
  log: Entry[] = [];
  /** Memberships that were applied, and by which entry; in order. */
  #confs: { readonly index: number; readonly conf: ConfState }[] = [];

  constructor(conf: ConfState) {
    this.stored = { metadata: { index: 0, term: 0, conf }, data: new Uint8Array(0) };
  }

  clone(): MemoryStorage {
    const copy = new MemoryStorage(this.stored.metadata.conf);
    copy.hardState = this.hardState;
    copy.stored = this.stored;
    copy.log = [...this.log];
    copy.#confs = [...this.#confs];
    return copy;
  }

  initialState(): { hardState: HardState; conf: ConfState } {
    return { hardState: this.hardState, conf: this.stored.metadata.conf };
  }

  firstIndex(): number {
    return this.log[0]?.index ?? this.lastIndex() + 1;
  }

  lastIndex(): number {
    return this.log.at(-1)?.index ?? this.stored.metadata.index;
  }

  term(index: number): number | undefined {
    const { metadata } = this.stored;
    if (index === metadata.index) return metadata.term;
    const first = this.log[0];
    return first === undefined ? undefined : this.log[index - first.index]?.term;
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    const first = this.firstIndex();
    if (from < first) throw raftInvariant(`test storage was asked for the compacted entry ${from}`);
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.log.slice(from - first, to - first)) {
      bytes += entry.data.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  snapshot(): Snapshot | undefined {
    return this.stored;
  }

  /** Writes what one Ready asks for. */
  write(write: Write): void {
    if (write.snapshot !== undefined) {
      this.stored = write.snapshot;
      this.log = [];
      this.#confs = this.#confs.filter((noted) => noted.index > this.stored.metadata.index);
    }
    const first = write.entries[0];
    if (first !== undefined) {
      if (first.index > this.lastIndex() + 1) throw raftInvariant('test storage would get a gap');
      this.log = [...this.log.slice(0, Math.max(0, first.index - this.firstIndex())), ...write.entries];
    }
    if (write.hardState !== undefined) this.hardState = write.hardState;
  }

  /** The membership from this entry on. */
  noteConf(index: number, conf: ConfState): void {
    this.#confs = [...this.#confs.filter((noted) => noted.index < index), { index, conf }];
  }

  /** Takes a snapshot at `index`, with this state, and drops the log up to it. */
  compact(index: number, data: Uint8Array): void {
    const term = this.term(index);
    if (term === undefined || index <= this.stored.metadata.index) return;
    this.log = this.log.slice(index + 1 - this.firstIndex());
    const conf = this.#confs.findLast((noted) => noted.index <= index)?.conf ?? this.stored.metadata.conf;
    this.stored = { metadata: { index, term, conf }, data };
  }
}
