// The storage of one node: a journal that makes each turn durable with one write and one fdatasync for all groups, and
// behind it, in the background, the segment files of each group. How the two fit together is told in journal-rounds.ts
// (when the journal may forget), group-writer.ts (how changes get into files) and recovery.ts (how it starts again).

import { type IAppendLog, isDwError } from '@datawarehouse/sdk';
import { BackgroundWriter } from './background-writer.js';
import { BulkFiles } from './bulk-files.js';
import { groupNotOpen, journalDamaged, storageBusy, storageClosed, storageFailed } from './errors.js';
import type { FileGroupStorage, GroupHost } from './file-group-storage.js';
import {
  type FileNodeStorageOptions,
  type StorageSettings,
  checkTuning,
  settingsOf,
} from './file-node-storage-options.js';
import { GroupLives } from './group-lives.js';
import { GroupTasks } from './group-tasks.js';
import type { GroupWriter } from './group-writer.js';
import { JournalRounds } from './journal-rounds.js';
import { changeBytes, encodeJournalRecord } from './journal-record.js';
import { JournalWriter } from './journal-writer.js';
import { type LogChange, checkChanges } from './log-change.js';
import { giveMemory } from './record-memory.js';
import { recoverNode } from './recovery.js';
import { Scrubber } from './scrubber.js';
import { splitChanges } from './split-changes.js';
import { WriterLag } from './writer-lag.js';
import type { ConfState } from '../raft/types.js';
import type {
  GroupDamage,
  GroupStorage,
  GroupWrite,
  NodeStorage,
  NodeStorageStatistics,
  StorageState,
  StorageTuning,
} from './types.js';

/** A {@link NodeStorage} in the files of a directory. Made by {@link FileNodeStorage.open}. */
export class FileNodeStorage implements NodeStorage {
  readonly #groups = new Map<string, FileGroupStorage>();
  readonly #lives: GroupLives;
  readonly #scrubber: Scrubber;
  /** Snapshots being written. */
  readonly #tasks = new GroupTasks();
  readonly #journal: JournalWriter;
  readonly #background: BackgroundWriter;
  readonly #rounds: JournalRounds;
  readonly #host: GroupHost;
  readonly #listeners: ((error: Error) => void)[] = [];
  #identity: { readonly id: string; readonly fresh: boolean } | undefined;
  #state: StorageState = { state: 'open' };
  readonly #lag = new WriterLag();
  /** Resolves when every write issued so far is durable and queued for its group. */
  #lastWrite: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /**
   * Opens a node's storage, making the directory if it is not there: takes the journal's lock, checks all files, and
   * replays the journal over them.
   * @throws DwError `raft-log-damaged` (nothing was changed that the journal does not have), `log-locked`,
   * `raft-storage-invalid-option`, `storage-failed` when the disk refuses.
   */
  static async open(options: FileNodeStorageOptions): Promise<FileNodeStorage> {
    const settings = settingsOf(options);
    await opening(() => settings.files.prepare());
    const failedEarly: { error?: Error; storage?: FileNodeStorage } = {};
    const log = await opening(() =>
      settings.openLog(settings.journalDirectory, (error) => {
        failedEarly.error = error;
        failedEarly.storage?.fail('writing the journal', error);
      }),
    );
    const storage = new FileNodeStorage(settings, log);
    failedEarly.storage = storage;
    try {
      await opening(() => storage.#recover());
      if (failedEarly.error !== undefined) throw storage.fail('writing the journal', failedEarly.error);
      return storage;
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  private constructor(
    private readonly settings: StorageSettings,
    private readonly log: IAppendLog,
  ) {
    this.#journal = new JournalWriter(log);
    this.#background = new BackgroundWriter(
      settings.clock,
      () => this.#lag.noteProgress(),
      (error) => void this.fail('writing segments', error),
    );
    this.#rounds = new JournalRounds(settings.checkpointBytes, {
      log,
      groups: () => [...this.#groups.values(), ...this.#lives.leaving],
      append: (record) => this.#journal.append(encodeJournalRecord(record)),
      storageId: () => this.storageId,
      onDropped: () => this.#lives.purge(),
      inQueue: (writer, job) => this.#inQueue(writer, job),
      onEnded: () => this.#lag.noteProgress(),
      onFailed: (error) => void this.fail('freeing the journal', error),
    });
    this.#host = {
      files: new BulkFiles(settings.files),
      pace: { clock: settings.clock, otherWrites: () => log.nextPosition },
      write: (changes) => this.#write(changes),
      settled: () => this.#lastWrite,
      inQueue: (writer, job) => this.#inQueue(writer, job),
      aborted: (groupId) => {
        this.#check();
        return this.#tasks.aborted(groupId);
      },
      onDamage: (damage) => this.#found(damage),
      track: (groupId, task) => this.#tasks.track(groupId, task),
    };
    this.#scrubber = new Scrubber(
      settings.clock,
      { bytesPerSecond: () => settings.tuning.scrubBytesPerSecond, intervalMs: settings.scrubIntervalMs },
      () => [...this.#groups.values()].filter(({ groupId }) => !this.#lives.isDamaged(groupId)),
      (damage) => this.#found(damage),
    );
    this.#lives = new GroupLives({
      settings,
      log,
      host: this.#host,
      hooks: this.#writerHooks(),
      tasks: this.#tasks,
      groups: this.#groups,
      check: () => this.#check(),
      fail: (doing, cause) => this.fail(doing, cause),
      journalEnd: () => this.#journalEnd(),
    });
  }

  get status(): StorageState {
    return this.#state;
  }

  get storageId(): string {
    return this.#known().id;
  }

  get fresh(): boolean {
    return this.#known().fresh;
  }

  get groupIds(): readonly string[] {
    return [...this.#groups.keys()].sort();
  }

  damagedGroups(): readonly GroupDamage[] {
    return this.#lives.damaged;
  }

  onGroupDamaged(listener: (damage: GroupDamage) => void): void {
    this.#lives.onDamaged(listener);
  }

  async openGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage> {
    this.#check();
    return this.#groups.get(groupId) ?? this.#lives.open(groupId, bootstrap);
  }

  destroyGroup(groupId: string): Promise<void> {
    return this.#lives.destroy(groupId);
  }

  replaceGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage> {
    return this.#lives.replace(groupId, bootstrap);
  }

  write(writes: readonly GroupWrite[]): Promise<void> {
    return this.#write(writes);
  }

  onFailed(listener: (error: Error) => void): void {
    const state = this.#state;
    if (state.state === 'failed') queueMicrotask(() => listener(state.error));
    else this.#listeners.push(listener);
  }

  tune(tuning: Partial<StorageTuning>): void {
    Object.assign(this.settings.tuning, checkTuning(tuning));
    for (const { writer } of this.#groups.values()) writer.mapNewest();
    if (this.#identity !== undefined && this.#state.state === 'open') this.#scrubber.start();
  }

  statistics(): NodeStorageStatistics {
    const { bytes, syncs, appends } = this.log.statistics();
    let segmentBytes = 0;
    let mappedSegments = 0;
    for (const { writer } of this.#groups.values()) {
      segmentBytes += writer.segmentBytes;
      mappedSegments += writer.mappedSegments;
    }
    return {
      journalBytes: bytes,
      journalSyncs: syncs,
      journalAppends: appends,
      segmentBytes,
      mappedSegments,
      scrubbedBytes: this.#scrubber.bytes,
      scrubFailures: this.#scrubber.failures,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Ends the storage for good. @returns the error that it ended with. */
  private fail(doing: string, cause: unknown): Error {
    const error = this.#state.state === 'failed' ? this.#state.error : storageFailed(doing, cause);
    // What fails after `close` has no one left to tell but those that still wait.
    if (this.#state.state === 'open') {
      this.#state = { state: 'failed', error };
      for (const listener of this.#listeners.splice(0)) queueMicrotask(() => listener(error));
    }
    void this.#background.stop();
    this.#abandon(error);
    return error;
  }

  async #write(changes: readonly LogChange[]): Promise<void> {
    this.#check();
    if (changes.length === 0) return;
    const { pendingBytes } = this.#journal;
    if (pendingBytes > this.settings.maxPendingBytes)
      throw storageBusy(pendingBytes, this.settings.maxPendingBytes);
    checkChanges(changes, (groupId) => this.#group(groupId).view.bounds);
    for (const change of changes)
      if (change.snapshot !== undefined) this.#group(change.groupId).checkReceived(change);
    const records = splitChanges(
      changes,
      this.settings.maxRecordBytes,
      (groupId) => this.#group(groupId).view.hardState.commit,
    );
    for (const change of changes) this.#group(change.groupId).take(change);
    await this.#journaled(records);
    // Each promise of this path is one more for every write: none that is not needed.
    if (this.#lags) await this.#lagBelowBound();
  }

  /** Writes records to the journal and, once they are durable, queues them for their groups. */
  #journaled(records: readonly (readonly LogChange[])[]): Promise<void> {
    const from = this.log.nextPosition;
    const memory: Buffer[] = [];
    const written = records.map((changes) => {
      for (const change of changes) this.#group(change.groupId).writer.issue(change, from);
      const parts = encodeJournalRecord({ kind: 'turn', changes });
      memory.push(parts[0]);
      return this.#journal.append(parts);
    });
    const durable = this.#queueWhenDurable(records, written, memory);
    // Whoever waits for everything hears of a failure here; the caller hears of it through its own promise.
    this.#lastWrite = durable;
    return durable;
  }

  async #queueWhenDurable(
    records: readonly (readonly LogChange[])[],
    written: readonly Promise<number>[],
    memory: readonly Buffer[],
  ): Promise<void> {
    let positions: number[];
    try {
      // A turn is one record, as a rule.
      positions = written.length === 1 ? [await (written[0] as Promise<number>)] : await Promise.all(written);
    } catch (error) {
      throw this.fail('writing the journal', error);
    }
    if (this.#state.state === 'failed') throw this.#state.error;
    for (const buffer of memory) giveMemory(buffer);
    for (const [at, changes] of records.entries()) this.#queue(changes, positions[at] as number);
    this.#rounds.check();
  }

  #queue(changes: readonly LogChange[], position: number): void {
    for (const change of changes) {
      const writer = this.#groups.get(change.groupId)?.writer;
      // Taken away while this was on its way to the disk: nobody needs it in segments.
      if (writer === undefined) continue;
      const bytes = changeBytes(change);
      this.#lag.bytes += bytes;
      this.#rounds.wrote(bytes);
      writer.enqueue(change, position, bytes);
      if (writer.queuedBytes >= this.settings.flushBytes) this.#background.schedule(writer);
    }
    if (this.#lag.bytes > this.settings.maxLagBytes / 2) {
      for (const { writer } of this.#groups.values()) this.#background.schedule(writer);
    }
  }

  /** Whether writers wait until the background has caught up. */
  get #lags(): boolean {
    return this.#lag.bytes > this.settings.maxLagBytes || this.#rounds.overdue;
  }

  async #lagBelowBound(): Promise<void> {
    while (this.#lags) {
      if (this.#state.state === 'failed') throw this.#state.error;
      // Nobody catches up any more, and the write is durable.
      if (this.#state.state === 'closed') return;
      this.#rounds.check();
      await this.#lag.progress();
    }
  }

  #inQueue(writer: GroupWriter, job: () => Promise<void>): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const done = writer.enqueueJob(job);
    this.#background.schedule(writer);
    return done;
  }

  /** A record that says nothing new: when it is durable, so is all that was handed over before it. */
  async #journalEnd(): Promise<number> {
    const record = encodeJournalRecord({ kind: 'kept', id: this.storageId, from: 1, changes: [] });
    try {
      return (await this.#journal.append(record)) + 1;
    } catch (error) {
      throw this.fail('writing the journal', error);
    }
  }

  /** Damage that came to light while running. A storage that cannot note it has failed, and says so itself. */
  #found(damage: GroupDamage): void {
    this.#lives.found(damage).catch((error: unknown) => void this.fail('noting damage', error));
  }

  #known(): { readonly id: string; readonly fresh: boolean } {
    if (this.#identity === undefined) throw new Error('the storage is not open yet');
    return this.#identity;
  }

  async #recover(): Promise<void> {
    const found = await recoverNode({
      settings: this.settings,
      log: this.log,
      host: this.#host,
      hooks: this.#writerHooks(),
      groups: this.#groups,
      replay: async (changes, position) => {
        for (const change of changes) {
          const group = this.#group(change.groupId);
          group.writer.issue(change, position);
          group.take(change);
        }
        this.#queue(changes, position);
        await this.#lagBelowBound();
      },
      takeAway: (group) => this.#lives.takeAwayDamaged(group),
    });
    this.#identity = found;
    this.#lives.recovered(found.damaged, found.tombstones);
    await this.#lives.purge();
    // Not before: what is not replayed yet must not be taken for what nobody needs.
    this.#rounds.start();
    this.#scrubber.start();
  }

  #writerHooks(): { readonly keepBytes: () => number; readonly onTaken: (bytes: number) => void } {
    return {
      keepBytes: () =>
        Math.min(this.settings.cacheBytesPerGroup, this.settings.cacheBytes / Math.max(1, this.#groups.size)),
      onTaken: (bytes) => {
        this.#lag.bytes -= bytes;
      },
    };
  }

  #group(groupId: string): FileGroupStorage {
    const group = this.#groups.get(groupId);
    if (group === undefined) throw groupNotOpen(groupId);
    return group;
  }

  #refusal(): Error | undefined {
    if (this.#state.state === 'failed') return this.#state.error;
    return this.#state.state === 'closed' ? storageClosed() : undefined;
  }

  #check(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
  }

  /** Ends everything that waits. */
  #abandon(error: Error): void {
    this.#lag.giveUp(error);
    this.#tasks.abort(error);
    for (const { writer } of [...this.#groups.values(), ...this.#lives.leaving]) writer.reject(error);
  }

  async #close(): Promise<void> {
    if (this.#state.state === 'open') this.#state = { state: 'closed' };
    // Writes under way tell their callers themselves how they ended.
    await this.#lastWrite.catch(() => undefined);
    await this.#background.stop();
    await this.#scrubber.stop();
    // Those writes are durable; what they wait for is only that somebody catches up.
    this.#lag.noteProgress();
    this.#abandon(storageClosed());
    await this.#rounds.stop();
    await this.#lives.settled();
    await this.#tasks.settled();
    for (const group of [...this.#groups.values(), ...this.#lives.leaving]) {
      await group.close();
      await group.writer.close();
    }
    await this.log.close();
  }
}

/** Runs a step of opening. What fails there is damage, a lock or a refusal, and otherwise the disk. */
async function opening<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (isDwError(error, 'log-damaged')) throw journalDamaged(error);
    throw isDwError(error) ? error : storageFailed('opening', error);
  }
}
