// Metrics of every subsystem and of the bus as gauges and counters.

import type { BusStatistics, MetricValue } from '@datawarehouse/sdk';
import { metricName } from './metrics-text.js';
import type { Metric } from './metrics-text.js';

/** A subsystem that makes metric names without end must not make the page so. */
const MAX_METRICS_EACH = 1_000;

/** `dw_<subsystem>_<metric>`, numbers only; texts are on `/v1/scaling`. */
export function scalingMetrics(
  subsystems: Readonly<Record<string, Readonly<Record<string, MetricValue>>>>,
): Metric[] {
  return Object.entries(subsystems).flatMap(([subsystem, metrics]) =>
    Object.entries(metrics)
      .filter((pair): pair is [string, number] => typeof pair[1] === 'number')
      .slice(0, MAX_METRICS_EACH)
      .map(([metric, value]) => ({
        name: metricName('dw', subsystem, metric),
        help: `${metric} of ${subsystem}`,
        type: 'gauge' as const,
        samples: [{ value }],
      })),
  );
}

/** Counters of the message bus. */
export function busMetrics(bus: BusStatistics): Metric[] {
  const counters = ['published', 'delivered', 'failed', 'dropped', 'rejected'] as const;
  return [
    ...counters.map((name) => ({
      name: `dw_bus_messages_${name}_total`,
      help: `Messages ${name} on the bus`,
      type: 'counter' as const,
      samples: [{ value: bus[name] }],
    })),
    ...(['subscriptions', 'queued'] as const).map((name) => ({
      name: `dw_bus_messages_${name}`,
      help: name === 'queued' ? 'Messages waiting in all subscriptions' : 'Subscriptions on the bus',
      type: 'gauge' as const,
      samples: [{ value: bus[name] }],
    })),
  ];
}
