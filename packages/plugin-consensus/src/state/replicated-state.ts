// What a Raft group replicates: the engine runs any state that can do this. The key-value store is one, the directory of
// the cluster another, and each state machine that a plugin registers becomes one through an adapter.

import type { AppliedEntry } from '@datawarehouse/sdk';
import type { ChunkMemory } from './snapshot-blocks.js';
import type { Outcome } from './outcome.js';

/** Takes a state's snapshot in, chunk by chunk, beside the state that it is to replace. */
export interface StateRestorer {
  /** The next chunk; they may be cut anywhere. Wait for the promise, if there is one, before the next call. */
  push(chunk: Uint8Array): void | Promise<void>;
  /** All chunks were given: checks the new state and puts it in place of the old one. */
  finish(): void | Promise<void>;
  /** No more chunks come: the state stays as it was, and whoever waits for chunks gets this error. */
  abort?(error: unknown): void;
}

/** The storage of a state that keeps itself. It is not given what it has, and written into no snapshot of its own node. */
export interface StateDisk {
  /** Opens what is there. @returns the index of the last entry in it, 0 for nothing. Called before anything else. */
  open(): Promise<number>;
  /** Resolves when all that was applied before the call is durable. */
  sync(): Promise<void>;
}

/**
 * A deterministic state that one group keeps equal on all its replicas.
 *
 * `apply` is synchronous: an entry is applied when the call returns, so that the index of the state, the answers to
 * proposers and the moment of a snapshot are never between two entries. The engine slices the work between entries, by
 * time; a single `apply` must take microseconds, not milliseconds.
 */
export interface ReplicatedState {
  /** Applies one entry. A throw fails the group on this node: the entry is not skipped, and meets the state again. */
  apply(entry: AppliedEntry): Outcome;
  /**
   * The whole state as of this call, as chunks that are made while they are pulled: what is applied meanwhile must not
   * show in them. Equal states give equal bytes.
   * @param memory `lent` when each chunk is used only until the next is pulled; `own` is always right.
   */
  snapshot(memory?: ChunkMemory): Iterable<Uint8Array>;
  /**
   * Begins to build another state beside this one, which takes its place when the restorer has finished.
   * @param index Of the snapshot: the state is that after the entry at this index.
   */
  beginRestore(index: number): StateRestorer;
  /** Hash of the state as of an applied index: equal on replicas that have applied the same entries. */
  stateHash(appliedIndex: number): string;
  /** How a state that keeps itself on disk does so; absent for one that lives in memory. */
  readonly disk?: StateDisk | undefined;
  /** The group is closed on this node, and nothing is called any more. */
  close?(): void | Promise<void>;
}

/** Makes the empty state of a group. */
export type StateFactory = (groupId: string) => ReplicatedState;

/** Name of the state machine that a group has when nothing else is said. */
export const KEY_VALUE_MACHINE = 'key-value';
