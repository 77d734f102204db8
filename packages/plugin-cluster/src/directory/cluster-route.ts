// GET /v1/cluster: the members of the cluster as this node sees them.

import { Type } from '@datawarehouse/sdk';
import type { IClusterDirectory, RouteDefinition } from '@datawarehouse/sdk';

const Unknown = Type.Null({ description: 'not known before the first contact' });

const ClusterView = Type.Object({
  nodes: Type.Array(
    Type.Object({
      id: Type.String(),
      http: Type.Union([Type.String(), Unknown]),
      peer: Type.String(),
      state: Type.Union([
        Type.Literal('alive'),
        Type.Literal('suspected'),
        Type.Literal('left'),
        Type.Literal('unreachable'),
      ]),
      version: Type.Union([Type.String(), Unknown]),
      pid: Type.Union([Type.Integer(), Unknown]),
    }),
  ),
});

/** The route that shows a directory. */
export function clusterRoute(directory: IClusterDirectory): RouteDefinition {
  return {
    method: 'GET',
    path: '/v1/cluster',
    summary: 'The members of the cluster as this node sees them',
    responses: { 200: ClusterView },
    handler: () => ({
      body: {
        nodes: directory.nodes().map(({ id, http, peer, state, version, pid }) => ({
          id,
          http: http ?? null,
          peer,
          state,
          version: version ?? null,
          pid: pid ?? null,
        })),
      },
    }),
  };
}
