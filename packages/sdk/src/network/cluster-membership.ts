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

/** The members of the cluster as this node sees them. */
export interface IClusterDirectory {
  readonly localId: string;
  /** All members, this node included, sorted by id. */
  nodes(): readonly ClusterNode[];
  node(id: string): ClusterNode | undefined;
}

/** The cluster's members as this node sees them. */
export const CLUSTER_DIRECTORY: ServiceToken<IClusterDirectory> =
  createToken<IClusterDirectory>('dw.cluster-directory');
