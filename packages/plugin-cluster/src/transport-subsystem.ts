// The transport as a subsystem `peer-transport`: its limits, changed while it runs, and its metrics.

import { BackpressureMeter } from '@datawarehouse/sdk';
import type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from '@datawarehouse/sdk';
import { SUBSYSTEM, settingsOf } from './limits.js';
import type { TcpPeerTransport } from './tcp-peer-transport.js';

/** Limits and metrics of a transport. */
export class TransportSubsystem implements IScalableSubsystem {
  readonly subsystemName: string = SUBSYSTEM;
  readonly limitDescriptors: LimitDescriptors;
  /** Measures how full the fullest lane is, as a part of its limit. */
  private readonly meter = new BackpressureMeter({ limit: 1 });

  constructor(private readonly transport: TcpPeerTransport) {
    this.limitDescriptors = transport.limits.descriptors;
  }

  get currentLimits(): ScalingLimits {
    return this.transport.limits.current;
  }

  get currentBackpressureState(): BackpressureState {
    let fullest = 0;
    for (const link of this.transport.inspect().links.values()) {
      fullest = Math.max(fullest, link.budgets.control.fill, link.budgets.bulk.fill);
    }
    return this.meter.update(fullest);
  }

  async reconfigureLimitsAsync(
    limits: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<void> {
    signal?.throwIfAborted();
    this.transport.limits.apply(limits);
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    const { links, pools, inbound, listener } = this.transport.inspect();
    const { traffic, drops, memory, rejections } = this.transport.environment;
    const { maxConnectionsPerPeer } = settingsOf(this.transport.limits);
    const metrics = new Map<string, MetricValue>();
    let [queued, outbound, busy, connected, late, pending] = [0, 0, 0, 0, 0, 0];
    for (const [id, link] of links) {
      const { pool } = link;
      queued += link.budgets.control.messages + link.budgets.bulk.messages;
      outbound += pool?.size ?? 0;
      busy += pool?.busy ?? 0;
      connected += pool === undefined ? 0 : 1;
      late += link.pending.lateReplies;
      pending += link.pending.count('control') + link.pending.count('bulk');
      const rtt = link.rttStatistics();
      if (rtt === undefined) continue;
      metrics.set(`rtt.${id}.p50Ms`, rtt.p50Ms);
      metrics.set(`rtt.${id}.p99Ms`, rtt.p99Ms);
      metrics.set(`rtt.${id}.latestMs`, rtt.latestMs);
    }
    metrics.set('cache.size', pools.size);
    metrics.set('cache.hitRate', pools.hitRate);
    metrics.set('cache.memoryBytes', memory.bytes);
    metrics.set('backpressure.state', this.currentBackpressureState);
    metrics.set('backpressure.queueDepth', queued);
    metrics.set('peers.connected', connected);
    metrics.set('peers.configured', links.size);
    metrics.set('connections.outbound', outbound);
    metrics.set('connections.inbound', inbound.size);
    metrics.set('connections.handshaking', listener.pending);
    metrics.set('pool.busyConnections', busy);
    metrics.set('pool.utilization', connected === 0 ? 0 : outbound / (connected * maxConnectionsPerPeer));
    metrics.set('requests.pending', pending);
    metrics.set('requests.lateReplies', late);
    metrics.set('frames.in', traffic.framesIn);
    metrics.set('frames.out', traffic.framesOut);
    metrics.set('bytes.in', traffic.bytesIn);
    metrics.set('bytes.out', traffic.bytesOut);
    metrics.set('drops.disconnected', drops.disconnected);
    metrics.set('drops.queueFull', drops.queueFull);
    metrics.set('drops.unhandled', drops.unhandled);
    metrics.set('drops.overloaded', drops.overloaded);
    metrics.set('drops.handlerFailed', drops.handlerFailed);
    metrics.set('rejects.total', rejections.total);
    for (const [reason, count] of rejections.counts()) metrics.set(`rejects.${reason}`, count);
    return metrics;
  }
}
