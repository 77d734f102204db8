// The base of plugins that give the host replicated state.

import type { ClusterHealthInfo, ConsensusResult, ConsensusState } from '../consensus/index.js';
import { InfrastructurePluginBase } from './plugin-base.js';

/** A plugin that agrees with its peers on a sequence of entries. */
export abstract class ConsensusPluginBase extends InfrastructurePluginBase {
  readonly infrastructureDomain: string = 'Consensus';

  /**
   * Proposes `data` to the group that owns it and resolves with that proposal's own outcome. `success` is true only
   * once the entry is committed by a majority, on their disks, and applied here.
   * @throws the signal's reason when it aborts first; the proposal may still be committed.
   */
  abstract proposeAsync(data: Uint8Array, signal?: AbortSignal): Promise<ConsensusResult>;
  /** Whether this node leads at least one group. */
  abstract isLeaderAsync(): Promise<boolean>;
  /** The state of the node's groups, summed up. */
  abstract getStateAsync(): Promise<ConsensusState>;
  /** Who of the cluster answers. */
  abstract getClusterHealthAsync(): Promise<ClusterHealthInfo>;
}
