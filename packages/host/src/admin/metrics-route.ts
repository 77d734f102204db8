// `GET /metrics`: everything this process counts, for Prometheus.

import type { Registry } from 'prom-client';
import type { RouteDefinition } from '@datawarehouse/sdk';
import { httpMetrics } from '../metrics/http-metrics.js';
import { metricsText } from '../metrics/metrics-text.js';
import { busMetrics, scalingMetrics } from '../metrics/scaling-metrics.js';
import type { AdminOptions } from './admin-routes.js';

/** Metrics of the process. prom-client is loaded at the first question, to keep it out of the start. */
let processMetrics: Promise<Registry> | undefined;

async function startProcessMetrics(): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** The route. */
export function metricsRoute(options: AdminOptions): RouteDefinition {
  return {
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics in the Prometheus text format',
    handler: async () => {
      processMetrics ??= startProcessMetrics().catch((thrown: unknown) => {
        // Asked again next time, rather than failing for ever.
        processMetrics = undefined;
        throw thrown;
      });
      const registry = await processMetrics;
      const own = metricsText([
        ...httpMetrics(options.http.statistics, options.http.underWay, options.routes.allStatistics()),
        ...busMetrics(options.bus.statistics()),
        ...scalingMetrics(options.limits.metrics()),
      ]);
      return {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
        body: own + (await registry.metrics()),
      };
    },
  };
}
