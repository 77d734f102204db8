// The Raft groups over HTTP: how each stands, and what an operator can ask of it.

import type { RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { groupUnknown } from '../errors.js';
import type { GroupTable } from '../groups/group-table.js';
import { GroupView, type GroupViewer, describeGroup } from './group-view.js';
import { memberRoutes } from './member-routes.js';

const Params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) });

/** The routes of the groups. */
export function groupRoutes(viewer: GroupViewer, groups: GroupTable): readonly RouteDefinition[] {
  const { router } = viewer;
  const known = (id: string | undefined): string => {
    if (id !== undefined && groups.get(id) !== undefined) return id;
    throw groupUnknown(id ?? '');
  };
  return [
    {
      method: 'GET',
      path: '/v1/groups',
      summary: 'The Raft groups as this node sees them',
      query: Type.Object({
        system: Type.Optional(
          Type.Union([Type.Literal('true'), Type.Literal('false')], {
            description:
              '`true` shows the groups of the machinery, too, such as the directory of the cluster',
          }),
        ),
      }),
      responses: { 200: Type.Array(GroupView) },
      handler: async ({ query }) => {
        const shown = query['system'] === 'true' ? groups.all() : groups.users();
        return { body: await Promise.all(shown.map((placement) => describeGroup(viewer, placement))) };
      },
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
    ...memberRoutes(viewer.replicas, known),
  ];
}
