// One Raft group as `GET /v1/groups` shows it: how it stands as this node sees it, and what is wrong with it here.

import type { RaftGroupStatus } from '@datawarehouse/sdk';
import { Type, isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { GroupRouter } from '../groups/group-router.js';
import type { MachineGroups } from '../machines/machine-groups.js';
import type { NodeReplicas } from '../groups/node-replicas.js';
import type { GroupPlacement } from '../groups/placement.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';

/** The schema of a group. */
export const GroupView = Type.Object({
  id: Type.String(),
  machine: Type.String(),
  leader: Type.Union([Type.String(), Type.Null()]),
  term: Type.Integer(),
  commitIndex: Type.Integer(),
  lastApplied: Type.Integer(),
  voters: Type.Array(Type.String()),
  learners: Type.Array(Type.String()),
  witnesses: Type.Optional(Type.Array(Type.String())),
  firstIndex: Type.Integer(),
  lastIndex: Type.Integer(),
  stateHash: Type.String(),
  state: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
  damaged: Type.Optional(
    Type.Object({
      file: Type.String(),
      offset: Type.Integer(),
      reason: Type.String(),
      repair: Type.String(),
    }),
  ),
  recovered: Type.Optional(
    Type.Array(
      Type.Object({
        time: Type.String(),
        by: Type.String(),
        voters: Type.Array(Type.String()),
        lastIndex: Type.Integer(),
      }),
    ),
  ),
});

/** What groups are looked at with. */
export interface GroupViewer {
  readonly router: GroupRouter;
  readonly engine: MultiRaftEngine;
  readonly replicas: NodeReplicas;
  readonly machines: MachineGroups;
}

/** Describes a group. Never throws for what a group can suffer. */
export async function describeGroup(
  { router, engine, replicas, machines }: GroupViewer,
  placement: GroupPlacement,
): Promise<Readonly<Record<string, unknown>>> {
  const { id } = placement;
  const seen = await look(router, placement);
  const damage = replicas.damaged.find(({ groupId }) => groupId === id);
  const failure = engine.failure ?? engine.group(id)?.failed;
  const recovered = replicas.recoveries(id);
  return {
    ...seen,
    ...(failure === undefined ? {} : { state: failure.code, error: failure.message }),
    ...(damage === undefined
      ? {}
      : { state: 'damaged', damaged: described(damage, seen['leader'] !== null) }),
    ...(machines.waiting().includes(id) ? { state: 'waiting-for-machine' } : {}),
    ...(recovered.length === 0 ? {} : { recovered }),
  };
}

function described(
  { file, offset, reason }: NodeReplicas['damaged'][number],
  led: boolean,
): Readonly<Record<string, unknown>> {
  const repair = led
    ? 'the leader brings it back'
    : 'there is no leader that could bring it back: restore the disk of a voter, or use dw groups recover';
  return { file, offset, reason, repair };
}

async function look(
  router: GroupRouter,
  { id, machine, voters }: GroupPlacement,
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const { leaderId, ...status }: RaftGroupStatus = await router.status(id);
    return { ...status, leader: leaderId ?? null };
  } catch (error) {
    if (!isDwError(error)) throw error;
    // No replica here, and no peer answers: say so instead of leaving the group out.
    return {
      id,
      machine: machine ?? KEY_VALUE_MACHINE,
      leader: null,
      term: 0,
      commitIndex: 0,
      lastApplied: 0,
      voters,
      learners: [],
      firstIndex: 0,
      lastIndex: 0,
      stateHash: '',
      error: error.code,
    };
  }
}
