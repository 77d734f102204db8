// What the client port needs of the node behind it. Kept apart from the engine so that the port is tested without one,
// and so that the hot path is plain to see: calls and callbacks, no promise for an operation that is carried out here.

import type { DwError } from '@datawarehouse/sdk';
import type { ClusterTopology, ListedKey } from '@datawarehouse/sdk/client-protocol';
import type { EntryKind } from '../engine/entry-envelope.js';
import type { ProposalResult } from '../engine/proposal.js';
import type { ChangeSource } from './watch-stream.js';

/** A value and its version, as this node has it. */
export interface StoredValue {
  readonly version: number;
  readonly value: Uint8Array;
}

/** The node behind a client port. */
export interface ClientBackend {
  readonly nodeId: string;
  /** Monotonic, ms. */
  now(): number;
  readonly maxValueBytes: number;
  /** Longest that an operation is tried, ms. */
  readonly requestTimeoutMs: number;
  /** Who leads what. */
  groups(): ClusterTopology['groups'];
  /** The group that owns a key. */
  groupOf(key: string): string;
  /** Whether the group's leader is here. */
  leads(groupId: string): boolean;
  /** Who leads the group, if that is known. */
  leader(groupId: string): string | undefined;
  /** Whether the group has a replica here that runs. */
  serves(groupId: string): boolean;
  /**
   * Proposes an entry at this node, the leader. `done` is called exactly once, later.
   * @returns what stops the waiting.
   * @throws DwError: it did not happen.
   */
  submit(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    deadline: number,
    done: (result: ProposalResult) => void,
  ): () => void;
  /** Calls `done` once the group's state here may be read so. @throws DwError. */
  read(
    groupId: string,
    mode: 'linearizable' | 'lease',
    deadline: number,
    done: (error: DwError | undefined) => void,
  ): void;
  /** A key as this node has it. */
  get(groupId: string, key: string): StoredValue | undefined;
  /** Keys as this node has them, in key order. */
  list(groupId: string, prefix: string, after: string | undefined, limit: number): readonly ListedKey[];
  /** Brings an entry to the leader, wherever that is. `repeatable`: a second try is harmless when the first happened. */
  relayWrite(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    repeatable: boolean,
    done: (result: ProposalResult) => void,
  ): () => void;
  /**
   * The changes of a group here. `elsewhere`: also where this node does not lead it.
   * @throws DwError `group-unknown`.
   */
  changes(groupId: string, elsewhere: boolean): ChangeSource;
  /** Reads a key at the leader, wherever that is. */
  relayGet(groupId: string, key: string): Promise<StoredValue | undefined>;
  /** Lists keys at the leader, wherever that is. */
  relayList(
    groupId: string,
    prefix: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ListedKey[]>;
}
