// The HTTP server's counters as metrics.

import type { HttpServerStatistics } from '../http/http-server.js';
import { LATENCY_EDGES_MS } from '../http/route-statistics.js';
import type { RouteStatistics } from '../http/route-statistics.js';
import type { Metric, Sample } from './metrics-text.js';

const STATUS_CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

function counter(name: string, help: string, value: number): Metric {
  return { name, help, type: 'counter', samples: [{ value }] };
}

function labelsOf(template: string): Record<string, string> {
  const [method = '', route = ''] = template.split(' ', 2);
  return { method, route };
}

function latencySamples(template: string, statistics: RouteStatistics): Sample[] {
  const labels = labelsOf(template);
  let below = 0;
  const buckets = LATENCY_EDGES_MS.map((edge, index) => {
    below += statistics.buckets[index] ?? 0;
    return { suffix: '_bucket', labels: { ...labels, le: String(edge / 1_000) }, value: below };
  });
  return [
    ...buckets,
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: statistics.count },
    { suffix: '_sum', labels, value: statistics.totalMs / 1_000 },
    { suffix: '_count', labels, value: statistics.count },
  ];
}

/** Counters of the server and of each route that has answered anything. */
export function httpMetrics(
  server: HttpServerStatistics,
  underWay: number,
  routes: ReadonlyMap<string, RouteStatistics>,
): Metric[] {
  const used = [...routes].filter(([, statistics]) => statistics.count > 0);
  return [
    {
      name: 'dw_http_responses_total',
      help: 'Answers by route and class of status; aborted: the client went away',
      type: 'counter',
      samples: used.flatMap(([template, { byStatusClass }]) =>
        STATUS_CLASSES.flatMap((status, index) => {
          const value = byStatusClass[index] ?? 0;
          return value === 0 ? [] : [{ labels: { ...labelsOf(template), status }, value }];
        }),
      ),
    },
    {
      name: 'dw_http_response_seconds',
      help: 'Time from the head of a request to its answer, by route',
      type: 'histogram',
      samples: used.flatMap(([template, statistics]) => latencySamples(template, statistics)),
    },
    {
      name: 'dw_http_requests_under_way',
      help: 'Requests being answered now',
      type: 'gauge',
      samples: [{ value: underWay }],
    },
    counter('dw_http_requests_total', 'Requests received', server.requests),
    counter('dw_http_overloaded_total', 'Requests refused because too much was under way', server.overloaded),
    counter('dw_http_unauthorized_total', 'Requests without the right token', server.unauthorized),
    counter(
      'dw_http_slow_readers_total',
      'Streams cut off because their reader did not read',
      server.slowReaders,
    ),
    counter(
      'dw_http_connections_dropped_total',
      'Connections closed because there were too many',
      server.connectionsDropped,
    ),
    counter(
      'dw_http_client_errors_total',
      'Connections that did not speak HTTP, or too slowly',
      server.clientErrors,
    ),
  ];
}
