// What a node notes of each of its replicas beside the replica's own files: which state machine it runs, since which of
// the leader's entries it has been there, what it was before it was lost, and which recoveries its group went through.

import type { IPersistentBackingStore } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { malformed } from '../../errors.js';
import { decodeAnswer, recoveryNotes } from './replica-messages.js';
import type { FormerRole, RecoveryNote } from './replica-messages.js';

/** A note on one replica. */
export interface ReplicaRecord {
  /** Name of the state machine; undefined for a group of the configuration, which names it itself. */
  readonly machine?: string | undefined;
  /** Applied index of the leader that asked for this replica; 0 for one of the configuration. */
  readonly openedAt: number;
  /** Term of the last leader that asked for this replica. */
  readonly askedIn: number;
  /** Applied index of that leader when it asked for what was carried out; 0 when nothing was yet. */
  readonly readyAt: number;
  /** What the replica is to become again; undefined when it is what it should be. */
  readonly restoreTo?: FormerRole | undefined;
  readonly recovered: readonly RecoveryNote[];
}

const NOTHING: ReplicaRecord = { openedAt: 0, askedIn: 0, readyAt: 0, recovered: [] };
/** Recoveries that are kept of a group: the newest. */
const MAX_RECOVERIES = 16;

/** The durable notes of one node. Changes are on disk when their promise resolves. */
export class ReplicaRecords {
  private tail: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly store: IPersistentBackingStore,
    private readonly path: string,
    private readonly records: Map<string, ReplicaRecord>,
  ) {}

  /** @throws DwError `frame-malformed` when they cannot be read. */
  static async open(store: IPersistentBackingStore, path: string): Promise<ReplicaRecords> {
    const bytes = await store.readAsync(path);
    const records = new Map<string, ReplicaRecord>();
    if (bytes === null) return new ReplicaRecords(store, path, records);
    const what = `the notes on replicas at ${path}`;
    for (const [id, value] of Object.entries(decodeAnswer(bytes))) {
      const record = (value ?? {}) as Partial<ReplicaRecord>;
      const { machine, openedAt, askedIn = 0, readyAt = 0, restoreTo } = record;
      if (typeof openedAt !== 'number') throw malformed(what, `nothing is said of ${id}`);
      const recovered = recoveryNotes(record.recovered);
      records.set(id, { machine, openedAt, askedIn, readyAt, restoreTo, recovered });
    }
    return new ReplicaRecords(store, path, records);
  }

  /** The note on a replica. */
  of(groupId: string): ReplicaRecord {
    return this.records.get(groupId) ?? NOTHING;
  }

  /** What replicas are to become again, by group. */
  wanted(): Readonly<Record<string, FormerRole>> {
    const wanted: Record<string, FormerRole> = {};
    for (const [id, { restoreTo }] of this.records) if (restoreTo !== undefined) wanted[id] = restoreTo;
    return wanted;
  }

  /** Changes a note. */
  async set(groupId: string, change: Partial<ReplicaRecord>): Promise<void> {
    await this.change(groupId, (record) => ({ ...record, ...change }));
  }

  /** Adds a recovery to a group's note; once, however often it is told. */
  async addRecovery(groupId: string, note: RecoveryNote): Promise<void> {
    await this.change(groupId, (record) => {
      const known = record.recovered.some((other) => JSON.stringify(other) === JSON.stringify(note));
      const recovered = known ? record.recovered : [...record.recovered, note].slice(-MAX_RECOVERIES);
      return { ...record, recovered };
    });
  }

  /** Forgets a replica, which is gone. */
  async forget(groupId: string): Promise<void> {
    if (this.records.has(groupId)) await this.change(groupId, () => undefined);
  }

  private change(id: string, next: (record: ReplicaRecord) => ReplicaRecord | undefined): Promise<void> {
    const work = async (): Promise<void> => {
      const record = next(this.of(id));
      const records = new Map(this.records);
      if (record === undefined) records.delete(id);
      else records.set(id, record);
      await this.store.writeAsync(this.path, Buffer.from(JSON.stringify(Object.fromEntries(records))));
      if (record === undefined) this.records.delete(id);
      else this.records.set(id, record);
    };
    // Whoever asked for the change before hears of its failure.
    const done = this.tail.then(work, work);
    this.tail = done;
    return done;
  }
}

/** Whether an error says that a group's files here are damaged. */
export function isDamage(error: unknown): boolean {
  return isDwError(error, 'raft-group-damaged');
}
