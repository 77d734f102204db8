// The service that other plugins use to replicate their own state.

import type { ServiceToken } from '../plugin/service-token.js';
import { createToken } from '../plugin/service-token.js';
import type { IReplicatedMachine } from './replicated-machine.js';
import type { IStateMachine } from './state-machine.js';
import type { ClusterHealthInfo, ConsensusResult, ConsensusState } from './results.js';

/** A group as this node sees it. */
export interface RaftGroupStatus extends ConsensusState {
  readonly id: string;
  /** Name of the state machine that the group runs: `key-value`, or one that a plugin registered. */
  readonly machine: string;
  /** Why the replica that answers stands still; absent while it runs. */
  readonly failure?: { readonly code: string; readonly message: string };
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
  /**
   * Registers a state machine under a name, which gets a group of its own: the first node that registers it makes the
   * group, with as many voters as the other groups have. Every node must register it; a replica on a node that does not
   * waits, and the other groups of the node serve. Dispose of what is returned when the plugin ends:
   * `context.onDispose(() => machine[Symbol.asyncDispose]())`.
   * @param name 1 to 40 characters: letters, digits, `.`, `-` and `_`, beginning with a letter or digit.
   * @param create Makes the empty machine; called each time the group is opened on this node.
   * @throws DwError `machine-name-invalid`, `machine-registered`.
   */
  registerStateMachine<M extends IStateMachine>(name: string, create: () => M): IReplicatedMachine<M>;
}

/** The consensus engine of this node. */
export const CONSENSUS_ENGINE: ServiceToken<IConsensusEngine> =
  createToken<IConsensusEngine>('dw.consensus-engine');
