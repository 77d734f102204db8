// Who belongs to the cluster and who of them is there.

import type { ServiceToken } from '../plugin/service-token.js';
import { createToken } from '../plugin/service-token.js';

/** What a node is known to be. */
export type ClusterNodeState = 'alive' | 'suspected' | 'left' | 'unreachable';

/** A member of the cluster. */
export interface ClusterNode {
  readonly id: string;
  /** `http://host:port` of its API, once it has told us. */
  readonly http: string | undefined;
  /** `host:port` of its peer listener. */
  readonly peer: string;
  readonly state: ClusterNodeState;
  /** Version of the host it runs, once it has told us. */
  readonly version: string | undefined;
  /** Its process id, once it has told us. */
  readonly pid: number | undefined;
}

/** A node that is to be a member. */
export interface ClusterMember {
  readonly id: string;
  /** `host:port` of its peer listener. */
  readonly peer: string;
  /** `http://host:port` of its API, if it is known before the node tells. */
  readonly http?: string;
}

/** What became of a member, as a listener is told. */
export interface ClusterChange {
  readonly action: 'joined' | 'left' | 'removed' | 'suspected' | 'recovered';
  readonly nodeId: string;
  /** `host:port` of its peer listener. */
  readonly endpoint: string;
}

/** Most members that a cluster can have, this node included. */
export const MAX_CLUSTER_NODES = 1_000;

/** The members of the cluster as this node sees them. */
export interface IClusterDirectory {
  readonly localId: string;
  /** All members, this node included, sorted by id. */
  nodes(): readonly ClusterNode[];
  node(id: string): ClusterNode | undefined;
  /**
   * Makes a node a member while this one runs: it is dialled, and may dial. A member that is known under another
   * address moves to this one. `joined` is told once it can be reached. Nothing changes for the local node.
   * @throws DwError `peer-address-invalid`; `cluster-full` when there are {@link MAX_CLUSTER_NODES}.
   */
  admit(member: ClusterMember): void;
  /**
   * Makes a node a stranger: its connections are closed, what waits for it fails as if it were lost, and it is refused
   * from now on. `removed` is told.
   * @returns false when it was no member, or is the local node.
   */
  dismiss(id: string): boolean;
  /** Told of every change, in order. */
  onChanged(listener: (change: ClusterChange) => void): Disposable;
}

/** The cluster's members as this node sees them. */
export const CLUSTER_DIRECTORY: ServiceToken<IClusterDirectory> =
  createToken<IClusterDirectory>('dw.cluster-directory');
