// The policies of this node by name: what plugins call through, and what operators see, set and remove.

import type {
  Clock,
  IResilience,
  ResilienceAction,
  ResilienceCallOptions,
  ResilienceHealthInfo,
  ResilienceListener,
} from '@datawarehouse/sdk';
import { nextTurn } from '@datawarehouse/sdk';
import type { CircuitLayer } from '../engine/circuit.js';
import { CallsUnderWay } from '../engine/calls-under-way.js';
import { EventSink } from '../engine/events.js';
import { policiesExhausted, policyUnknown, resilienceStopped, resilienceStopping } from '../errors.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import { InstanceRegistry } from './instances.js';
import { Policy } from './policy.js';
import type { PolicyDocument } from './document.js';
import type { PolicyView } from './policy-view.js';
import type { StrategyTable } from './strategy-table.js';

/** Policies are written by people; more than this are made by a program that runs away. */
const MAX_POLICIES = 1_000;
const DEFAULT_MAX_CACHE_ENTRIES = 10_000;

/** Calls that one turn of the event loop gives up when the service stops. Telling an action takes up to 30 µs. */
const STOP_SLICE = 128;

/** What a {@link ResilienceService} is made of. */
export interface ResilienceServiceOptions {
  readonly clock: Clock;
  /** The classes of the strategies. */
  readonly strategies: StrategyTable;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
  /** Instances, one for each (policy, key), over all policies. Default 10 000. */
  readonly maxCacheEntries?: number;
  /** Told what a listener threw. Default: it is counted only. */
  readonly listenerFailed?: (message: string) => void;
}

/** The resilience policies of this node. */
export class ResilienceService implements IResilience {
  /** Where strategies report to; its counters are for metrics. */
  readonly events: EventSink;
  private readonly registry: InstanceRegistry;
  private readonly underWay = new CallsUnderWay();
  private readonly byName = new Map<string, Policy>();
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly table: StrategyTable;

  constructor(options: ResilienceServiceOptions) {
    this.clock = options.clock;
    this.table = options.strategies;
    this.random = options.random ?? Math.random;
    this.events = new EventSink(options.listenerFailed ?? (() => {}));
    this.registry = new InstanceRegistry(this.clock, options.maxCacheEntries ?? DEFAULT_MAX_CACHE_ENTRIES);
  }

  policy(name: string): Policy {
    const policy = this.byName.get(name);
    if (policy === undefined) throw this.unknown(name);
    return policy;
  }

  policies(): readonly Policy[] {
    return [...this.byName.values()];
  }

  execute<T>(
    policyName: string,
    action: ResilienceAction<T>,
    options?: AbortSignal | ResilienceCallOptions,
  ): Promise<T> {
    const policy = this.byName.get(policyName);
    if (policy === undefined) {
      return Promise.reject(this.underWay.closed ? resilienceStopping() : this.unknown(policyName));
    }
    return policy.execute(action, options);
  }

  wrap<Arguments extends readonly unknown[], T>(
    fn: (...args: Arguments) => PromiseLike<T> | T,
    policyName: string,
    options?: ResilienceCallOptions | ((...args: Arguments) => ResilienceCallOptions),
  ): (...args: Arguments) => Promise<T> {
    if (typeof options !== 'function') {
      return (...args) => this.execute(policyName, () => fn(...args), options);
    }
    return async (...args) => this.execute(policyName, () => fn(...args), options(...args));
  }

  listen(listener: ResilienceListener): Disposable {
    return this.events.listen(listener);
  }

  /** As {@link listen}, but for what strategies do to single calls. */
  listenToChanges(listener: ResilienceListener): Disposable {
    return this.events.listenToChanges(listener);
  }

  /**
   * Sets a policy: a new one, or another document for the one that has this name, whose state is kept. The document was
   * read and checked before. @throws DwError `policy-invalid`, `policies-exhausted`, and nothing has changed.
   */
  set(document: PolicyDocument): void {
    const present = this.byName.get(document.name);
    if (present !== undefined) {
      present.replace(document);
      return;
    }
    if (this.byName.size >= MAX_POLICIES) throw policiesExhausted(MAX_POLICIES);
    const context = {
      policy: document.name,
      clock: this.clock,
      random: this.random,
      report: this.events.report.bind(this.events),
    };
    this.byName.set(document.name, new Policy(document, this.table, context, this.registry, this.underWay));
  }

  /** Takes a policy out of use; calls under way go on to their end. @throws DwError `policy-unknown`. */
  remove(name: string): void {
    this.policy(name).remove();
    this.byName.delete(name);
  }

  /** The documents in force, in the order in which they were first set. */
  list(): readonly PolicyDocument[] {
    return this.policies().map(({ document }) => document);
  }

  /** A policy with its strategies, counters and keys. @throws DwError `policy-unknown`, `resilience-key-unknown`. */
  show(name: string, key?: string): PolicyView {
    return this.policy(name).view(key);
  }

  /** Opens the breakers of a key, or of all keys, present and later, until they are reset. */
  isolate(name: string, key: string | undefined, reason: string): void {
    this.policy(name).isolate(key, reason);
  }

  /** Closes the breakers of a key, or of all keys. */
  reset(name: string, key?: string, reason = 'reset by hand'): void {
    this.policy(name).reset(key, reason);
  }

  /**
   * The breakers of a key that is in use, outermost first; none otherwise.
   * @param make Makes the key's state if there is none, as far as there is room.
   */
  breakers(name: string, key: string, make = false): readonly CircuitLayer[] {
    return this.byName.get(name)?.breakers(key, make) ?? [];
  }

  /** What is counted of each policy. Its cost does not grow with calls nor keys. */
  stats(): readonly PolicyStatistics[] {
    return this.policies().map((policy) => policy.statistics());
  }

  health(): ResilienceHealthInfo {
    let active = 0;
    const states: [string, ReturnType<Policy['state']>][] = [];
    for (const policy of this.policies()) {
      const { open, halfOpen } = policy.circuits();
      active += open + halfOpen;
      states.push([policy.name, policy.state()]);
    }
    return {
      totalPolicies: states.length,
      activeCircuitBreakers: active,
      policyStates: Object.fromEntries(states),
    };
  }

  /** The instances there are: how many, how many there may be, how many were forgotten, how many keys were refused. */
  get instances(): {
    readonly size: number;
    readonly limit: number;
    readonly evictions: number;
    readonly refusals: number;
  } {
    const { size, limit, evictions, refusals } = this.registry;
    return { size, limit, evictions, refusals };
  }

  /** Puts another limit of instances in force; idle ones above it are forgotten in the turns that follow. */
  setMaxCacheEntries(limit: number): void {
    this.registry.resize(limit);
  }

  /** Calls under way, of policies that were removed, too. */
  get callsUnderWay(): number {
    return this.underWay.size;
  }

  /**
   * Takes no more calls, also none that the actions of accepted calls make, and resolves when those under way have ended,
   * or `signal` aborts. Drain whatever calls through this service before it.
   */
  drain(signal: AbortSignal): Promise<void> {
    this.underWay.close();
    return this.underWay.drained(signal);
  }

  /** As {@link dispose}, but gives calls up a few in each turn of the event loop. */
  async stop(): Promise<void> {
    this.underWay.close();
    while (this.underWay.giveUp(resilienceStopped(), STOP_SLICE) > 0) await nextTurn(this.clock);
    this.dispose();
  }

  /** Gives up all calls that are left, and takes all policies out of use. */
  dispose(): void {
    this.underWay.close();
    this.underWay.giveUp(resilienceStopped(), Infinity);
    this.registry.dispose();
    for (const policy of this.policies()) policy.remove();
    this.byName.clear();
  }

  private unknown(name: string): Error {
    return policyUnknown(name, [...this.byName.keys()]);
  }
}
