// The subsystem `resilience`: its limits, which act at once, and its metrics. Calls are counted in plain fields; what is
// made of them here is made when somebody asks.

import type {
  BackpressureState,
  IScalableSubsystem,
  LimitDescriptors,
  MetricValue,
  ScalingLimits,
} from '@datawarehouse/sdk';
import { BackpressureMeter, LimitSet } from '@datawarehouse/sdk';
import type { PolicyAdaptations } from '../adaptive/policy-adaptations.js';
import type { StrategyOptions } from '../engine/strategy.js';
import type { PolicyDocument } from '../policy/document.js';
import type { ResilienceService } from '../policy/resilience-service.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import type { CircuitSharing } from '../sharing/circuit-sharing.js';
import type { EventReporter } from './event-reporter.js';
import { PressureOf, resilienceMetrics } from './resilience-metrics.js';
import type { MeasuredPolicy } from './resilience-metrics.js';
import { BYTES_PER_KEY, RESILIENCE_LIMITS } from './resilience-limits.js';
import type { ResilienceLimits } from './resilience-limits.js';
import { FormerTotals } from './former-totals.js';

/** What the manager shows and tunes. */
export interface ResilienceParts {
  readonly service: ResilienceService;
  readonly reporter: EventReporter;
  readonly sharing: CircuitSharing;
  readonly adaptations: PolicyAdaptations;
  /** Puts every policy in force again, as {@link ResilienceScalingManager.adjust} makes it now. */
  readonly readjust: () => void;
}

/** Limits that {@link ResilienceScalingManager.adjust} looks at. */
const ADJUSTING: readonly string[] = ['maxConcurrentOperations', 'maxQueueDepth'];

/** Limits and metrics of the policies of a node. */
export class ResilienceScalingManager implements IScalableSubsystem {
  readonly subsystemName = 'resilience';
  private readonly limits = new LimitSet(RESILIENCE_LIMITS, 'resilience');
  /** Of the most pressed bulkhead: a half is a warning, four fifths are critical, and a full one sheds. */
  private readonly meter = new BackpressureMeter({
    limit: 1,
    thresholds: { warning: 0.5, critical: 0.8, shedding: 1 },
  });
  private readonly former = new FormerTotals();
  private parts: ResilienceParts | undefined;

  constructor() {
    this.limits.onChanged(({ applied }) => {
      if (ADJUSTING.some((name) => name in applied)) this.parts?.readjust();
      this.tuneKeys();
    });
  }

  /** The limits in force, by name. */
  get current(): ResilienceLimits {
    return this.limits.current as unknown as ResilienceLimits;
  }

  get limitDescriptors(): LimitDescriptors {
    return this.limits.descriptors;
  }

  get currentLimits(): ScalingLimits {
    return this.limits.current;
  }

  get currentBackpressureState(): BackpressureState {
    return this.meter.update(new PressureOf(this.policies()).ratio);
  }

  /** Shows these parts from now on; undefined when the plugin stops. */
  show(parts: ResilienceParts | undefined): void {
    this.parts = parts;
    this.tuneKeys();
  }

  /** Keeps the totals of a policy that is removed, so that totals only grow. */
  retire(statistics: PolicyStatistics): void {
    this.former.add(statistics);
  }

  /**
   * What the limits make of a document: a bulkhead for which `given` names no concurrency has that of the limit, and no
   * queue is longer than the limit.
   */
  adjust(document: PolicyDocument, given: unknown): PolicyDocument {
    const named = (given as { readonly strategies?: readonly unknown[] } | null)?.strategies ?? [];
    const strategies = document.strategies.map((options, at) => this.adjusted(options, named[at]));
    return Object.freeze({ ...document, strategies: Object.freeze(strategies) });
  }

  async reconfigureLimitsAsync(
    limits: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<void> {
    signal?.throwIfAborted();
    this.limits.apply(limits);
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    const { parts } = this;
    if (parts === undefined) return resilienceMetrics([], this.former, this.meter.state, undefined);
    const policies = this.policies();
    const state = this.meter.update(new PressureOf(policies).ratio);
    const { size, limit, evictions, refusals } = parts.service.instances;
    const { lost, listenerFailures } = parts.service.events;
    const { sent, unsent, received, applied, stale, refused, ahead } = parts.sharing.counters();
    return resilienceMetrics(policies, this.former, state, {
      'cache.size': size,
      'cache.memoryBytes': size * BYTES_PER_KEY,
      'keys.limit': limit,
      'keys.evictions': evictions,
      'keys.refusals': refusals,
      'events.lost': lost,
      'events.untold': parts.reporter.untoldTotal,
      'events.listenerFailures': listenerFailures,
      'policies.adaptive': parts.adaptations.count,
      'sharing.sent': sent,
      'sharing.unsent': unsent,
      'sharing.received': received,
      'sharing.applied': applied,
      'sharing.stale': stale,
      'sharing.refused': refused,
      'sharing.refusedAhead': ahead,
    });
  }

  private policies(): readonly MeasuredPolicy[] {
    const policies = this.parts?.service.policies() ?? [];
    return policies.map((policy) => ({
      options: policy.strategies.map(({ options }) => options),
      statistics: policy.statistics(),
    }));
  }

  private adjusted(options: StrategyOptions, given: unknown): StrategyOptions {
    const { maxConcurrentOperations, maxQueueDepth } = this.current;
    const { queue } = options as { readonly queue?: number };
    const named = (given as { readonly concurrency?: unknown } | null)?.concurrency !== undefined;
    return Object.freeze({
      ...options,
      ...(options.type === 'bulkhead' && !named ? { concurrency: maxConcurrentOperations } : {}),
      ...(queue === undefined ? {} : { queue: Math.min(queue, maxQueueDepth) }),
    });
  }

  private tuneKeys(): void {
    const { maxCacheEntries, maxMemoryBytes } = this.current;
    const byMemory = Math.max(1, Math.floor(maxMemoryBytes / BYTES_PER_KEY));
    this.parts?.service.setMaxCacheEntries(Math.min(maxCacheEntries, byMemory));
  }
}
