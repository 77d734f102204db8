// The subsystem `consensus`: its limits, which the engine asks for at each use so that a change acts at once, and its
// metrics.

import type {
  BackpressureState,
  IPeerTransport,
  IScalableSubsystem,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from '@datawarehouse/sdk';
import { BackpressureMeter, LimitSet } from '@datawarehouse/sdk';
import type { ClientAccess } from '../client-port/client-access.js';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { GroupRouter } from '../groups/group-router.js';
import { isSystemGroup } from '../groups/directory/directory-types.js';
import type { GroupTable } from '../groups/group-table.js';
import type { KeyValueService } from '../groups/key-value-service.js';
import { KeyValueState } from '../state/key-value-state.js';
import type { NodeStorage } from '../storage/types.js';
import type { ConsensusLimits } from './consensus-limits.js';
import { CONSENSUS_LIMITS } from './consensus-limits.js';

/** What the metrics are read from, once the plugin runs. */
export interface ConsensusParts {
  readonly engine: MultiRaftEngine;
  readonly storage: NodeStorage;
  readonly router: GroupRouter;
  readonly store: KeyValueService;
  readonly transport: IPeerTransport;
  readonly groups: GroupTable;
  readonly clients: ClientAccess;
}

/** Limits and metrics of consensus. */
export class ConsensusScalingManager implements IScalableSubsystem {
  readonly subsystemName = 'consensus';
  private readonly limits = new LimitSet(CONSENSUS_LIMITS, 'consensus');
  private readonly meter = new BackpressureMeter({ limit: CONSENSUS_LIMITS.maxPendingProposals.default });
  private parts: ConsensusParts | undefined;

  constructor() {
    this.limits.onChanged(() => this.meter.setLimit(this.current.maxPendingProposals));
    // A changed election timeout acts now, not at the next look at the round-trip times.
    this.limits.onChanged(({ applied }) => {
      const timed = 'minElectionTimeoutMs' in applied || 'electionTimeoutMultiplier' in applied;
      if (timed) this.parts?.engine.followRoundTrips();
      if ('hotSegments' in applied || 'scrubBytesPerSecond' in applied) this.tuneStorage();
    });
  }

  /** The limits in force, by name. */
  get current(): ConsensusLimits {
    return this.limits.current as unknown as ConsensusLimits;
  }

  get limitDescriptors(): LimitDescriptors {
    return this.limits.descriptors;
  }

  get currentLimits(): ScalingLimits {
    return this.limits.current;
  }

  get currentBackpressureState(): BackpressureState {
    return this.meter.update(this.parts?.engine.budget.count ?? 0);
  }

  /** Shows these parts from now on; undefined when the plugin stops. */
  show(parts: ConsensusParts | undefined): void {
    this.parts = parts;
    this.tuneStorage();
  }

  private tuneStorage(): void {
    const { hotSegments, scrubBytesPerSecond } = this.current;
    this.parts?.storage.tune({ hotSegments, scrubBytesPerSecond });
  }

  async reconfigureLimitsAsync(
    limits: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<void> {
    signal?.throwIfAborted();
    this.limits.apply(limits);
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    const metrics = new Map<string, MetricValue>();
    const { parts } = this;
    metrics.set('backpressure.state', this.currentBackpressureState);
    metrics.set('backpressure.queueDepth', parts?.engine.budget.count ?? 0);
    let entries = 0;
    let bytes = 0;
    for (const group of parts?.engine.all() ?? []) {
      entries += group.storage.lastIndex() - group.storage.firstIndex() + 1;
      bytes += group.storage.logBytes;
    }
    // The log is the cache of what followers may still ask for: what it has let go is sent as a snapshot.
    const { appendsSent = 0, snapshotsSent = 0 } = parts?.engine.counters ?? {};
    metrics.set('cache.size', entries);
    metrics.set('cache.memoryBytes', bytes);
    metrics.set('cache.hitRate', appendsSent / Math.max(1, appendsSent + snapshotsSent));
    if (parts === undefined) return metrics;
    this.addEngine(metrics, parts);
    this.addGroups(metrics, parts);
    this.addRoundTrips(metrics, parts);
    this.addClients(metrics, parts);
    return metrics;
  }

  private addEngine(metrics: Map<string, MetricValue>, parts: ConsensusParts): void {
    const { engine, storage, router, store } = parts;
    const { reads, writes, underWay } = store.counters;
    const { outgoing, incoming, lostReplies } = router.forwards;
    metrics.set('groups.count', parts.groups.users().length);
    metrics.set('groups.local', engine.all().filter((group) => !isSystemGroup(group)).length);
    metrics.set('operations.underWay', underWay);
    metrics.set('operations.waitingForLeader', router.queueDepth);
    metrics.set('reads.total', reads);
    metrics.set('writes.total', writes);
    metrics.set('proposals.pending', engine.budget.count);
    metrics.set('proposals.pendingBytes', engine.budget.bytes);
    metrics.set('proposals.committed', engine.commitLatency.count);
    metrics.set('commit.p50Ms', engine.commitLatency.percentile(0.5));
    metrics.set('commit.p99Ms', engine.commitLatency.percentile(0.99));
    metrics.set('forwards.outgoing', outgoing);
    metrics.set('forwards.incoming', incoming);
    metrics.set('forwards.lostReplies', lostReplies);
    metrics.set('forwards.malformed', router.malformedFrames);
    metrics.set('election.timeoutMs', engine.electionTimeoutMs);
    metrics.set('engine.stalls', engine.counters.stalls);
    metrics.set('messages.lostFrames', engine.counters.lostFrames);
    metrics.set('messages.malformed', engine.counters.malformedFrames);
    metrics.set('snapshots.sent', engine.counters.snapshotsSent);
    metrics.set('disk.writes', engine.counters.diskWrites);
    metrics.set('disk.depth', engine.disk.depth);
    metrics.set('disk.pendingBytes', engine.disk.bytes);
    const disk = storage.statistics();
    metrics.set('disk.journalBytes', disk.journalBytes);
    metrics.set('disk.journalSyncs', disk.journalSyncs);
    metrics.set('disk.segmentBytes', disk.segmentBytes);
    metrics.set('disk.mappedSegments', disk.mappedSegments);
    metrics.set('disk.scrubbedBytes', disk.scrubbedBytes);
    metrics.set('disk.scrubFailures', disk.scrubFailures);
    metrics.set('disk.damagedGroups', storage.damagedGroups().length);
  }

  private addGroups(metrics: Map<string, MetricValue>, { engine }: ConsensusParts): void {
    let elections = 0;
    for (const group of engine.all()) {
      if (isSystemGroup(group)) continue;
      elections += group.elections;
      metrics.set(`group.${group.id}.leader`, group.leader ?? '');
      metrics.set(`group.${group.id}.nodes`, group.raft.conf.voters.length);
      metrics.set(`group.${group.id}.logEntries`, group.storage.lastIndex() - group.storage.firstIndex() + 1);
      metrics.set(`group.${group.id}.logBytes`, group.storage.logBytes);
      const { machine } = group.state;
      if (machine instanceof KeyValueState) metrics.set(`group.${group.id}.keys`, machine.size);
      metrics.set(`group.${group.id}.elections`, group.elections);
      metrics.set(`group.${group.id}.snapshots`, group.snapshots.taken);
      metrics.set(`group.${group.id}.droppedAppends`, group.droppedAppends);
    }
    metrics.set('elections.total', elections);
  }

  private addClients(metrics: Map<string, MetricValue>, { clients }: ConsensusParts): void {
    const { counters } = clients;
    if (counters === undefined) return;
    metrics.set('clients.connections', counters.connections);
    metrics.set('clients.accepted', counters.accepted);
    metrics.set('clients.requests', counters.requests);
    metrics.set('clients.cutOff', counters.cutOff);
  }

  private addRoundTrips(metrics: Map<string, MetricValue>, { transport }: ConsensusParts): void {
    let p50 = 0;
    let p99 = 0;
    for (const { rtt } of transport.peers()) {
      if (rtt === undefined) continue;
      p50 = Math.max(p50, rtt.p50Ms);
      p99 = Math.max(p99, rtt.p99Ms);
    }
    metrics.set('rtt.p50Ms', p50);
    metrics.set('rtt.p99Ms', p99);
  }
}
