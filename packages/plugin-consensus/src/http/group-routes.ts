// The Raft groups over HTTP: how each stands, and what an operator can ask of it.

import type { RaftGroupStatus, RouteDefinition } from '@datawarehouse/sdk';
import { Type, isDwError } from '@datawarehouse/sdk';
import { groupUnknown } from '../errors.js';
import type { GroupRouter } from '../groups/group-router.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';
import type { GroupPlacement } from '../groups/placement.js';

const Group = Type.Object({
  id: Type.String(),
  machine: Type.String(),
  leader: Type.Union([Type.String(), Type.Null()]),
  term: Type.Integer(),
  commitIndex: Type.Integer(),
  lastApplied: Type.Integer(),
  voters: Type.Array(Type.String()),
  learners: Type.Array(Type.String()),
  firstIndex: Type.Integer(),
  lastIndex: Type.Integer(),
  stateHash: Type.String(),
});
const Params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) });

/** The routes of the groups. */
export function groupRoutes(
  router: GroupRouter,
  placements: readonly GroupPlacement[],
): readonly RouteDefinition[] {
  const known = (id: string | undefined): string => {
    if (id !== undefined && placements.some((placement) => placement.id === id)) return id;
    throw groupUnknown(id ?? '');
  };
  return [
    {
      method: 'GET',
      path: '/v1/groups',
      summary: 'The Raft groups as this node sees them',
      responses: { 200: Type.Array(Group) },
      handler: async () => ({
        body: await Promise.all(placements.map((placement) => describe(router, placement))),
      }),
    },
    {
      method: 'POST',
      path: '/v1/groups/:id/transfer',
      summary: 'Move the leadership of a group to another voter',
      params: Params,
      body: Type.Object(
        { to: Type.String({ minLength: 1, maxLength: 256 }) },
        { additionalProperties: false },
      ),
      handler: async ({ params, body }) => {
        const id = known(params['id']);
        const { to } = body as { readonly to: string };
        await router.transfer(id, to);
        return { body: { group: id, leader: to } };
      },
    },
    {
      method: 'POST',
      path: '/v1/groups/:id/snapshot',
      summary: 'Take a snapshot of a group on this node and compact its log',
      params: Params,
      handler: async ({ params }) => {
        const id = known(params['id']);
        return { body: { group: id, index: await router.snapshot(id) } };
      },
    },
  ];
}

async function describe(router: GroupRouter, placement: GroupPlacement): Promise<Record<string, unknown>> {
  try {
    const { leaderId, ...status }: RaftGroupStatus = await router.status(placement.id);
    return { ...status, leader: leaderId ?? null };
  } catch (error) {
    if (!isDwError(error)) throw error;
    // No replica here, and no peer answers: say so instead of leaving the group out.
    return {
      id: placement.id,
      machine: placement.machine ?? KEY_VALUE_MACHINE,
      leader: null,
      term: 0,
      commitIndex: 0,
      lastApplied: 0,
      voters: placement.voters,
      learners: [],
      firstIndex: 0,
      lastIndex: 0,
      stateHash: '',
      error: error.code,
    };
  }
}
