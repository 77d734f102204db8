// The host's own part of the HTTP API. It stands in the same route table as the routes of plugins, owner `host`.

import type { IMessageBus, RouteDefinition } from '@datawarehouse/sdk';
import type { HttpServerStatistics } from '../http/http-server.js';
import type { RouteTable } from '../http/route-table.js';
import type { PluginAdmin } from '../kernel/plugin-admin.js';
import type { LimitsService } from '../limits/limits-service.js';
import { busRoutes } from './bus-routes.js';
import { healthRoutes } from './health-routes.js';
import { limitsRoutes } from './limits-routes.js';
import { metricsRoute } from './metrics-route.js';
import { openApiRoute } from './open-api.js';
import { pluginRoutes } from './plugin-routes.js';

/** What the host's routes stand on. */
export interface AdminOptions {
  readonly routes: RouteTable;
  readonly plugins: PluginAdmin;
  readonly limits: LimitsService;
  /** The bus under the sender `http`. */
  readonly bus: IMessageBus;
  /** Counters of the HTTP server, and how many requests are under way. */
  readonly http: { readonly statistics: HttpServerStatistics; readonly underWay: number };
  readonly node: { readonly nodeId: string; readonly clusterId: string; readonly version: string };
}

/** Name of the owner of the host's own routes. */
export const HOST_OWNER = 'host';

/** Adds the host's routes. Disposing of what it returns takes them away. */
export function registerAdminRoutes(options: AdminOptions): Disposable {
  const definitions: RouteDefinition[] = [
    ...healthRoutes(options),
    metricsRoute(options),
    openApiRoute(options.routes, options.node.version),
    ...pluginRoutes(options.plugins),
    ...limitsRoutes(options.limits),
    ...busRoutes(options.bus),
  ];
  const added = definitions.map((route) => options.routes.add(HOST_OWNER, route, (fn) => fn()));
  return {
    [Symbol.dispose]: () => {
      for (const route of added.toReversed()) route[Symbol.dispose]();
    },
  };
}
