// The SDK's asynchronous log contract over a group's storage, so that code outside the engine can use and test the log
// without knowing of turns, journals or segments.

import type { IRaftLogStore, RaftLogEntry, RaftPersistentState } from '@datawarehouse/sdk';
import type { RaftStorage } from '../raft/types.js';
import { logCompacted, logGap, logStoreClosed } from './errors.js';
import type { LogChange } from './log-change.js';

/** What the facade needs of a group. */
export interface LogStoreTarget extends RaftStorage {
  readonly groupId: string;
  compact(index: number): Promise<void>;
}

/** {@link IRaftLogStore} over one group of a node's storage. Closing it leaves the group open. */
export class GroupLogStore implements IRaftLogStore {
  #closed = false;

  /** @param write Makes a change durable, as `NodeStorage.write` does. */
  constructor(
    private readonly target: LogStoreTarget,
    private readonly write: (change: LogChange) => Promise<void>,
  ) {}

  async appendAsync(entries: readonly RaftLogEntry[]): Promise<void> {
    this.check();
    const first = entries[0];
    if (first === undefined) return;
    const last = this.target.lastIndex();
    if (first.index !== last + 1) throw logGap(this.target.groupId, first.index, last);
    await this.change({ entries });
  }

  async getAsync(index: number): Promise<RaftLogEntry | undefined> {
    this.check();
    if (index < this.target.firstIndex() || index > this.target.lastIndex()) return undefined;
    return this.target.entries(index, index + 1, 0)[0];
  }

  async getRangeAsync(
    from: number,
    to: number,
    maxBytes = Number.MAX_SAFE_INTEGER,
  ): Promise<readonly RaftLogEntry[]> {
    this.check();
    const end = Math.min(to, this.target.lastIndex()) + 1;
    if (from < this.target.firstIndex()) {
      throw logCompacted(this.target.groupId, from, this.target.firstIndex());
    }
    return from < end ? this.target.entries(from, end, maxBytes) : [];
  }

  getFromAsync(from: number, maxBytes?: number): Promise<readonly RaftLogEntry[]> {
    return this.getRangeAsync(from, Number.MAX_SAFE_INTEGER, maxBytes);
  }

  async countAsync(): Promise<number> {
    this.check();
    return this.target.lastIndex() - this.target.firstIndex() + 1;
  }

  async getTermAsync(index: number): Promise<number | undefined> {
    this.check();
    return this.target.term(index);
  }

  async truncateFromAsync(index: number): Promise<void> {
    this.check();
    if (index < this.target.firstIndex()) {
      throw logCompacted(this.target.groupId, index, this.target.firstIndex());
    }
    if (index > this.target.lastIndex()) return;
    await this.change({ truncateFrom: index });
  }

  async compactAsync(index: number): Promise<void> {
    this.check();
    await this.target.compact(index);
  }

  async getFirstIndexAsync(): Promise<number> {
    this.check();
    return this.target.firstIndex();
  }

  async getLastIndexAsync(): Promise<number> {
    this.check();
    return this.target.lastIndex();
  }

  async getLastTermAsync(): Promise<number> {
    this.check();
    return this.target.term(this.target.lastIndex()) ?? 0;
  }

  async getPersistentStateAsync(): Promise<RaftPersistentState> {
    this.check();
    const { term, vote } = this.target.initialState().hardState;
    return { term, votedFor: vote };
  }

  async savePersistentStateAsync(state: RaftPersistentState): Promise<void> {
    this.check();
    const { commit } = this.target.initialState().hardState;
    await this.change({ hardState: { term: state.term, vote: state.votedFor, commit } });
  }

  async closeAsync(): Promise<void> {
    this.#closed = true;
  }

  private change(part: Partial<LogChange>): Promise<void> {
    const { groupId } = this.target;
    return this.write({ groupId, hardState: undefined, entries: [], snapshot: undefined, ...part });
  }

  private check(): void {
    if (this.#closed) throw logStoreClosed(this.target.groupId);
  }
}
