// The host's own part of the HTTP API. It stands in the same route table as the routes of plugins, owner `host`.

import type { IMessageBus, IScalableSubsystem, RouteDefinition } from '@datawarehouse/sdk';
import type { HttpServerStatistics } from '../http/http-server.js';
import { HOST_OWNER } from '../http/route-table.js';
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
  readonly http: {
    readonly statistics: HttpServerStatistics;
    readonly underWay: number;
    readonly subsystem: IScalableSubsystem;
    whyUnserved: (() => string | undefined) | undefined;
    /** What is done before the first request. */
    beforeListen(prepare: () => Promise<void>): void;
  };
  readonly node: { readonly nodeId: string; readonly clusterId: string; readonly version: string };
}

/** Plugins that may yet serve what nobody serves now. One that is off by configuration is not among them. */
function whyUnserved(plugins: PluginAdmin): string | undefined {
  const { ready, reasons } = plugins.readiness();
  if (!ready) return `the node is not ready (${reasons.slice(0, 3).join('; ')})`;
  const inactive = plugins.list().find(({ state }) => state !== 'active' && state !== 'disabled');
  return inactive && `${inactive.id} is ${inactive.state}`;
}

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
  options.http.whyUnserved = () => whyUnserved(options.plugins);
  let limits: Disposable | undefined;
  options.http.beforeListen(async () => {
    limits = await options.limits.register(HOST_OWNER, options.http.subsystem);
  });
  return {
    [Symbol.dispose]: () => {
      options.http.whyUnserved = () => 'the node is stopping';
      limits?.[Symbol.dispose]();
      for (const route of added.toReversed()) route[Symbol.dispose]();
    },
  };
}
