// What plugins may know of their node, from its configuration.

import { createRequire } from 'node:module';
import type { NodeInfo } from '@datawarehouse/sdk';
import type { NodeConfig } from '../config/node-config.js';
import { tokenCheck } from '../http/bearer-token.js';

/** Version of the host's package. */
export const HOST_VERSION = (
  createRequire(import.meta.url)('../../package.json') as { readonly version: string }
).version;

/** The node as plugins see it. `httpUrl` is known once the HTTP listener is open. */
export function nodeInfoOf(config: NodeConfig, httpUrl: string): NodeInfo {
  const { nodeId, clusterId, http, peer, client, peers, joins } = config;
  return Object.freeze({
    nodeId,
    clusterId,
    version: HOST_VERSION,
    httpUrl,
    peer: Object.freeze({ ...peer }),
    client: Object.freeze({
      ...client,
      ...(http.tls && { tls: Object.freeze({ ...http.tls }) }),
      ...(http.token !== undefined && { authorize: tokenCheck(http.token) }),
    }),
    peers: Object.freeze({ ...peers }),
    joins,
  });
}
