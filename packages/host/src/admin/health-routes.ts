// Whether the process is alive, and whether the node is ready to serve. Both are asked by machines, often, and
// without a token.

import { STATUS_CODES } from 'node:http';
import { Type } from '@datawarehouse/sdk';
import type { RouteDefinition } from '@datawarehouse/sdk';
import { PROBLEM_TYPE } from '../http/problem.js';
import type { AdminOptions } from './admin-routes.js';

const Alive = Type.Object({
  status: Type.Literal('alive'),
  nodeId: Type.String(),
  clusterId: Type.String(),
  version: Type.String(),
  pid: Type.Integer(),
  uptimeSeconds: Type.Number(),
});
const Ready = Type.Object({ ready: Type.Boolean(), reasons: Type.Array(Type.String()) });

/** `GET /healthz` and `GET /readyz`. */
export function healthRoutes({ node, plugins }: Pick<AdminOptions, 'node' | 'plugins'>): RouteDefinition[] {
  return [
    {
      method: 'GET',
      path: '/healthz',
      summary: 'Whether the process is alive',
      responses: { 200: Alive },
      handler: () => ({
        headers: { 'cache-control': 'no-store' },
        body: { status: 'alive', ...node, pid: process.pid, uptimeSeconds: Math.round(process.uptime()) },
      }),
    },
    {
      method: 'GET',
      path: '/readyz',
      summary: 'Whether the node is ready to serve, and if not, why',
      responses: { 200: Ready },
      handler: () => {
        const { ready, reasons } = plugins.readiness();
        const headers = { 'cache-control': 'no-store' };
        if (ready) return { headers, body: { ready, reasons } };
        return {
          status: 503,
          headers: { ...headers, 'content-type': PROBLEM_TYPE, 'retry-after': '1' },
          body: {
            type: 'urn:datawarehouse:error:not-ready',
            title: STATUS_CODES[503],
            status: 503,
            detail: `${node.nodeId} is not ready: ${reasons.join('; ')}`,
            code: 'not-ready',
            retryable: true,
            ready,
            reasons,
          },
        };
      },
    },
  ];
}
