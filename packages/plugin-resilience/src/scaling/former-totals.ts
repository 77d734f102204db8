// The counts of policies that were removed, so that the totals of a node only grow.

import type { PolicyStatistics } from '../stats/policy-stats.js';

/** Counts that add up over policies. */
export interface Totals {
  calls: number;
  successes: number;
  failures: number;
  timeouts: number;
  rejections: number;
  cancelled: number;
  retries: number;
  inFlight: number;
  trips: number;
  bulkheadRejections: number;
  budgetRefusals: number;
}

/** Adds policies up. */
export class FormerTotals {
  readonly sum: Totals = {
    calls: 0,
    successes: 0,
    failures: 0,
    timeouts: 0,
    rejections: 0,
    cancelled: 0,
    retries: 0,
    inFlight: 0,
    trips: 0,
    bulkheadRejections: 0,
    budgetRefusals: 0,
  };

  /** A policy is gone; its calls under way are not followed any more. */
  add(statistics: PolicyStatistics): void {
    addTo(this.sum, statistics);
    this.sum.inFlight = 0;
  }

  /** These counts and those of policies that are there. */
  with(statistics: readonly PolicyStatistics[]): Totals {
    const totals = { ...this.sum };
    for (const one of statistics) addTo(totals, one);
    return totals;
  }
}

function addTo(totals: Totals, one: PolicyStatistics): void {
  totals.calls += one.calls;
  totals.successes += one.successes;
  totals.failures += one.failures;
  totals.timeouts += one.timeouts;
  totals.rejections += one.rejections;
  totals.cancelled += one.cancelled;
  totals.retries += one.retries;
  totals.inFlight += one.inFlight;
  for (const { type, counters } of one.strategies) {
    if (type === 'circuit-breaker') totals.trips += counters['opened'] ?? 0;
    if (type === 'bulkhead') totals.bulkheadRejections += counters['rejected'] ?? 0;
    if (type === 'retry') totals.budgetRefusals += counters['budgetExhausted'] ?? 0;
  }
}
