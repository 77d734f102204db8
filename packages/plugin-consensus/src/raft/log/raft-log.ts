// A group's log as the core sees it: the durable part behind `RaftStorage`, the unstable part on top, and how far it is
// committed, handed out for applying, and applied. Term lookups are O(1) whatever the length.

import { entriesBytes, limitBytes } from '../entry-size.js';
import { raftInvariant } from '../errors.js';
import type { Entry, RaftStorage, Snapshot } from '../types.js';
import { Unstable } from './unstable.js';

const none: readonly Entry[] = Object.freeze([]);

/** The best guess of where two logs stop to agree. */
export interface ConflictGuess {
  readonly index: number;
  /** Term there; 0 when unknown. */
  readonly term: number;
}

/** Invariant: applied ≤ applying ≤ committed ≤ lastIndex. None of them ever decreases. */
export class RaftLog {
  readonly #storage: RaftStorage;
  readonly unstable: Unstable;
  committed: number;
  /** Handed out for applying. */
  applying: number;
  applied: number;
  /** Bytes handed out for applying and not yet applied; above the bound nothing more is handed out. */
  #applyingBytes = 0;
  #applyingPaused = false;
  readonly #maxApplyingBytes: number;
  readonly #applyUnstable: boolean;

  constructor(storage: RaftStorage, maxApplyingBytes: number, applyUnstable: boolean) {
    this.#storage = storage;
    this.#maxApplyingBytes = maxApplyingBytes;
    this.#applyUnstable = applyUnstable;
    this.unstable = new Unstable(storage.lastIndex() + 1);
    this.committed = storage.firstIndex() - 1;
    this.applying = this.committed;
    this.applied = this.committed;
  }

  /** Index of the first entry that can be read. */
  firstIndex(): number {
    if (this.unstable.snapshot !== undefined) return this.unstable.snapshot.metadata.index + 1;
    return this.#storage.firstIndex();
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  lastTerm(): number {
    const index = this.lastIndex();
    const term = this.term(index);
    if (term === undefined) throw raftInvariant('the term of the last entry cannot be read', { index });
    return term;
  }

  /** Term of an entry, or of the one just before the first; undefined when compacted or beyond the end. */
  term(index: number): number | undefined {
    const term = this.unstable.term(index);
    if (term !== undefined) return term;
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    return this.#storage.term(index);
  }

  matchTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends with this entry has all that this one could have committed. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const ours = this.lastTerm();
    return lastTerm > ours || (lastTerm === ours && lastIndex >= this.lastIndex());
  }

  /**
   * Appends what a leader sent, if the entry before it matches. Returns the index of the last entry sent, up to which
   * this log now equals the leader's (what may follow is not vouched for), or undefined when it does not match.
   * @throws DwError `raft-invariant` when a committed entry would be replaced.
   */
  maybeAppend(
    prevIndex: number,
    prevTerm: number,
    entries: readonly Entry[],
    commit: number,
  ): number | undefined {
    if (!this.matchTerm(prevIndex, prevTerm)) return undefined;
    const lastNew = prevIndex + entries.length;
    const at = this.#firstNew(entries);
    if (at < entries.length) this.append(at === 0 ? entries : entries.slice(at));
    this.commitTo(Math.min(commit, lastNew));
    return lastNew;
  }

  /** Position of the first entry that is not in the log: it conflicts, or lies beyond the end. */
  #firstNew(entries: readonly Entry[]): number {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (this.term(entry.index) !== entry.term) return i;
    }
    return entries.length;
  }

  /** Appends consecutive entries, replacing an uncommitted tail from the first one's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const before = first.index - 1;
    if (before < this.committed) {
      throw raftInvariant(`entry ${first.index} would replace a committed one`, {
        committed: this.committed,
      });
    }
    if (before > this.lastIndex()) {
      throw raftInvariant(`appending entry ${first.index} would leave a gap`, {
        lastIndex: this.lastIndex(),
      });
    }
    this.unstable.truncateAndAppend(entries);
  }

  /** Raises the commit index; a lower one is ignored. */
  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.lastIndex()) {
      throw raftInvariant(
        `entry ${index} is committed but the log ends at ${this.lastIndex()}: entries were lost`,
      );
    }
    this.committed = index;
  }

  /** Commits up to `index` if its entry is of `term`: entries of older terms commit only together with a newer one. */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /**
   * The highest index up to `index` whose term is at most `term` or unknown. Terms never decrease along a log, so a
   * binary search finds it.
   */
  findConflictByTerm(index: number, term: number): ConflictGuess {
    const top = this.term(index);
    if (top === undefined) return { index, term: 0 };
    if (top <= term) return { index, term: top };
    let low = this.firstIndex() - 1;
    const lowTerm = this.term(low);
    if (lowTerm === undefined || lowTerm > term) return { index: Math.max(low - 1, 0), term: 0 };
    // Invariant: term(low) ≤ term < term(high).
    let high = index;
    let found = lowTerm;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const middleTerm = this.term(middle);
      if (middleTerm === undefined) throw raftInvariant(`the term of entry ${middle} cannot be read`);
      if (middleTerm <= term) {
        low = middle;
        found = middleTerm;
      } else {
        high = middle;
      }
    }
    return { index: low, term: found };
  }

  /** Entries from `from` on, within `maxBytes` but at least one; undefined when they are compacted. */
  entriesFrom(from: number, maxBytes: number): readonly Entry[] | undefined {
    const end = this.lastIndex() + 1;
    return from >= end ? none : this.slice(from, end, maxBytes);
  }

  /** Entries in `[from, to)`, within `maxBytes` but at least one; undefined when they are compacted. */
  slice(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    if (from >= to) return none;
    const { offset } = this.unstable;
    if (from >= offset) return this.unstable.slice(from, to, maxBytes, true);
    if (from < this.firstIndex()) return undefined;
    const stableEnd = Math.min(to, offset);
    const stored = this.#storage.entries(from, stableEnd, maxBytes);
    if (stored[0]?.index !== from) throw raftInvariant(`storage did not return entry ${from}, which it has`);
    const stable = limitBytes(stored, maxBytes);
    if (to <= offset || stable.length < stableEnd - from) return stable;
    const rest = this.unstable.slice(offset, to, maxBytes - entriesBytes(stable), false);
    return rest.length === 0 ? stable : [...stable, ...rest];
  }

  /** Whether there is a membership change in `[from, to)`. Reads in pages of `pageBytes`. */
  hasConfChange(from: number, to: number, pageBytes: number): boolean {
    let next = from;
    while (next < to) {
      const page = this.slice(next, to, pageBytes);
      // Nobody asks while a snapshot is installed, and only what is applied or in a snapshot is compacted.
      if (page === undefined) throw raftInvariant(`entry ${next} was compacted before it was applied`);
      if (page.some((entry) => entry.type === 'conf-change')) return true;
      next += page.length;
    }
    return false;
  }

  /** The newest snapshot there is; undefined while one is being made. */
  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  /** Replaces the whole log by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.committed = snapshot.metadata.index;
    this.unstable.restore(snapshot);
  }

  get #maxAppliable(): number {
    return this.#applyUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  /** Whether committed entries wait to be handed out. Not while a snapshot is: it comes first. */
  get hasNextCommitted(): boolean {
    return (
      !this.#applyingPaused && this.unstable.snapshot === undefined && this.applying < this.#maxAppliable
    );
  }

  /** The next page of committed entries. */
  nextCommitted(): readonly Entry[] {
    if (!this.hasNextCommitted) return none;
    const from = this.applying + 1;
    const page = this.slice(from, this.#maxAppliable + 1, this.#maxApplyingBytes - this.#applyingBytes);
    if (page === undefined)
      throw raftInvariant(`committed entry ${from} was compacted before it was applied`);
    return page;
  }

  /** This page of committed entries was handed out. */
  acceptApplying(entries: readonly Entry[]): void {
    const last = (entries.at(-1) as Entry).index;
    if (last > this.committed) throw raftInvariant(`entry ${last} is handed out but not committed`);
    this.applying = last;
    this.#applyingBytes += entriesBytes(entries);
    // Stopping short of what could be had means that the bound on bytes was reached.
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes || last < this.#maxAppliable;
  }

  /** Everything up to `index` is applied; `bytes` of what was handed out is done with. */
  appliedTo(index: number, bytes: number): void {
    if (index > this.committed || index < this.applied) {
      throw raftInvariant(`applied index ${index} is outside [${this.applied}, ${this.committed}]`);
    }
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes;
  }
}
