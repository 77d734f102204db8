// What consensus answers to whom asks.

/** Outcome of a proposal. */
export interface ConsensusResult {
  /** Committed by a majority and on their disks. */
  readonly success: boolean;
  /** The leader of the group, if known. */
  readonly leaderId?: string;
  /** Index of the entry in its group's log; 0 when it was not committed. */
  readonly logIndex: number;
  /** Why not. A text that begins with `outcome-unknown` says that it may have been or may yet be committed. */
  readonly error?: string;
}

/** Role of a node in a group. */
export type RaftRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** State of a group on this node. */
export interface ConsensusState {
  readonly state: RaftRole;
  readonly leaderId?: string;
  readonly commitIndex: number;
  readonly lastApplied: number;
}

/** Who of the cluster answers. */
export interface ClusterHealthInfo {
  readonly totalNodes: number;
  readonly healthyNodes: number;
  /** `alive`, `suspected`, `unreachable`, … by node id. */
  readonly nodeStates: Readonly<Record<string, string>>;
}
