// The cluster's directory over HTTP: who the nodes are, and how one joins.

import type { RouteDefinition } from '@datawarehouse/sdk';
import { Type } from '@datawarehouse/sdk';
import { requestInvalid } from '../errors.js';
import { checkAddresses, checkId } from '../groups/directory/check-directory.js';
import type { ClusterService } from '../groups/directory/cluster-service.js';
import { directoryRefused } from '../groups/directory/directory-errors.js';

const Address = Type.String({ minLength: 1, maxLength: 512 });
const Nullable = Type.Union([Address, Type.Null()]);
const Node = Type.Object({
  id: Type.String(),
  peer: Address,
  http: Nullable,
  client: Nullable,
  state: Type.Union([Type.Literal('new'), Type.Literal('member'), Type.Literal('retiring')]),
});
const Joined = Type.Object({
  clusterId: Type.String(),
  nodeId: Type.String(),
  nodes: Type.Array(Type.Object({ id: Type.String(), peer: Address, http: Nullable })),
  groups: Type.Integer({ description: 'groups of the cluster that hold keys' }),
  votersPerGroup: Type.Integer(),
});

const Retired = Type.Object({
  nodeId: Type.String(),
  state: Type.Union([Type.Literal('retired'), Type.Literal('retiring')]),
});
/** Shorter than any handler may take; after that who asked looks at the directory. */
const RETIRE_WAIT_MS = 60_000;

/** The routes of the directory. */
export function clusterRoutes(service: ClusterService, clusterId: string): readonly RouteDefinition[] {
  return [
    {
      method: 'GET',
      path: '/v1/cluster/directory',
      summary: 'The nodes and groups of the cluster, as the directory that this node has names them',
      responses: {
        200: Type.Object({
          version: Type.Integer(),
          standing: Type.Union([Type.Literal('joining'), Type.Literal('member'), Type.Literal('retired')]),
          votersPerGroup: Type.Integer(),
          nodes: Type.Array(Node),
          groups: Type.Array(
            Type.Object({ id: Type.String(), machine: Type.String(), voters: Type.Array(Type.String()) }),
          ),
        }),
      },
      handler: () => {
        const { version, votersPerGroup, nodes, groups } = service.view;
        return {
          body: {
            version,
            standing: service.standing,
            votersPerGroup,
            nodes: nodes.map(({ id, peer, http, client, state }) => ({ id, peer, http, client, state })),
            groups: groups.map(({ id, machine, voters }) => ({ id, machine, voters })),
          },
        };
      },
    },
    {
      method: 'POST',
      path: '/v1/cluster/join',
      summary: 'Make a node a member of the cluster, before it is started; any node takes it',
      body: Type.Object(
        {
          nodeId: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
          peer: Address,
          http: Address,
          client: Type.Optional(Address),
        },
        { additionalProperties: false },
      ),
      responses: { 200: Joined },
      handler: async ({ body, signal }) => ({ body: await join(service, clusterId, body, signal) }),
    },
    {
      method: 'POST',
      path: '/v1/cluster/retire',
      summary:
        'Take a node out of the cluster: another one gets its place in each group, or it goes without, and is removed',
      body: Type.Object(
        { nodeId: Type.String({ minLength: 1, maxLength: 64 }) },
        { additionalProperties: false },
      ),
      responses: { 200: Retired, 202: Retired },
      handler: async ({ body, signal }) => {
        const id = checkId((body as { readonly nodeId: string }).nodeId, 'nodeId');
        const state = await service.retireNode(id, RETIRE_WAIT_MS, signal);
        return { status: state === 'retired' ? 200 : 202, body: { nodeId: id, state } };
      },
    },
  ];
}

async function join(service: ClusterService, clusterId: string, body: unknown, signal?: AbortSignal) {
  const { nodeId, ...given } = body as {
    readonly nodeId?: string;
    readonly peer: string;
    readonly http: string;
    readonly client?: string;
  };
  const id = nodeId === undefined ? null : checkId(nodeId, 'nodeId');
  const addresses = checkAddresses(given);
  if (addresses.peer.endsWith(':0') || addresses.http?.endsWith(':0') === true) {
    throw requestInvalid('A node that joins needs ports that others can dial', 'give ports from 1 to 65535');
  }
  const answer = await service.submit({ op: 'join', id, ...addresses }, signal);
  if (!answer.ok) throw directoryRefused(answer.code, answer.detail);
  const { nodes, votersPerGroup } = service.view;
  const joined = answer.node ?? { id: id ?? '', ...addresses };
  const others = nodes.filter((node) => node.id !== joined.id);
  return {
    clusterId,
    nodeId: joined.id,
    nodes: [...others, joined].map(({ id: other, peer, http }) => ({ id: other, peer, http })),
    groups: service.table.keyGroups().length,
    votersPerGroup,
  };
}
