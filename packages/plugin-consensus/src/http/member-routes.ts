// The members of the Raft groups over HTTP: who is to vote, learn or go, and the last resort for a group that lost its
// majority.

import type { RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import type { NodeReplicas } from '../groups/node-replicas.js';

const MAX_NODES = 64;
const Nodes = Type.Optional(
  Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: MAX_NODES, uniqueItems: true }),
);
const Params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) });
const Names = Type.Array(Type.String());

interface MembersBody {
  readonly add?: readonly string[];
  readonly addLearners?: readonly string[];
  readonly addWitnesses?: readonly string[];
  readonly remove?: readonly string[];
}

/**
 * The routes of the members.
 * @param known The id of a group that there is. @throws DwError `group-unknown`.
 */
export function memberRoutes(
  replicas: NodeReplicas,
  known: (id: string | undefined) => string,
): readonly RouteDefinition[] {
  return [
    {
      method: 'POST',
      path: '/v1/groups/:id/members',
      summary: 'Change who votes and who learns in a group; answers when that is committed',
      params: Params,
      body: Type.Object(
        { add: Nodes, addLearners: Nodes, addWitnesses: Nodes, remove: Nodes },
        { additionalProperties: false },
      ),
      responses: {
        200: Type.Object({ id: Type.String(), voters: Names, learners: Names, witnesses: Names }),
      },
      handler: async ({ params, body }) => {
        const { add = [], addLearners = [], addWitnesses = [], remove = [] } = body as MembersBody;
        const request = { add, addLearners, addWitnesses, remove };
        return { body: await replicas.members.change(known(params['id']), request) };
      },
    },
    {
      method: 'POST',
      path: '/v1/groups/:id/recover',
      summary:
        'Plan, and with the token of the plan carry out, the recovery of a group that lost its majority for good',
      params: Params,
      body: Type.Object(
        { confirm: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })) },
        { additionalProperties: false },
      ),
      handler: async ({ params, body }) => {
        const id = known(params['id']);
        const { confirm } = body as { readonly confirm?: string };
        if (confirm === undefined) return { body: { plan: await replicas.recovery.plan(id) } };
        return { body: { group: id, recovered: await replicas.recovery.carryOut(id, confirm) } };
      },
    },
  ];
}
