// The metrics of the subsystem `resilience`, made of what is counted when somebody asks. Their number is bounded by that
// of policies, never by that of keys.

import type { BackpressureState, MetricValue } from '@datawarehouse/sdk';
import type { StrategyOptions } from '../engine/strategy.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import type { FormerTotals } from './former-totals.js';

/** Policies that have metrics of their own; of the others there are the totals, and `dw resilience show`. */
export const MEASURED_POLICIES = 64;

/** A policy with what is counted of it. */
export interface MeasuredPolicy {
  /** Of its strategies, as they are in force. */
  readonly options: readonly StrategyOptions[];
  readonly statistics: PolicyStatistics;
}

type Counters = PolicyStatistics['strategies'][number];

/** How full the bulkheads of some policies are. */
export class PressureOf {
  /** Of the fullest policy: calls inside, as a share of what its keys together may have. */
  readonly ratio: number;
  /** Calls that wait in a queue of any strategy. */
  readonly waiting: number;

  constructor(policies: readonly MeasuredPolicy[]) {
    let ratio = 0;
    let waiting = 0;
    for (const { options, statistics } of policies) {
      for (const [at, { type, counters }] of statistics.strategies.entries()) {
        if (type !== 'retry') waiting += counters['waiting'] ?? 0;
        const { concurrency = 0, dryRun } = options[at] as StrategyOptions & {
          readonly concurrency?: number;
        };
        // One on a dry run turns nobody away, however many are inside.
        if (type !== 'bulkhead' || concurrency === 0 || dryRun === true) continue;
        const places = concurrency * Math.max(1, statistics.keys);
        ratio = Math.max(ratio, (counters['inside'] ?? 0) / places);
      }
    }
    this.ratio = ratio;
    this.waiting = waiting;
  }
}

/** Every metric by name. */
export function resilienceMetrics(
  policies: readonly MeasuredPolicy[],
  former: FormerTotals,
  state: BackpressureState,
  own: Readonly<Record<string, number>> | undefined,
): ReadonlyMap<string, MetricValue> {
  const statistics = policies.map((policy) => policy.statistics);
  const totals = former.with(statistics);
  const pressure = new PressureOf(policies);
  const metrics = new Map<string, MetricValue>([
    ['cache.size', 0],
    ['cache.memoryBytes', 0],
    ['backpressure.state', state],
    ['backpressure.queueDepth', pressure.waiting],
    ['totalExecutions', totals.calls],
    ['successfulExecutions', totals.successes],
    ['failedExecutions', totals.failures],
    ['timedOutExecutions', totals.timeouts],
    ['rejectedExecutions', totals.rejections],
    ['cancelledExecutions', totals.cancelled],
    ['inFlight', totals.inFlight],
    ['successRate', rate(totals.successes, totals.successes + totals.failures)],
    ['retryAttempts', totals.retries],
    ['retryRate', rate(totals.retries, totals.calls)],
    ['retryBudget.refusals', totals.budgetRefusals],
    ['circuitBreakerTrips', totals.trips],
    ['bulkheadRejections', totals.bulkheadRejections],
    ['bulkhead.utilization', pressure.ratio],
    ['policies', statistics.length],
  ]);
  for (const [name, value] of Object.entries(own ?? {})) metrics.set(name, value);
  // Keys are this subsystem's cache: one that is there is a hit for every call but its first.
  const misses = (own?.['cache.size'] ?? 0) + (own?.['keys.evictions'] ?? 0);
  metrics.set('cache.hitRate', totals.calls === 0 ? 0 : Math.max(0, 1 - misses / totals.calls));
  addBreakers(metrics, statistics);
  for (const one of statistics.slice(0, MEASURED_POLICIES)) addPolicy(metrics, one);
  return metrics;
}

function addBreakers(metrics: Map<string, MetricValue>, statistics: readonly PolicyStatistics[]): void {
  const all = statistics.flatMap(({ strategies }) => strategies);
  const breakers = all.filter(({ type }) => type === 'circuit-breaker');
  const open = sum(breakers, 'open');
  const halfOpen = sum(breakers, 'halfOpen');
  const isolated = sum(breakers, 'isolated');
  metrics.set('activeCircuitBreakers', open + halfOpen + isolated);
  metrics.set('circuitBreaker.closedCount', sum(breakers, 'closed'));
  metrics.set('circuitBreaker.openCount', open);
  metrics.set('circuitBreaker.halfOpenCount', halfOpen);
  metrics.set('circuitBreaker.isolatedCount', isolated);
  metrics.set('activeBulkheads', all.filter(({ type }) => type === 'bulkhead').length);
}

function addPolicy(metrics: Map<string, MetricValue>, one: PolicyStatistics): void {
  const set = (metric: string, value: number): void => {
    metrics.set(`policy.${one.name}.${metric}`, value);
  };
  set('calls', one.calls);
  set('successRate', rate(one.successes, one.successes + one.failures));
  set('retryRate', rate(one.retries, one.calls));
  set('rejections', one.rejections);
  set('p50Ms', one.p50Ms);
  set('p95Ms', one.p95Ms);
  set('p99Ms', one.p99Ms);
  set('inFlight', one.inFlight);
  set('keys', one.keys);
  // How long the longest wait has lasted: what shows that calls of high priority starve the others.
  const oldest = one.strategies.flatMap(({ counters }) => counters['oldestWaitMs'] ?? []);
  if (oldest.length > 0) set('oldestWaitMs', Math.max(...oldest));
  const breakers = one.strategies.filter(({ type }) => type === 'circuit-breaker');
  if (breakers.length > 0) set('openCircuits', sum(breakers, 'open') + sum(breakers, 'isolated'));
  const budgets = one.strategies.filter(({ type, counters }) => type === 'retry' && hasBudget(counters));
  if (budgets.length > 0)
    set('retryBudgetLeft', Math.min(...budgets.map(({ counters }) => counters['budgetLeft'] ?? 0)));
}

function hasBudget(counters: Counters['counters']): boolean {
  return (counters['budgetLeft'] ?? -1) >= 0;
}

function sum(strategies: readonly Counters[], counter: string): number {
  return strategies.reduce((total, { counters }) => total + (counters[counter] ?? 0), 0);
}

/** A share; 1 for the success of nothing would hide that nothing happened, so it is 0. */
function rate(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
