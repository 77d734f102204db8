// The storage of one node: a journal that makes each turn durable with one write and one fdatasync for all groups, and
// behind it, in the background, the segment files of each group. How the two fit together is told in journal-rounds.ts
// (when the journal may forget), group-writer.ts (how changes get into files) and recovery.ts (how it starts again).

import { type IAppendLog, isDwError } from '@datawarehouse/sdk';
import { BackgroundWriter } from './background-writer.js';
import { groupNotOpen, journalDamaged, storageBusy, storageClosed, storageFailed } from './errors.js';
import type { FileGroupStorage, GroupHost } from './file-group-storage.js';
import {
  type FileNodeStorageOptions,
  type StorageSettings,
  settingsOf,
} from './file-node-storage-options.js';
import { createGroup } from './group-factory.js';
import { checkGroupId } from './group-id.js';
import type { GroupWriter } from './group-writer.js';
import { JournalRounds } from './journal-rounds.js';
import { changeBytes, encodeJournalRecord } from './journal-record.js';
import { JournalWriter } from './journal-writer.js';
import { type LogChange, checkChanges } from './log-change.js';
import { recoverNode } from './recovery.js';
import { splitChanges } from './split-changes.js';
import type { ConfState } from '../raft/types.js';
import type { GroupStorage, GroupWrite, NodeStorage, NodeStorageStatistics, StorageState } from './types.js';

/** A {@link NodeStorage} in the files of a directory. Made by {@link FileNodeStorage.open}. */
export class FileNodeStorage implements NodeStorage {
  readonly #groups = new Map<string, FileGroupStorage>();
  readonly #opening = new Map<string, Promise<FileGroupStorage>>();
  readonly #journal: JournalWriter;
  readonly #background: BackgroundWriter;
  readonly #rounds: JournalRounds;
  readonly #host: GroupHost;
  readonly #listeners: ((error: Error) => void)[] = [];
  /** Told when nothing can be written any more. */
  readonly #aborts = new Set<(error: Error) => void>();
  /** Writes that are durable and wait until the background writer has caught up. */
  #lagWaiters: { readonly done: () => void; readonly failed: (error: Error) => void }[] = [];
  /** Snapshots being written. */
  readonly #tasks = new Set<Promise<unknown>>();
  #state: StorageState = { state: 'open' };
  /** Bytes of changes that are not in segment files yet. */
  #lagBytes = 0;
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
      () => this.#caughtUp(),
      (error) => void this.fail('writing segments', error),
    );
    this.#rounds = new JournalRounds(settings.checkpointBytes, {
      log,
      groups: () => [...this.#groups.values()],
      append: (record) => this.#journal.append(encodeJournalRecord(record)),
      inQueue: (writer, job) => this.#inQueue(writer, job),
      onEnded: () => this.#caughtUp(),
      onFailed: (error) => void this.fail('freeing the journal', error),
    });
    this.#host = {
      files: settings.files,
      clock: settings.clock,
      write: (changes) => this.#write(changes),
      settled: () => this.#lastWrite,
      inQueue: (writer, job) => this.#inQueue(writer, job),
      aborted: () => this.#aborted(),
      track: (task) => this.#track(task),
    };
  }

  get status(): StorageState {
    return this.#state;
  }

  get groupIds(): readonly string[] {
    return [...this.#groups.keys()].sort();
  }

  async openGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage> {
    this.#check();
    checkGroupId(groupId);
    const open = this.#groups.get(groupId);
    if (open !== undefined) return open;
    let opening = this.#opening.get(groupId);
    if (opening === undefined) {
      opening = this.#track(this.#createGroup(groupId, bootstrap));
      this.#opening.set(groupId, opening);
    }
    try {
      return await opening;
    } finally {
      this.#opening.delete(groupId);
    }
  }

  write(writes: readonly GroupWrite[]): Promise<void> {
    return this.#write(writes);
  }

  onFailed(listener: (error: Error) => void): void {
    const state = this.#state;
    if (state.state === 'failed') queueMicrotask(() => listener(state.error));
    else this.#listeners.push(listener);
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
    await this.#lagBelowBound();
  }

  /** Writes records to the journal and, once they are durable, queues them for their groups. */
  #journaled(records: readonly (readonly LogChange[])[]): Promise<void> {
    const from = this.log.nextPosition;
    const written = records.map((changes) => {
      for (const change of changes) this.#group(change.groupId).writer.issue(change, from);
      const parts = encodeJournalRecord({ kind: 'turn', changes });
      return this.#journal.append(parts);
    });
    const durable = this.#queueWhenDurable(records, written);
    // Whoever waits for everything hears of a failure here; the caller hears of it through its own promise.
    this.#lastWrite = durable;
    return durable;
  }

  async #queueWhenDurable(
    records: readonly (readonly LogChange[])[],
    written: readonly Promise<number>[],
  ): Promise<void> {
    let positions: number[];
    try {
      positions = await Promise.all(written);
    } catch (error) {
      throw this.fail('writing the journal', error);
    }
    if (this.#state.state === 'failed') throw this.#state.error;
    for (const [at, changes] of records.entries()) this.#queue(changes, positions[at] as number);
    this.#rounds.check();
  }

  #queue(changes: readonly LogChange[], position: number): void {
    for (const change of changes) {
      const { writer } = this.#group(change.groupId);
      const bytes = changeBytes(change);
      this.#lagBytes += bytes;
      this.#rounds.wrote(bytes);
      writer.enqueue(change, position, bytes);
      if (writer.queuedBytes >= this.settings.flushBytes) this.#background.schedule(writer);
    }
    if (this.#lagBytes > this.settings.maxLagBytes / 2) {
      for (const { writer } of this.#groups.values()) this.#background.schedule(writer);
    }
  }

  async #lagBelowBound(): Promise<void> {
    while (this.#lagBytes > this.settings.maxLagBytes || this.#rounds.overdue) {
      if (this.#state.state === 'failed') throw this.#state.error;
      // Nobody catches up any more, and the write is durable.
      if (this.#state.state === 'closed') return;
      this.#rounds.check();
      await new Promise<void>((done, failed) => {
        this.#lagWaiters.push({ done, failed });
      });
    }
  }

  #caughtUp(): void {
    const waiters = this.#lagWaiters;
    this.#lagWaiters = [];
    for (const { done } of waiters) done();
  }

  #inQueue(writer: GroupWriter, job: () => Promise<void>): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const done = writer.enqueueJob(job);
    this.#background.schedule(writer);
    return done;
  }

  async #createGroup(groupId: string, bootstrap: ConfState): Promise<FileGroupStorage> {
    // Not `nextPosition`: what is under way may be lost in a crash, and would then seem to be missing.
    const position = this.log.durablePosition;
    let group: FileGroupStorage;
    try {
      group = await createGroup(this.settings, this.#host, groupId, bootstrap, position, this.#writerHooks());
    } catch (error) {
      throw this.fail(`making group ${groupId}`, error);
    }
    this.#check();
    this.#groups.set(groupId, group);
    return group;
  }

  async #recover(): Promise<void> {
    await recoverNode({
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
    });
    // Not before: what is not replayed yet must not be taken for what nobody needs.
    this.#rounds.start();
  }

  #writerHooks(): { readonly keepBytes: () => number; readonly onTaken: (bytes: number) => void } {
    return {
      keepBytes: () =>
        Math.min(this.settings.cacheBytesPerGroup, this.settings.cacheBytes / Math.max(1, this.#groups.size)),
      onTaken: (bytes) => {
        this.#lagBytes -= bytes;
      },
    };
  }

  #group(groupId: string): FileGroupStorage {
    const group = this.#groups.get(groupId);
    if (group === undefined) throw groupNotOpen(groupId);
    return group;
  }

  #aborted(): { readonly promise: Promise<never>; readonly release: () => void } {
    this.#check();
    let abort: ((error: Error) => void) | undefined;
    const promise = new Promise<never>((_resolve, reject) => {
      abort = reject;
      this.#aborts.add(reject);
    });
    return {
      promise,
      release: () => {
        if (abort !== undefined) this.#aborts.delete(abort);
      },
    };
  }

  async #track<T>(task: Promise<T>): Promise<T> {
    this.#tasks.add(task);
    try {
      return await task;
    } finally {
      this.#tasks.delete(task);
    }
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
    const waiters = this.#lagWaiters;
    this.#lagWaiters = [];
    for (const { failed } of waiters) failed(error);
    for (const abort of this.#aborts) abort(error);
    this.#aborts.clear();
    for (const { writer } of this.#groups.values()) writer.reject(error);
  }

  async #close(): Promise<void> {
    if (this.#state.state === 'open') this.#state = { state: 'closed' };
    // Writes under way tell their callers themselves how they ended.
    await this.#lastWrite.catch(() => undefined);
    await this.#background.stop();
    // Those writes are durable; what they wait for is only that somebody catches up.
    this.#caughtUp();
    this.#abandon(storageClosed());
    await this.#rounds.stop();
    await Promise.allSettled(this.#tasks);
    for (const group of this.#groups.values()) {
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
