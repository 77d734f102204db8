// The contract of a group's log: entries by index, O(1) at both ends. Indexes never change.

/** What an entry is for. */
export type RaftEntryType = 'normal' | 'conf-change';

/** One entry of a Raft log. Index is 1-based. */
export interface RaftLogEntry {
  readonly index: number;
  readonly term: number;
  readonly type: RaftEntryType;
  readonly data: Uint8Array;
}

/** Term and vote; on disk before any answer that depends on them. */
export interface RaftPersistentState {
  readonly term: number;
  readonly votedFor: string | undefined;
}

/**
 * The log of one Raft group. The first index moves by compaction, the last by append and truncation; no entry is
 * ever renumbered.
 */
export interface IRaftLogStore {
  /** Adds entries that follow the last index. @throws DwError `raft-log-gap`, `raft-log-failed`. */
  appendAsync(entries: readonly RaftLogEntry[]): Promise<void>;
  /** The entry, or undefined when it was compacted or is not there yet. */
  getAsync(index: number): Promise<RaftLogEntry | undefined>;
  /** Entries `from` to `to`, both included, at most `maxBytes` of data but at least one. @throws DwError `raft-log-compacted`. */
  getRangeAsync(from: number, to: number, maxBytes?: number): Promise<readonly RaftLogEntry[]>;
  /** As {@link getRangeAsync}, up to the last index. */
  getFromAsync(from: number, maxBytes?: number): Promise<readonly RaftLogEntry[]>;
  /** Term of the entry, also of the one just before the first index; undefined when unknown. */
  getTermAsync(index: number): Promise<number | undefined>;
  /** Removes the entries from `index` on. @throws DwError `raft-log-compacted` below the first index. */
  truncateFromAsync(index: number): Promise<void>;
  /** Lets entries up to and including `index` go; `index` and its term stay known. */
  compactAsync(index: number): Promise<void>;
  getFirstIndexAsync(): Promise<number>;
  getLastIndexAsync(): Promise<number>;
  /** Term of the last entry; of the last one that was compacted when none is kept; 0 for a new log. */
  getLastTermAsync(): Promise<number>;
  /** How many entries are kept. */
  countAsync(): Promise<number>;
  getPersistentStateAsync(): Promise<RaftPersistentState>;
  savePersistentStateAsync(state: RaftPersistentState): Promise<void>;
  closeAsync(): Promise<void>;
}
