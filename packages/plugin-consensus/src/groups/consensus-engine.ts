// The groups as other plugins see them: the service `dw.consensus-engine`.

import type {
  ClusterHealthInfo,
  ConsensusResult,
  IConsensusEngine,
  IPeerTransport,
  IReplicatedMachine,
  IStateMachine,
  RaftGroupStatus,
} from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { groupUnknown } from '../errors.js';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { MachineGroups } from '../machines/machine-groups.js';
import { PluginMachine } from '../machines/plugin-machine.js';
import { isSystemGroup } from './directory/directory-types.js';
import type { GroupRouter } from './group-router.js';
import type { GroupTable } from './group-table.js';

/** Several Raft groups behind one door. */
export class ConsensusEngineService implements IConsensusEngine {
  constructor(
    private readonly engine: MultiRaftEngine,
    private readonly router: GroupRouter,
    private readonly transport: IPeerTransport,
    private readonly table: GroupTable,
    private readonly ownerOf: (key: string) => string,
    private readonly machines: MachineGroups,
  ) {}

  groupIds(): readonly string[] {
    return this.table
      .users()
      .map((placement) => placement.id)
      .sort();
  }

  groupOf(key: string): string {
    return this.ownerOf(key);
  }

  /**
   * Proposes bytes that mean nothing to this plugin: they are committed in the group's log, in order and on the disks
   * of a majority, and change no key. Resolves with what became of them; only an unknown group throws.
   */
  async proposeAsync(groupId: string, data: Uint8Array, signal?: AbortSignal): Promise<ConsensusResult> {
    const placement = this.table.get(groupId);
    if (placement === undefined || isSystemGroup(placement)) throw groupUnknown(groupId);
    try {
      const { index } = await this.router.propose(groupId, 'opaque', data, false, signal);
      return { success: true, logIndex: index, ...this.leader(groupId) };
    } catch (error) {
      signal?.throwIfAborted();
      if (!isDwError(error)) throw error;
      return {
        success: false,
        logIndex: 0,
        error: `${error.code}: ${error.message}`,
        ...this.leader(groupId),
      };
    }
  }

  status(groupId: string): RaftGroupStatus {
    const group = this.engine.group(groupId);
    if (group === undefined) throw groupUnknown(groupId);
    return group.status();
  }

  registerStateMachine<M extends IStateMachine>(name: string, create: () => M): IReplicatedMachine<M> {
    this.machines.register(name, create);
    return new PluginMachine<M>(name, this.machines, this.router);
  }

  health(): ClusterHealthInfo {
    const nodeStates: Record<string, string> = { [this.engine.nodeId]: 'alive' };
    for (const peer of this.transport.peers()) {
      nodeStates[peer.id] = peer.state === 'connected' ? 'alive' : 'unreachable';
    }
    const states = Object.values(nodeStates);
    return {
      totalNodes: states.length,
      healthyNodes: states.filter((state) => state === 'alive').length,
      nodeStates,
    };
  }

  private leader(groupId: string): { leaderId?: string } {
    const leaderId = this.engine.group(groupId)?.leader;
    return leaderId === undefined ? {} : { leaderId };
  }
}
