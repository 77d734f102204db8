// The service that other plugins use to replicate their own state.

import type { ServiceToken } from '../plugin/service-token.js';
import { createToken } from '../plugin/service-token.js';
import type { ClusterHealthInfo, ConsensusResult, ConsensusState } from './results.js';

/** A group as this node sees it. */
export interface RaftGroupStatus extends ConsensusState {
  readonly id: string;
  /** Name of the state machine that the group runs: `key-value`, or one that a plugin registered. */
  readonly machine: string;
  readonly term: number;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  /** Those of `voters` that vote and hold no data. */
  readonly witnesses?: readonly string[];
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Equal on replicas that have applied the same index. */
  readonly stateHash: string;
}

/** Several Raft groups behind one door. */
export interface IConsensusEngine {
  /** Ids of the groups, sorted. */
  groupIds(): readonly string[];
  /** The group that owns a key, by consistent hashing of the key. */
  groupOf(key: string): string;
  /** Proposes to a group, through its leader wherever it is. Settles once, with this proposal's own outcome. */
  proposeAsync(groupId: string, data: Uint8Array, signal?: AbortSignal): Promise<ConsensusResult>;
  /** State of one group here. @throws DwError `group-unknown`. */
  status(groupId: string): RaftGroupStatus;
  health(): ClusterHealthInfo;
}

/** The consensus engine of this node. */
export const CONSENSUS_ENGINE: ServiceToken<IConsensusEngine> =
  createToken<IConsensusEngine>('dw.consensus-engine');
