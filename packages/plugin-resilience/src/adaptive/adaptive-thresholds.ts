// Moves thresholds of policies by themselves: looks at what breakers and latencies have done, every half minute, and
// configures strategies in place, so that an open breaker stays open and calls inside go on counting. Costs calls
// nothing: what it reads is counted anyway. Off unless asked for.

import type { Clock, IMessageBus, Logger, ResilienceEvent, ResilienceListener } from '@datawarehouse/sdk';
import type { TimerHandle } from '@datawarehouse/sdk';
import { ResilienceAdapted } from '@datawarehouse/sdk';
import type { Strategy } from '../engine/strategy.js';
import { BulkheadStrategy } from '../strategies/bulkhead/bulkhead-strategy.js';
import { CircuitBreakerStrategy } from '../strategies/circuit-breaker/circuit-breaker-strategy.js';
import type { AdaptiveOptions } from './adaptive-options.js';
import type { AdaptiveStep, BreakerMemory } from './breaker-adaptation.js';
import { NEW_BREAKER, adaptBreaker } from './breaker-adaptation.js';
import type { BulkheadMemory } from './concurrency-adaptation.js';
import { NEW_BULKHEAD, adaptConcurrency } from './concurrency-adaptation.js';
import { RecoveryTimes } from './recovery-times.js';

/** Intervals that the sliding window of error rates reaches back. */
const WINDOW_INTERVALS = 2;

/** A policy as its thresholds are moved. */
export interface AdaptivePolicy {
  readonly name: string;
  /** The strategies in force. One that is replaced begins anew. */
  readonly strategies: readonly Strategy[];
  /** Calls of the last minute or so, and their P99. */
  statistics(): { readonly samples: number; readonly p99Ms: number };
}

/** A threshold that was moved. */
export type AdaptedEvent = Extract<ResilienceEvent, { kind: 'adapted' }>;

/** What {@link AdaptiveThresholds} is made of. */
export interface AdaptiveThresholdsOptions {
  readonly clock: Clock;
  readonly options: AdaptiveOptions;
  /** The policies whose thresholds may be moved, asked for each time. */
  readonly policies: () => Iterable<AdaptivePolicy>;
  /** Where transitions are heard of, for recovery times. */
  readonly events: { listen(listener: ResilienceListener): Disposable };
  /** Told of each step, with the reason in words. */
  readonly report: (event: AdaptedEvent) => void;
  readonly bus?: Pick<IMessageBus, 'publish'> | undefined;
  readonly log?: Pick<Logger, 'info'> | undefined;
}

/** Calls of a breaker that came to an end, since it was made, at a moment. */
interface Counted {
  readonly at: number;
  readonly failed: number;
  readonly total: number;
}

interface BreakerRecord {
  memory: BreakerMemory;
  /** What was counted at the last looks, oldest first. */
  readonly looks: Counted[];
}

/** Moves thresholds from when it is made until it is disposed of. */
export class AdaptiveThresholds implements Disposable {
  private options: AdaptiveOptions;
  private readonly recoveries = new RecoveryTimes();
  /** By strategy, so that one that is gone takes its record with it. */
  private readonly breakers = new WeakMap<CircuitBreakerStrategy, BreakerRecord>();
  private readonly bulkheads = new WeakMap<BulkheadStrategy, BulkheadMemory>();
  private timer: TimerHandle | undefined;
  private listening: Disposable | undefined;

  constructor(private readonly given: AdaptiveThresholdsOptions) {
    this.options = given.options;
    this.begin();
  }

  /** Puts other options in force. What is known stays known. */
  reconfigure(options: AdaptiveOptions): void {
    this[Symbol.dispose]();
    this.options = options;
    this.begin();
  }

  [Symbol.dispose](): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.listening?.[Symbol.dispose]();
    this.listening = undefined;
  }

  private begin(): void {
    if (!this.options.enabled) return;
    const { clock, events } = this.given;
    this.timer = clock.setInterval(() => void this.adapt(), this.options.intervalMs);
    this.listening = events.listen((event) => {
      if (event.kind === 'circuit-changed') this.recoveries.heard(event, clock.now());
    });
  }

  /** Looks at every policy once and moves what should be. @returns what was moved. */
  adapt(): readonly AdaptedEvent[] {
    const moved: AdaptedEvent[] = [];
    for (const policy of this.given.policies()) moved.push(...this.adaptPolicy(policy));
    this.recoveries.clear();
    for (const event of moved) this.tell(event);
    return moved;
  }

  private adaptPolicy(policy: AdaptivePolicy): readonly AdaptedEvent[] {
    const moved: AdaptedEvent[] = [];
    let failing = false;
    const did = (strategy: string, step: AdaptiveStep): void => {
      moved.push({ kind: 'adapted', policy: policy.name, strategy, ...step });
    };
    for (const strategy of policy.strategies) {
      if (!(strategy instanceof CircuitBreakerStrategy)) continue;
      const { steps, memory } = this.lookAtBreaker(policy.name, strategy);
      if ((memory.errorRate ?? 0) > this.options.criticalErrorRate) failing = true;
      for (const step of steps) did(strategy.name, step);
    }
    for (const strategy of policy.strategies) {
      if (!(strategy instanceof BulkheadStrategy)) continue;
      const step = this.lookAtBulkhead(policy, strategy, failing);
      if (step !== undefined) did(strategy.options.name ?? strategy.type, step);
    }
    return moved;
  }

  private lookAtBreaker(
    policy: string,
    strategy: CircuitBreakerStrategy,
  ): { readonly memory: BreakerMemory; readonly steps: readonly AdaptiveStep[] } {
    const { failed, succeeded } = strategy.tally;
    const now: Counted = { at: this.given.clock.now(), failed, total: failed + succeeded };
    const record = this.breakers.get(strategy) ?? { memory: NEW_BREAKER, looks: [] };
    this.breakers.set(strategy, record);
    const { looks } = record;
    // What happened while nobody looked is of no window: neither before the first look, nor while this was off.
    const reach = now.at - (WINDOW_INTERVALS + 0.5) * this.options.intervalMs;
    while (looks[0] !== undefined && looks[0].at < reach) looks.shift();
    const oldest = looks[0] ?? now;
    // Of a window in which nothing happened lately nothing new is concluded.
    const fresh = now.total > (looks.at(-1) ?? now).total;
    looks.push(now);
    if (looks.length > WINDOW_INTERVALS) looks.shift();
    const reading = {
      samples: fresh ? now.total - oldest.total : 0,
      failed: now.failed - oldest.failed,
      recoveries: this.recoveries.take(policy, strategy.name),
    };
    const { window, breakMs } = strategy.options;
    const failures = window.kind === 'consecutive' ? window.failures : undefined;
    const adapted = adaptBreaker(record.memory, reading, { failures, breakMs }, this.options);
    record.memory = adapted.memory;
    for (const step of adapted.steps) configureBreaker(strategy, step);
    return adapted;
  }

  private lookAtBulkhead(
    policy: AdaptivePolicy,
    strategy: BulkheadStrategy,
    failing: boolean,
  ): AdaptiveStep | undefined {
    const { samples, p99Ms } = policy.statistics();
    const before = this.bulkheads.get(strategy) ?? NEW_BULKHEAD;
    const { concurrency } = strategy.options;
    const { memory, step } = adaptConcurrency(before, { samples, p99Ms, failing }, concurrency, this.options);
    this.bulkheads.set(strategy, memory);
    if (step !== undefined) strategy.configure({ ...strategy.options, concurrency: step.current });
    return step;
  }

  private tell(event: AdaptedEvent): void {
    const { kind: _kind, ...payload } = event;
    const { report, log, bus } = this.given;
    report(event);
    log?.info(payload, `moved ${event.limit} of policy ${event.policy}: ${event.reason}`);
    bus?.publish(ResilienceAdapted, payload);
  }
}

/** In place: the breakers of all keys go on as they are. */
function configureBreaker(strategy: CircuitBreakerStrategy, step: AdaptiveStep): void {
  const { options } = strategy;
  if (step.limit === 'breakMs') strategy.configure({ ...options, breakMs: step.current });
  else if (step.limit === 'failures' && options.window.kind === 'consecutive') {
    strategy.configure({ ...options, window: { ...options.window, failures: step.current } });
  }
}
