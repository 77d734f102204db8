// A node's storage in memory, with the whole contract of NodeStorage: for tests of the engine and for simulations. What
// is durable is a value of its own, which becomes current when the given `sync` resolves, so that a test can crash a
// node at any moment and start another on what "the disk" held.

import type { IRaftLogStore } from '@datawarehouse/sdk';
import { randomBytes } from 'node:crypto';
import type { ConfState, Entry, HardState, Snapshot, SnapshotMetadata } from '../raft/types.js';
import {
  groupDamaged,
  groupNotOpen,
  snapshotBusy,
  snapshotGone,
  snapshotMisplaced,
  storageClosed,
  storageFailed,
} from './errors.js';
import { checkGroupId } from './group-id.js';
import { GroupLogStore } from './group-log-store.js';
import { type LogChange, checkChanges } from './log-change.js';
import { MemoryBody, memorySource } from './memory-snapshot.js';
import { MemoryGroupLog, type MemorySnapshot, snapshotKey } from './memory-group-log.js';
import type { SnapshotShape } from './snapshot-format.js';
import type {
  GroupDamage,
  GroupStorage,
  GroupWrite,
  NodeStorage,
  NodeStorageStatistics,
  SnapshotSink,
  SnapshotSource,
  StorageState,
} from './types.js';

const EMPTY = new Uint8Array(0);
/** Snapshots that were received and never installed; beyond, the oldest is forgotten. */
const MAX_RECEIVED = 2;

/** What the disk of a {@link MemoryNodeStorage} holds. */
export interface MemoryStorageImage {
  readonly storageId: string;
  readonly groups: ReadonlyMap<string, MemoryGroupLog>;
  readonly damaged: readonly GroupDamage[];
}

/** Options of a {@link MemoryNodeStorage}. */
export interface MemoryNodeStorageOptions {
  /** What the disk holds at the start, from {@link MemoryNodeStorage.image}. Default: nothing. */
  readonly image?: MemoryStorageImage;
  /**
   * Stands for the disk: called once for each `write`, which becomes durable when it resolves; a rejection fails the
   * storage for good. Default: at once.
   */
  readonly sync?: () => Promise<void>;
  /** Makes the storage's id when there is no image. Default: the machine's. */
  readonly randomBytes?: (count: number) => Buffer;
}

/** A {@link NodeStorage} in memory. */
export class MemoryNodeStorage implements NodeStorage {
  readonly storageId: string;
  readonly fresh: boolean;
  readonly #damaged = new Map<string, GroupDamage>();
  readonly #damageListeners: ((damage: GroupDamage) => void)[] = [];
  readonly #groups = new Map<string, MemoryGroupStorage>();
  readonly #durable = new Map<string, MemoryGroupLog>();
  readonly #sync: () => Promise<void>;
  readonly #listeners: ((error: Error) => void)[] = [];
  #state: StorageState = { state: 'open' };
  #tail: Promise<void> = Promise.resolve();
  #writes = 0;

  constructor(options: MemoryNodeStorageOptions = {}) {
    this.#sync = options.sync ?? (() => Promise.resolve());
    const { image } = options;
    this.fresh = image === undefined;
    this.storageId = image?.storageId ?? (options.randomBytes ?? randomBytes)(16).toString('hex');
    for (const [groupId, log] of image?.groups ?? []) this.#durable.set(groupId, log.clone());
    for (const damage of image?.damaged ?? []) this.#damaged.set(damage.groupId, damage);
  }

  get status(): StorageState {
    return this.#state;
  }

  get groupIds(): readonly string[] {
    return [...this.#durable.keys()].filter((groupId) => !this.#damaged.has(groupId)).sort();
  }

  /** What a crash at this moment would leave. */
  image(): MemoryStorageImage {
    return {
      storageId: this.storageId,
      groups: new Map([...this.#durable].map(([groupId, log]) => [groupId, log.clone()])),
      damaged: this.damagedGroups(),
    };
  }

  damagedGroups(): readonly GroupDamage[] {
    return [...this.#damaged.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
  }

  onGroupDamaged(listener: (damage: GroupDamage) => void): void {
    this.#damageListeners.push(listener);
  }

  /** Stands for a disk that spoilt a group's files: what files would be found to be, this storage is told. */
  damageGroup(damage: GroupDamage): void {
    if (this.#damaged.has(damage.groupId)) return;
    this.#damaged.set(damage.groupId, damage);
    for (const listener of this.#damageListeners) queueMicrotask(() => listener(damage));
  }

  async destroyGroup(groupId: string): Promise<void> {
    await this.#takeAway(groupId);
    this.#durable.delete(groupId);
    this.#damaged.delete(groupId);
  }

  async replaceGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage> {
    await this.#takeAway(groupId);
    this.#durable.set(groupId, new MemoryGroupLog(bootstrap));
    this.#damaged.delete(groupId);
    return this.openGroup(groupId, bootstrap);
  }

  /** Writes are refused from here on; those under way end first. */
  async #takeAway(groupId: string): Promise<void> {
    this.check();
    checkGroupId(groupId);
    this.#groups.get(groupId)?.retire();
    this.#groups.delete(groupId);
    await this.#tail.catch(() => undefined);
    this.check();
  }

  async openGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage> {
    this.check();
    checkGroupId(groupId);
    const open = this.#groups.get(groupId);
    if (open !== undefined) return open;
    const damage = this.#damaged.get(groupId);
    if (damage !== undefined) throw groupDamaged(damage);
    const durable = this.#durable.get(groupId) ?? new MemoryGroupLog(bootstrap);
    this.#durable.set(groupId, durable);
    const group = new MemoryGroupStorage(groupId, durable, {
      write: (changes) => this.writeChanges(changes),
      settled: () => this.#tail,
    });
    this.#groups.set(groupId, group);
    return group;
  }

  write(writes: readonly GroupWrite[]): Promise<void> {
    return this.writeChanges(writes);
  }

  onFailed(listener: (error: Error) => void): void {
    const state = this.#state;
    if (state.state === 'failed') queueMicrotask(() => listener(state.error));
    else this.#listeners.push(listener);
  }

  /** Memory has no segments to map and nothing to look over. */
  tune(): void {}

  statistics(): NodeStorageStatistics {
    return {
      journalBytes: 0,
      journalSyncs: this.#writes,
      journalAppends: this.#writes,
      segmentBytes: [...this.#groups.values()].reduce((sum, group) => sum + group.logBytes, 0),
      mappedSegments: 0,
      scrubbedBytes: 0,
      scrubFailures: 0,
    };
  }

  async close(): Promise<void> {
    if (this.#state.state === 'open') this.#state = { state: 'closed' };
    // Writes under way hear of a failure themselves.
    await this.#tail.catch(() => undefined);
  }

  private async writeChanges(changes: readonly LogChange[]): Promise<void> {
    this.check();
    checkChanges(changes, (groupId) => this.group(groupId).log.bounds);
    const taken = changes.map((change) => {
      const group = this.group(change.groupId);
      return { group, change, installed: group.installedBy(change) };
    });
    for (const { group, change, installed } of taken) group.take(change, installed);
    this.#writes++;
    const before = this.#tail;
    const durable = (async () => {
      await before;
      try {
        await this.#sync();
      } catch (error) {
        throw this.fail(error);
      }
      for (const { group, change, installed } of taken) group.durable.apply(change, installed);
    })();
    this.#tail = durable;
    await durable;
  }

  private group(groupId: string): MemoryGroupStorage {
    const group = this.#groups.get(groupId);
    if (group === undefined) throw groupNotOpen(groupId);
    return group;
  }

  private fail(cause: unknown): Error {
    if (this.#state.state === 'failed') return this.#state.error;
    const error = storageFailed('writing the journal', cause);
    this.#state = { state: 'failed', error };
    for (const listener of this.#listeners.splice(0)) listener(error);
    return error;
  }

  private check(): void {
    if (this.#state.state === 'failed') throw this.#state.error;
    if (this.#state.state === 'closed') throw storageClosed();
  }
}

/** What a group asks of its node. */
interface MemoryNode {
  readonly write: (changes: readonly LogChange[]) => Promise<void>;
  /** Everything handed over so far, durable or failed. */
  readonly settled: () => Promise<void>;
}

class MemoryGroupStorage implements GroupStorage {
  readonly log: MemoryGroupLog;
  readonly logStore: IRaftLogStore;
  readonly #received = new Map<string, MemorySnapshot>();
  #part: { readonly key: string; readonly body: MemoryBody } | undefined;
  #saving = false;
  #retired = false;

  constructor(
    readonly groupId: string,
    readonly durable: MemoryGroupLog,
    private readonly node: MemoryNode,
  ) {
    this.log = durable.clone();
    this.logStore = new GroupLogStore(this, async (change) => {
      this.#check();
      await node.write([change]);
    });
  }

  /** Ends the group: it was destroyed or replaced. */
  retire(): void {
    this.#retired = true;
  }

  get bootstrap(): ConfState {
    return this.log.bootstrap;
  }

  get logBytes(): number {
    return this.log.bytes;
  }

  initialState(): { readonly hardState: HardState; readonly conf: ConfState } {
    const conf = this.log.snapshot?.metadata.conf ?? this.log.bootstrap;
    return { hardState: this.log.hardState, conf };
  }

  firstIndex(): number {
    return this.log.firstIndex;
  }

  lastIndex(): number {
    return this.log.lastIndex;
  }

  term(index: number): number | undefined {
    return this.log.term(index);
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    return this.log.range(this.groupId, from, to, maxBytes);
  }

  snapshot(): Snapshot | undefined {
    const metadata = this.log.snapshot?.metadata;
    return metadata === undefined ? undefined : { metadata, data: EMPTY };
  }

  async saveSnapshot(metadata: SnapshotMetadata, chunks: Iterable<Uint8Array>): Promise<void> {
    this.#check();
    if (this.#saving) throw snapshotBusy(this.groupId);
    if (metadata.index <= this.log.bounds.snapshotIndex) return;
    if (this.log.term(metadata.index) !== metadata.term) {
      throw snapshotMisplaced(
        this.groupId,
        metadata.index,
        `has term ${metadata.term}, which the log has not`,
      );
    }
    this.#saving = true;
    try {
      const kept: Uint8Array[] = [];
      for (const chunk of chunks) {
        kept.push(Buffer.from(chunk));
        await Promise.resolve();
      }
      await this.node.settled();
      if (metadata.index <= this.log.bounds.snapshotIndex) return;
      const snapshot = { metadata, chunks: kept };
      this.log.snapshot = snapshot;
      this.durable.snapshot = snapshot;
    } finally {
      this.#saving = false;
    }
  }

  async receiveSnapshot(metadata: SnapshotMetadata, shape: SnapshotShape): Promise<SnapshotSink> {
    this.#check();
    this.#checkNewer(metadata);
    const key = `${snapshotKey(metadata)} ${shape.digest}`;
    if (this.#part?.key !== key) this.#part = { key, body: new MemoryBody(this.groupId, shape) };
    const { body } = this.#part;
    return {
      get next() {
        return body.next;
      },
      write: async (chunk, block) => body.write(chunk, block),
      finish: async () => {
        const chunks = body.finish();
        this.#part = undefined;
        this.#checkNewer(metadata);
        this.#received.set(snapshotKey(metadata), { metadata, chunks });
        for (const old of [...this.#received.keys()].slice(0, -MAX_RECEIVED)) this.#received.delete(old);
        return { metadata, data: EMPTY };
      },
      close: async () => undefined,
    };
  }

  async openSnapshot(): Promise<SnapshotSource> {
    const { snapshot } = this.log;
    if (snapshot === undefined) throw snapshotGone(this.groupId);
    return memorySource(snapshot);
  }

  readSnapshot(): AsyncIterable<Uint8Array> {
    // Which snapshot is meant is settled by the call, not by the first read: it goes with `snapshot()` just before.
    return stream(this.groupId, this.log.snapshot);
  }

  async compact(index: number): Promise<void> {
    this.#check();
    await this.node.settled();
    const upTo = Math.min(index, this.log.bounds.snapshotIndex);
    this.log.compact(upTo);
    this.durable.compact(upTo);
  }

  #checkNewer({ index }: SnapshotMetadata): void {
    if (index > this.log.bounds.snapshotIndex) return;
    throw snapshotMisplaced(this.groupId, index, 'is not newer than the one that is there');
  }

  /** The state that belongs to a change's snapshot. @throws DwError when it was never received. */
  installedBy(change: LogChange): MemorySnapshot | undefined {
    if (change.snapshot === undefined) return undefined;
    const installed = this.#received.get(snapshotKey(change.snapshot.metadata));
    if (installed === undefined) {
      throw snapshotMisplaced(this.groupId, change.snapshot.metadata.index, 'was never received');
    }
    return installed;
  }

  #check(): void {
    if (this.#retired) throw groupNotOpen(this.groupId);
  }

  /** Shows a change to reads. */
  take(change: LogChange, installed: MemorySnapshot | undefined): void {
    this.log.apply(change, installed);
    if (installed === undefined) return;
    for (const [key, { metadata }] of this.#received) {
      if (metadata.index <= installed.metadata.index) this.#received.delete(key);
    }
  }
}

async function* stream(groupId: string, snapshot: MemorySnapshot | undefined): AsyncIterable<Uint8Array> {
  if (snapshot === undefined) throw snapshotGone(groupId);
  yield* snapshot.chunks;
}
