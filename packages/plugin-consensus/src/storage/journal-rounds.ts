// Keeps the journal short. Once a certain number of bytes went into it, a round begins: each group with entries that
// only the journal has on disk writes a checkpoint; the hard states of groups that changed nothing else are copied to
// the journal's end, so that a thousand idle groups cost one record and not a thousand files; then what no group needs
// any more is dropped.

import type { IAppendLog } from '@datawarehouse/sdk';
import type { GroupLogView } from './group-log-view.js';
import type { GroupWriter } from './group-writer.js';
import type { JournalRecord } from './journal-record.js';
import type { LogChange } from './log-change.js';

/** A group as a round sees it. */
export interface RoundGroup {
  readonly groupId: string;
  readonly view: GroupLogView;
  readonly writer: GroupWriter;
}

/** What rounds need of their node. */
export interface RoundHost {
  readonly log: IAppendLog;
  readonly groups: () => readonly RoundGroup[];
  /** Appends to the journal, in order with all other writes. */
  readonly append: (record: JournalRecord) => Promise<number>;
  /** The storage's id, which a journal that is shortened must go on telling. */
  readonly storageId: () => string;
  /** Told after something was dropped. */
  readonly onDropped: () => Promise<void>;
  /** Runs a job in a group's queue. */
  readonly inQueue: (writer: GroupWriter, job: () => Promise<void>) => Promise<void>;
  readonly onEnded: () => void;
  readonly onFailed: (error: unknown) => void;
}

/** Starts rounds and owns the one that runs. */
export class JournalRounds {
  #bytes = 0;
  #running: Promise<void> | undefined;
  #stopped = true;

  /** @param everyBytes Bytes of the journal from one round to the next. */
  constructor(
    private readonly everyBytes: number,
    private readonly host: RoundHost,
  ) {}

  /** Whether the next round is due while one still runs: writers wait then, so that the journal stays bounded. */
  get overdue(): boolean {
    return this.#running !== undefined && this.#bytes >= this.everyBytes;
  }

  /** Lets rounds happen, and starts one if it is due. */
  start(): void {
    this.#stopped = false;
    this.check();
  }

  /** Notes bytes that went into the journal. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Starts a round if one is due. */
  check(): void {
    if (this.#bytes < this.everyBytes || this.#running !== undefined || this.#stopped) return;
    this.#bytes = 0;
    this.#running = this.#run();
  }

  /** Starts no more rounds, and resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#round();
    } catch (error) {
      // A round that the end of the storage cut short is no failure of its own.
      if (!this.#stopped) this.host.onFailed(error);
    }
    this.#running = undefined;
    this.host.onEnded();
  }

  async #round(): Promise<void> {
    const { host } = this;
    const checkpoints = host
      .groups()
      .filter(({ writer }) => writer.neededFrom !== Infinity && writer.needsCheckpoint)
      .map(({ writer }) => checkpointUnlessRetired(host, writer));
    await Promise.all(checkpoints);
    const carried: RoundGroup[] = [];
    let from = host.log.nextPosition;
    for (const group of host.groups()) {
      const { writer } = group;
      if (writer.neededFrom === Infinity) continue;
      // One that is being taken away is copied no more: it must not be spoken of after its end.
      if (writer.needsCheckpoint || writer.retired) from = Math.min(from, writer.neededFrom);
      else carried.push(group);
    }
    // That nothing below `from` is needed must be on disk before anything is dropped: it is what tells a journal that
    // was shortened on purpose from one that lost its beginning.
    const changes: LogChange[] = carried.map(({ groupId, view }) => ({
      groupId,
      hardState: view.hardState,
      entries: [],
      snapshot: undefined,
    }));
    const position = await host.append({ kind: 'kept', id: host.storageId(), from, changes });
    for (const { writer } of carried) writer.carried(position);
    await host.log.dropBefore(from);
    await host.onDropped();
  }
}

async function checkpointUnlessRetired(host: RoundHost, writer: GroupWriter): Promise<void> {
  try {
    await host.inQueue(writer, () => writer.checkpoint());
  } catch (error) {
    // The group was taken away meanwhile; the journal keeps what it needs until it is gone on disk.
    if (!writer.retired) throw error;
  }
}
