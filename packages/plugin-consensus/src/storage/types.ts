// What the engine asks of a node's storage: one durable write a turn for all groups, and an indexed log for each.

import type { IRaftLogStore } from '@datawarehouse/sdk';
import type { SnapshotShape } from './snapshot-format.js';
import type { ConfState, Entry, HardState, RaftStorage, Snapshot, SnapshotMetadata } from '../raft/types.js';

/** What one group has to write in a turn. In order: snapshot, entries (which may replace a tail), hard state. */
export interface GroupWrite {
  readonly groupId: string;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** A snapshot received from the leader, whose state is in the file that {@link GroupStorage.receiveSnapshot} made. */
  readonly snapshot: Snapshot | undefined;
}

/** What is wrong with a group's files, and where it was found first. */
export interface GroupDamage {
  readonly groupId: string;
  /** The file, with its directory. */
  readonly file: string;
  /** Bytes from its beginning. */
  readonly offset: number;
  readonly reason: string;
}

/** Why a node's storage takes nothing any more. */
export type StorageState =
  | { readonly state: 'open' }
  | { readonly state: 'failed'; readonly error: Error }
  | { readonly state: 'closed' };

/** Figures of a node's storage. */
export interface NodeStorageStatistics {
  readonly journalBytes: number;
  readonly journalSyncs: number;
  readonly journalAppends: number;
  readonly segmentBytes: number;
  readonly mappedSegments: number;
  /** Bytes of sealed files that were looked over for damage since the start. */
  readonly scrubbedBytes: number;
  /** How often the disk did not let something be looked over; it is tried again. */
  readonly scrubFailures: number;
}

/** The body of a snapshot, open for being copied chunk by chunk. It stays readable when a newer one takes its place. */
export interface SnapshotSource {
  readonly metadata: SnapshotMetadata;
  readonly shape: SnapshotShape;
  /**
   * A chunk with its header, checked.
   * @param into Where to put it, if it has room for the longest; else it gets memory of its own.
   * @throws DwError `raft-log-damaged`.
   */
  read(chunk: number, into?: Buffer): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Where the chunks of a leader's snapshot are put together. One for each group at a time. */
export interface SnapshotSink {
  /** The first chunk that is missing; the chunks before it are here, also from an earlier try that broke off. */
  readonly next: number;
  /**
   * Takes a chunk with its header; resolves when it is written (not yet synced). Chunks may come out of order by a
   * bounded distance, and again. Once it has resolved, the block's memory is the caller's again.
   * @throws DwError `raft-snapshot-chunk-refused` when it is not what it should be; `raft-snapshot-not-written`.
   */
  write(chunk: number, block: Uint8Array): Promise<void>;
  /** Checks the whole and makes it durable. @throws DwError `raft-snapshot-chunk-refused`, `raft-snapshot-misplaced`. */
  finish(): Promise<Snapshot>;
  /** Lets go of it; what was written stays for the next try. */
  close(): Promise<void>;
}

/** The log and snapshots of one group. Reads are synchronous; they see what was handed to `write` at once. */
export interface GroupStorage extends RaftStorage {
  readonly groupId: string;
  /** The members at index 0, before the first entry. */
  readonly bootstrap: ConfState;
  /** The same log behind the SDK's asynchronous contract. */
  readonly logStore: IRaftLogStore;
  /** Bytes of entries kept (for deciding when to compact). */
  readonly logBytes: number;
  /**
   * Writes a snapshot of this node's own state at `metadata`, durably, and makes it the newest. The chunks are pulled
   * one by one, with the event loop free between them, and none is used any more when the next is pulled.
   */
  saveSnapshot(metadata: SnapshotMetadata, chunks: Iterable<Uint8Array>): Promise<void>;
  /** The newest snapshot's body. @throws DwError `raft-snapshot-gone`, `raft-log-damaged`. */
  openSnapshot(): Promise<SnapshotSource>;
  /**
   * Begins, or goes on with, receiving a leader's snapshot. What is finished is durable before the core is told of it.
   * A sink that is open for the group already is closed.
   */
  receiveSnapshot(metadata: SnapshotMetadata, shape: SnapshotShape): Promise<SnapshotSink>;
  /** The chunks of the newest snapshot's state, checked against its checksum. */
  readSnapshot(): AsyncIterable<Uint8Array>;
  /** Lets entries up to and including `index` go; never past the newest snapshot. */
  compact(index: number): Promise<void>;
}

/** What can be changed of a storage while it runs. */
export interface StorageTuning {
  /** How many of each group's newest sealed segments are mapped into memory; 0 maps none. */
  readonly hotSegments: number;
  /** Bytes a second at which sealed files are looked over for damage; 0 rests. */
  readonly scrubBytesPerSecond: number;
}

/** The storage of one node. */
export interface NodeStorage {
  readonly status: StorageState;
  /** Made once, with the storage; on disk before it is told. A node that comes back with another one has lost its past. */
  readonly storageId: string;
  /** Whether the storage was made by this opening: there was nothing before. */
  readonly fresh: boolean;
  /** Groups that are here and whole, sorted. */
  readonly groupIds: readonly string[];
  /** Groups that are here and damaged, sorted. They stay so, also over restarts, until they are replaced or destroyed. */
  damagedGroups(): readonly GroupDamage[];
  /** Told of each group that is found damaged from now on, once. */
  onGroupDamaged(listener: (damage: GroupDamage) => void): void;
  /**
   * Opens a group; if it is new, it starts with these members at index 0.
   * @throws DwError `raft-group-damaged` when its files are; the other groups go on.
   */
  openGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage>;
  /**
   * Removes a group and all its files for good; nothing happens when it is not here. After a crash it is whole or gone.
   * Writes to it are refused from the call on. When it resolves the id may be opened anew, with nothing of before.
   */
  destroyGroup(groupId: string): Promise<void>;
  /**
   * Puts a new, empty group in the place of one that is damaged, or whose past is not to be believed. What was there is
   * moved aside for diagnosis. After a crash the group is damaged (or as it was) or the new one: never absent.
   */
  replaceGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage>;
  /**
   * Makes a turn's writes visible to reads at once and durable when the promise resolves: one journal write, one
   * fdatasync, whatever the number of groups. Calls become durable in order.
   * @throws DwError `storage-failed`: final; nothing of this call or a later one is to be taken as written.
   */
  write(writes: readonly GroupWrite[]): Promise<void>;
  /** Told once when the storage fails. */
  onFailed(listener: (error: Error) => void): void;
  /** Changes what is given, from now on. */
  tune(tuning: Partial<StorageTuning>): void;
  statistics(): NodeStorageStatistics;
  close(): Promise<void>;
}
