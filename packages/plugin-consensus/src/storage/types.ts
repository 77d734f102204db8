// What the engine asks of a node's storage: one durable write a turn for all groups, and an indexed log for each.

import type { IRaftLogStore } from '@datawarehouse/sdk';
import type { ConfState, Entry, HardState, RaftStorage, Snapshot, SnapshotMetadata } from '../raft/types.js';

/** What one group has to write in a turn. In order: snapshot, entries (which may replace a tail), hard state. */
export interface GroupWrite {
  readonly groupId: string;
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** A snapshot received from the leader, whose state is in the file that {@link GroupStorage.receiveSnapshot} wrote. */
  readonly snapshot: Snapshot | undefined;
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
}

/** The log and snapshots of one group. Reads are synchronous; they see what was handed to `write` at once. */
export interface GroupStorage extends RaftStorage {
  readonly groupId: string;
  /** The same log behind the SDK's asynchronous contract. */
  readonly logStore: IRaftLogStore;
  /** Bytes of entries kept (for deciding when to compact). */
  readonly logBytes: number;
  /**
   * Writes a snapshot of this node's own state at `metadata`, durably, and makes it the newest. The chunks are pulled
   * one by one, with the event loop free between them.
   */
  saveSnapshot(metadata: SnapshotMetadata, chunks: Iterable<Uint8Array>): Promise<void>;
  /** Stores the state that came with a leader's snapshot, durably, before the core is told of it. */
  receiveSnapshot(metadata: SnapshotMetadata, chunks: AsyncIterable<Uint8Array>): Promise<Snapshot>;
  /** The chunks of the newest snapshot's state, checked against its checksum. */
  readSnapshot(): AsyncIterable<Uint8Array>;
  /** Lets entries up to and including `index` go; never past the newest snapshot. */
  compact(index: number): Promise<void>;
}

/** The storage of one node. */
export interface NodeStorage {
  readonly status: StorageState;
  /** Groups found on disk, sorted. */
  readonly groupIds: readonly string[];
  /** Opens a group; if it is new, it starts with these members at index 0. */
  openGroup(groupId: string, bootstrap: ConfState): Promise<GroupStorage>;
  /**
   * Makes a turn's writes visible to reads at once and durable when the promise resolves: one journal write, one
   * fdatasync, whatever the number of groups. Calls become durable in order.
   * @throws DwError `storage-failed`: final; nothing of this call or a later one is to be taken as written.
   */
  write(writes: readonly GroupWrite[]): Promise<void>;
  /** Told once when the storage fails. */
  onFailed(listener: (error: Error) => void): void;
  statistics(): NodeStorageStatistics;
  close(): Promise<void>;
}
