// What the directory of the cluster holds, and its bounds.

import { MAX_CLUSTER_NODES } from '@datawarehouse/sdk';

/** Id of the group that holds the directory, and name of its state machine. */
export const DIRECTORY_GROUP = 'directory';
/** Name of the state machine of the group {@link DIRECTORY_GROUP}. */
export const DIRECTORY_MACHINE = 'directory';

/** Most nodes. */
export const MAX_NODES = MAX_CLUSTER_NODES;
/** Most groups. A directory that is full of both has about 3 MB. */
export const MAX_GROUPS = 10_000;
/** Most members of one group. */
export const MAX_MEMBERS = 32;
/**
 * Storages of retired nodes that are remembered, so that none of them comes back under a node's name. Retirements are
 * rare, and the oldest is forgotten first.
 */
export const MAX_RETIRED = 1_000;

/** Where a node can be reached. */
export interface NodeAddresses {
  /** `host:port` of its peer listener. */
  readonly peer: string;
  /** `http://host:port` of its API; null before it has told, as at the beginning of a cluster. */
  readonly http: string | null;
  /** `host:port` of its client listener, if it has one. */
  readonly client: string | null;
}

/**
 * What a node is to the cluster.
 * - `new`: it has joined, and groups that have too few voters may take it
 * - `member`: its place is decided, by what happened when it was new and by operators since
 * - `retiring`: it is being taken out of its groups, gets no new replicas, and will be removed
 */
export type NodeState = 'new' | 'member' | 'retiring';

/** A node. */
export interface DirectoryNode extends NodeAddresses {
  readonly id: string;
  readonly state: NodeState;
  /** Id of the storage that it has told; null before it has. */
  readonly storageId: string | null;
}

/** A group. */
export interface DirectoryGroup {
  readonly id: string;
  /** Name of its state machine. */
  readonly machine: string;
  /** Its voters when it was made, sorted: those who open it without being asked to. Never changes. */
  readonly bootstrap: readonly string[];
  /**
   * The storages that the first voters had when the group was added to a running cluster, in the order of `bootstrap`: a
   * voter with another one may have voted and forgotten, and must not make its replica by itself. Absent for the groups
   * of the beginning.
   */
  readonly storages?: readonly string[];
  /** The voter that stood for election first. */
  readonly preferredLeader: string;
  /** Its voters as its leader last told, sorted. They tell where the group can be found, and decide nothing. */
  readonly voters: readonly string[];
  /** Index in the group's log up to which `voters` is right; 0 at first. */
  readonly votersAt: number;
}

/** A node that was removed. */
export interface RetiredNode {
  readonly id: string;
  readonly storageId: string;
}

/** The whole directory as of one version. */
export interface DirectoryView {
  /** Rises by one with every change. 0: nobody has made the directory yet. */
  readonly version: number;
  /** How many nodes are to vote in each group. */
  readonly votersPerGroup: number;
  /** Sorted by id. */
  readonly nodes: readonly DirectoryNode[];
  /** In the order in which they were made. */
  readonly groups: readonly DirectoryGroup[];
  /** Oldest first. */
  readonly retired: readonly RetiredNode[];
}

/** A directory that nobody has made. */
export const EMPTY_DIRECTORY: DirectoryView = {
  version: 0,
  votersPerGroup: 0,
  nodes: [],
  groups: [],
  retired: [],
};

/** Whether a group belongs to the machinery and not to users. */
export function isSystemGroup({ machine }: { readonly machine?: string }): boolean {
  return machine === DIRECTORY_MACHINE;
}
