// How this plugin is, in the words of the host. Unhealthy makes the node not ready, so that is kept for what stops the
// keys: a state machine of another plugin that fails or has no leader is told, and the node goes on serving.

import type { HealthCheckResult } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from './engine/multi-raft-engine.js';
import type { RaftGroup } from './engine/raft-group.js';
import type { ClusterService } from './groups/directory/cluster-service.js';
import type { NodeReplicas } from './groups/node-replicas.js';
import type { MachineGroups } from './machines/machine-groups.js';
import { KEY_VALUE_MACHINE } from './state/replicated-state.js';

/** What health is read from. */
export interface HealthParts {
  readonly engine: Pick<MultiRaftEngine, 'failure' | 'all'>;
  readonly replicas: Pick<NodeReplicas, 'obstacle'>;
  readonly directory: Pick<ClusterService, 'standing'>;
  readonly machines: Pick<MachineGroups, 'waiting' | 'registered'>;
}

/** The health of the plugin. */
export function healthOf({ engine, replicas, directory, machines }: HealthParts): HealthCheckResult {
  const obstacle = obstacleOf(engine.failure, replicas.obstacle, directory.standing);
  if (obstacle !== undefined) return { status: 'unhealthy', message: obstacle };
  const groups = engine.all();
  const foreign = (group: RaftGroup): boolean => machines.registered(group.machine);
  const failed = groups.filter((group) => group.failed !== undefined);
  const stopped = failed.filter((group) => !foreign(group));
  if (stopped.length > 0) return { status: 'unhealthy', message: `failed groups: ${describe(stopped)}` };
  // Keys are served also while the directory has no leader.
  const leaderless = groups.filter((group) => group.leader === undefined);
  const silent = leaderless.filter(({ machine }) => machine === KEY_VALUE_MACHINE);
  if (silent.length > 0) return { status: 'unhealthy', message: `no leader known for ${idsOf(silent)}` };
  const told: string[] = [];
  if (failed.length > 0) told.push(`failed groups: ${describe(failed)}`);
  const mute = leaderless.filter((group) => foreign(group) && group.failed === undefined);
  if (mute.length > 0) told.push(`no leader known for ${idsOf(mute)}`);
  const waiting = machines.waiting();
  if (waiting.length > 0) told.push(`waiting for their state machines: ${waiting.join(', ')}`);
  return told.length === 0 ? { status: 'healthy' } : { status: 'degraded', message: told.join('; ') };
}

function obstacleOf(
  failure: Error | undefined,
  obstacle: string | undefined,
  standing: string,
): string | undefined {
  if (failure !== undefined) return `storage-failed: ${failure.message}`;
  if (obstacle !== undefined) return obstacle;
  if (standing === 'retired') return 'retired: this node is no member of the cluster any more';
  if (standing !== 'joining') return undefined;
  return 'joining: the directory of the cluster does not name this node yet';
}

function idsOf(groups: readonly RaftGroup[]): string {
  return groups.map(({ id }) => id).join(', ');
}

function describe(groups: readonly RaftGroup[]): string {
  return groups.map(({ id, failed }) => `${id} (${failed?.message ?? ''})`).join(', ');
}
