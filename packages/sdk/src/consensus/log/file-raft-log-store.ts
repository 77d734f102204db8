// One Raft log in one append log: entries, terms and votes, truncations and compactions are its records, in the order
// in which they happened. For a single group that needs no journal shared with others, and for a third party that wants
// a log without the consensus plugin. What it holds in memory is a position and a term for each entry.
//
// Compaction renumbers nothing: it writes down the index and term before the first entry kept, and the term and vote in
// force, and then lets the records before the first kept entry go.

import { type DwError, errorMessage, isDwError } from '../../errors/index.js';
import { FileAppendLog, type FileAppendLogOptions } from '../../persistence/index.js';
import type { IAppendLog } from '../../persistence/append-log.js';
import type { IRaftLogStore, RaftLogEntry, RaftPersistentState } from '../raft-log-store.js';
import { raftLogClosed, raftLogCompacted, raftLogDamaged, raftLogFailed, raftLogGap } from './errors.js';
import { RaftLogIndex } from './raft-log-index.js';
import {
  type RaftLogBase,
  type RaftLogRecord,
  decodeRaftLogRecord,
  encodeRaftLogRecord,
} from './raft-log-record.js';

/** Refusals of the log underneath after which it goes on: nothing of the record was written. */
const PASSING = ['log-record-too-large', 'log-full'] as const;

/** An {@link IRaftLogStore} in one append log. Made by {@link FileRaftLogStore.open} or {@link FileRaftLogStore.over}. */
export class FileRaftLogStore implements IRaftLogStore {
  #state: RaftPersistentState = { term: 0, votedFor: undefined };
  /** Changes go one after another. It never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  #failure: DwError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly name: string,
    private readonly log: IAppendLog,
    private readonly index: RaftLogIndex,
  ) {}

  /** Opens the store in a directory of its own. @throws DwError `raft-log-damaged`; what `FileAppendLog.open` throws. */
  static async open(options: FileAppendLogOptions): Promise<FileRaftLogStore> {
    return FileRaftLogStore.over(options.name ?? options.directory, await FileAppendLog.open(options));
  }

  /**
   * Opens the store over an append log that belongs to it alone, and is closed with it (also when opening fails).
   * @throws DwError `raft-log-damaged` (nothing was changed).
   */
  static async over(name: string, log: IAppendLog): Promise<FileRaftLogStore> {
    try {
      const store = new FileRaftLogStore(name, log, new RaftLogIndex(await newestBase(name, log)));
      await store.#replay();
      return store;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  async appendAsync(entries: readonly RaftLogEntry[]): Promise<void> {
    await this.#inTurn(async () => {
      let last = this.index.last;
      for (const entry of entries) {
        if (entry.index !== last + 1) throw raftLogGap(this.name, entry.index, last);
        last = entry.index;
      }
      await this.#appendEntries(entries);
    });
  }

  async getAsync(index: number): Promise<RaftLogEntry | undefined> {
    this.#check();
    const position = this.index.position(index);
    return position === undefined ? undefined : this.#read(index, position, await this.log.read(position));
  }

  async getRangeAsync(
    from: number,
    to: number,
    maxBytes = Number.MAX_SAFE_INTEGER,
  ): Promise<readonly RaftLogEntry[]> {
    this.#check();
    this.#checkKept(from);
    const found: RaftLogEntry[] = [];
    let bytes = 0;
    // Whatever happens to the log meanwhile, what is asked for is what is there now.
    const wanted = this.#positions(from, Math.min(to, this.index.last));
    const start = wanted[0];
    if (start === undefined) return found;
    for await (const { position, data } of this.log.scan(start)) {
      if (position !== wanted[found.length]) continue;
      const entry = this.#read(from + found.length, position, data);
      bytes += entry.data.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
      if (found.length === wanted.length) break;
    }
    // Records that are gone were compacted while they were read.
    if (found.length === 0) this.#checkKept(from);
    return found;
  }

  getFromAsync(from: number, maxBytes?: number): Promise<readonly RaftLogEntry[]> {
    return this.getRangeAsync(from, Number.MAX_SAFE_INTEGER, maxBytes);
  }

  async getTermAsync(index: number): Promise<number | undefined> {
    this.#check();
    return this.index.term(index);
  }

  async truncateFromAsync(index: number): Promise<void> {
    await this.#inTurn(async () => {
      this.#checkKept(index);
      if (index > this.index.last) return;
      await this.#append({ kind: 'truncate', index });
      this.index.truncateFrom(index);
    });
  }

  async compactAsync(upTo: number): Promise<void> {
    await this.#inTurn(async () => {
      const index = Math.min(upTo, this.index.last);
      const term = this.index.term(index);
      if (index <= this.index.base.index || term === undefined) return;
      const base = { index, term };
      const position = await this.#append({ kind: 'base', base, state: this.#state });
      this.index.compact(base);
      // Only now that it is on disk where the log begins may what was before go.
      await this.log.dropBefore(Math.min(position, this.index.position(index + 1) ?? position));
    });
  }

  async getFirstIndexAsync(): Promise<number> {
    this.#check();
    return this.index.base.index + 1;
  }

  async getLastIndexAsync(): Promise<number> {
    this.#check();
    return this.index.last;
  }

  async getLastTermAsync(): Promise<number> {
    this.#check();
    return this.index.term(this.index.last) ?? 0;
  }

  async countAsync(): Promise<number> {
    this.#check();
    return this.index.count;
  }

  async getPersistentStateAsync(): Promise<RaftPersistentState> {
    this.#check();
    return this.#state;
  }

  async savePersistentStateAsync(state: RaftPersistentState): Promise<void> {
    await this.#inTurn(async () => {
      await this.#append({ kind: 'state', state });
      this.#state = { term: state.term, votedFor: state.votedFor };
    });
  }

  closeAsync(): Promise<void> {
    this.#closing ??= this.#turn.then(() => this.log.close());
    return this.#closing;
  }

  async #replay(): Promise<void> {
    for await (const { position, data } of this.log.scan()) {
      const record = decode(this.name, position, data);
      const wrong = this.index.replay(record, position);
      if (wrong !== undefined) throw raftLogDamaged(this.name, position, wrong);
      if (record.kind === 'state' || record.kind === 'base') this.#state = record.state;
    }
    if (this.index.hasLoose) {
      throw raftLogDamaged(
        this.name,
        this.log.firstPosition,
        'entries are there without those that they followed',
      );
    }
  }

  /** Writes entries that follow the last; they are there all or not at all. */
  async #appendEntries(entries: readonly RaftLogEntry[]): Promise<void> {
    const written = await Promise.allSettled(entries.map((entry) => this.#append({ kind: 'entry', entry })));
    const refused = written.find((one) => one.status === 'rejected');
    if (refused === undefined) {
      for (const [at, one] of written.entries()) {
        if (one.status === 'fulfilled') this.index.push((entries[at] as RaftLogEntry).term, one.value);
      }
      return;
    }
    // What was written of them is void, lest it be there after a restart.
    const first = entries[0]?.index ?? 0;
    if (this.#failure === undefined && written.some((one) => one.status === 'fulfilled')) {
      await this.#append({ kind: 'truncate', index: first });
    }
    throw refused.reason;
  }

  async #append(record: RaftLogRecord): Promise<number> {
    try {
      return await this.log.append(...encodeRaftLogRecord(record));
    } catch (error) {
      if (PASSING.some((code) => isDwError(error, code))) throw error;
      this.#failure ??= raftLogFailed(this.name, error);
      throw this.#failure;
    }
  }

  #positions(from: number, to: number): number[] {
    const positions: number[] = [];
    for (let index = from; index <= to; index++) positions.push(this.index.position(index) as number);
    return positions;
  }

  #read(index: number, position: number, data: Uint8Array | null): RaftLogEntry {
    if (data === null) throw raftLogCompacted(this.name, index, this.index.base.index + 1);
    const record = decode(this.name, position, data);
    if (record.kind === 'entry' && record.entry.index === index) return record.entry;
    throw raftLogDamaged(this.name, position, `it is not entry ${index}`);
  }

  #checkKept(index: number): void {
    const { base } = this.index;
    if (index <= base.index) throw raftLogCompacted(this.name, index, base.index + 1);
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(() => {
      this.#check();
      if (this.#failure !== undefined) throw this.#failure;
      return change();
    });
    this.#turn = Promise.allSettled([turn]);
    return turn;
  }

  #check(): void {
    if (this.#closing !== undefined) throw raftLogClosed(this.name);
  }
}

/** Where a log begins whose first records were dropped; undefined for a whole one. */
async function newestBase(name: string, log: IAppendLog): Promise<RaftLogBase | undefined> {
  if (log.firstPosition === 1) return undefined;
  let newest: RaftLogBase | undefined;
  for await (const { position, data } of log.scan()) {
    const record = decode(name, position, data);
    if (record.kind === 'base') newest = record.base;
  }
  if (newest !== undefined) return newest;
  throw raftLogDamaged(name, log.firstPosition, 'the records before it are gone, and none says why');
}

function decode(name: string, position: number, data: Uint8Array): RaftLogRecord {
  try {
    return decodeRaftLogRecord(data);
  } catch (error) {
    throw raftLogDamaged(name, position, errorMessage(error));
  }
}
