// A named policy: what its document says, calls through it, and what is counted of them. It is changed in place: the
// strategies that stay are configured, and keep their state.

import type {
  Clock,
  IResiliencePolicy,
  ResilienceAction,
  ResilienceCallOptions,
  ResiliencePolicyState,
} from '@datawarehouse/sdk';
import type { Call, Ending } from '../engine/call.js';
import { beginCall } from '../engine/call.js';
import type { CallsUnderWay } from '../engine/calls-under-way.js';
import type { CircuitLayer } from '../engine/circuit.js';
import { isCircuitLayer } from '../engine/circuit.js';
import type { Strategy, StrategyContext } from '../engine/strategy.js';
import {
  breakerMissing,
  callInvalid,
  keyInvalid,
  keysExhausted,
  keyUnknown,
  policyUnknown,
  resilienceStopping,
} from '../errors.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import { PolicyStats } from '../stats/policy-stats.js';
import type { Instance, InstanceRegistry, Row } from './instances.js';
import type { PolicyDocument } from './document.js';
import { strategyName } from './document.js';
import type { KeyRefusal } from './policy-keys.js';
import { MAX_KEY_LENGTH, PolicyKeys } from './policy-keys.js';
import { shapeOf } from './policy-shape.js';
import type { PolicyView } from './policy-view.js';
import { viewOfKey, viewOfSome } from './policy-view.js';
import type { StrategyTable } from './strategy-table.js';

const NO_OPTIONS: ResilienceCallOptions = Object.freeze({});
/** A policy of this node. */
export class Policy implements IResiliencePolicy {
  readonly name: string;
  private readonly clock: Clock;
  private readonly stats: PolicyStats;
  private readonly keys: PolicyKeys;
  /** Retries of strategies that were taken out. */
  private formerRetries = 0;

  /** @throws DwError `policy-invalid`. */
  constructor(
    document: PolicyDocument,
    private readonly table: StrategyTable,
    private readonly context: StrategyContext,
    registry: InstanceRegistry,
    private readonly underWay: CallsUnderWay,
  ) {
    this.name = document.name;
    this.clock = context.clock;
    const shape = shapeOf(document, table, context, undefined);
    this.keys = new PolicyKeys(registry, this.clock, shape, (call, ending) => this.ended(call, ending));
    this.stats = new PolicyStats(this.clock.now());
  }

  /** The document in force. */
  get document(): PolicyDocument {
    return this.keys.shape.document;
  }

  /** The strategies in force, outermost first. */
  get strategies(): readonly Strategy[] {
    return this.keys.shape.strategies;
  }

  execute<T>(action: ResilienceAction<T>, options?: AbortSignal | ResilienceCallOptions): Promise<T> {
    if (this.underWay.closed) return Promise.reject(resilienceStopping());
    let given: ResilienceCallOptions;
    let key: string;
    try {
      given = optionsOf(this.name, action, options);
      key = given.key ?? '';
    } catch (error) {
      return Promise.reject(error);
    }
    const instance = this.keys.use(key);
    if (typeof instance === 'string') return Promise.reject(this.refusal(instance));
    const row = this.keys.rowOf(instance);
    this.stats.calls++;
    instance.running++;
    const call = beginCall(row, key, action, this.clock.now(), given);
    if (!call.ended) this.underWay.add(call);
    return call.promise() as Promise<T>;
  }

  /**
   * Puts another document in force, whole or not at all. State is kept by strategies that have the type and name of one
   * in the document.
   * @throws DwError `policy-invalid`, and nothing has changed.
   */
  replace(document: PolicyDocument): void {
    const before = this.strategies;
    this.keys.reshape(shapeOf(document, this.table, this.context, this.keys.shape));
    for (const strategy of before) {
      if (!this.strategies.includes(strategy)) this.formerRetries += strategy.counters().retries ?? 0;
    }
  }

  /** Takes the policy out of use. Calls under way go on to their end. */
  remove(): void {
    this.keys.close();
  }

  state(): ResiliencePolicyState {
    const { open, halfOpen, breakers } = this.circuits();
    const worst = open > 0 ? 'open' : halfOpen > 0 ? 'half-open' : 'closed';
    return {
      name: this.name,
      strategies: this.strategies.map(({ type }) => type),
      circuit: breakers === 0 ? undefined : worst,
      keys: this.keys.size,
      inFlight: this.stats.inFlight,
    };
  }

  /** Breakers of this policy: strategies, and how many of their keys are open (or isolated) and half-open. */
  circuits(): { readonly breakers: number; readonly open: number; readonly halfOpen: number } {
    let breakers = 0;
    let open = 0;
    let halfOpen = 0;
    for (const strategy of this.strategies) {
      if (strategy.type !== 'circuit-breaker') continue;
      const counters = strategy.counters();
      breakers++;
      open += (counters.open ?? 0) + (counters.isolated ?? 0);
      halfOpen += counters.halfOpen ?? 0;
    }
    return { breakers, open, halfOpen };
  }

  /** What is counted. Its cost does not grow with calls nor keys. */
  statistics(): PolicyStatistics {
    const { stats } = this;
    const strategies = this.strategies.map((strategy) => ({
      type: strategy.type,
      name: strategyName(strategy.options),
      counters: strategy.counters(),
    }));
    let retries = this.formerRetries;
    for (const { counters } of strategies) retries += counters.retries ?? 0;
    return {
      name: this.name,
      calls: stats.calls,
      successes: stats.successes,
      failures: stats.failures,
      timeouts: stats.timeouts,
      rejections: stats.rejections,
      cancelled: stats.cancelled,
      retries,
      inFlight: stats.inFlight,
      keys: this.keys.size,
      ...stats.latency.summary(this.clock.now()),
      strategies,
    };
  }

  /** @param key Only this key. @throws DwError `resilience-key-unknown`. */
  view(key?: string): PolicyView {
    const now = this.clock.now();
    const rowOf = (instance: Instance): Row => this.keys.rowOf(instance);
    const keys =
      key === undefined
        ? viewOfSome(this.keys.all(), rowOf, now)
        : [viewOfKey(this.known(key), rowOf(this.known(key)), now)];
    return {
      name: this.name,
      document: this.document,
      statistics: this.statistics(),
      keyCount: this.keys.size,
      keys,
    };
  }

  /**
   * Opens the breakers of a key, which need not have been used yet, or of all keys, present and later, until they are
   * reset. @throws DwError `policy-has-no-breaker`, `resilience-keys-exhausted`, `resilience-key-invalid`.
   */
  isolate(key: string | undefined, reason: string): void {
    this.needBreaker();
    if (key === undefined) {
      this.keys.orderAll({ kind: 'isolate', reason });
      return;
    }
    const instance = this.keys.use(key);
    if (typeof instance === 'string') throw this.refusal(instance, false);
    for (const breaker of this.breakersOf(instance)) breaker.isolate(reason);
  }

  /** Closes the breakers of a key or of all keys. @throws DwError `policy-has-no-breaker`, `resilience-key-unknown`. */
  reset(key: string | undefined, reason: string): void {
    this.needBreaker();
    if (key === undefined) this.keys.orderAll({ kind: 'reset', reason });
    else for (const breaker of this.breakersOf(this.known(key))) breaker.reset(reason);
  }

  /**
   * The breakers of a key, if the key is in use; outermost first.
   * @param make Makes the key's state if there is none, as far as there is room. Nothing is made without a breaker.
   */
  breakers(key: string, make = false): readonly CircuitLayer[] {
    const wanted = make && this.strategies.some(({ type }) => type === 'circuit-breaker');
    const instance = wanted ? this.keys.use(key) : this.keys.find(key);
    return instance === undefined || typeof instance === 'string' ? [] : this.breakersOf(instance);
  }

  private ended(call: Call, ending: Ending): void {
    this.underWay.delete(call);
    this.stats.ended(call, ending, this.clock.now());
  }

  /** @param counted Whether it is that of a call. */
  private refusal(why: KeyRefusal, counted = true): Error {
    if (why === 'removed') return policyUnknown(this.name, []);
    if (why === 'invalid') return keyInvalid(this.name, MAX_KEY_LENGTH);
    if (counted) {
      this.stats.calls++;
      this.stats.rejections++;
    }
    return keysExhausted(this.name, this.keys.limit);
  }

  private breakersOf(instance: Instance): readonly CircuitLayer[] {
    return this.keys.rowOf(instance).layers.filter(isCircuitLayer);
  }

  private needBreaker(): void {
    if (!this.strategies.some(({ type }) => type === 'circuit-breaker')) throw breakerMissing(this.name);
  }

  private known(key: string): Instance {
    const instance = this.keys.find(key);
    if (instance === undefined) throw keyUnknown(this.name, key);
    return instance;
  }
}

/** What a caller says of a call, in one form. On the hot path. @throws DwError `resilience-call-invalid`. */
function optionsOf(
  policy: string,
  action: unknown,
  options: AbortSignal | ResilienceCallOptions | null | undefined,
): ResilienceCallOptions {
  if (typeof action !== 'function') throw callInvalid(policy, 'action', 'a function', action);
  if (options === undefined) return NO_OPTIONS;
  if (typeof options !== 'object' || options === null) {
    const allowed = 'an AbortSignal, an object such as { key, signal }, or left out';
    throw callInvalid(policy, 'options', allowed, options);
  }
  return 'aborted' in options ? { signal: options } : options;
}
