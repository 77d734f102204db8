// A named policy: the row of strategies that its document names, an instance for each key, and what is counted of its
// calls. It is changed in place. The strategies that stay are configured; each key takes its layers over into the new row
// when it is next used, or in the background when it is not; calls under way unwind through the row they began with.

import type {
  Clock,
  IResiliencePolicy,
  ResilienceAction,
  ResilienceCallOptions,
  ResiliencePolicyState,
  TimerHandle,
} from '@datawarehouse/sdk';
import type { Call, Ending } from '../engine/call.js';
import { callThrough } from '../engine/call.js';
import type { CircuitLayer } from '../engine/circuit.js';
import { isCircuitLayer } from '../engine/circuit.js';
import type { Layer } from '../engine/layer.js';
import type { Strategy, StrategyContext } from '../engine/strategy.js';
import { breakerMissing, keyInvalid, keysExhausted, keyUnknown, policyUnknown } from '../errors.js';
import type { PolicyStatistics } from '../stats/policy-stats.js';
import { PolicyStats } from '../stats/policy-stats.js';
import type { InstanceOwner, InstanceRegistry } from './instances.js';
import { Instance, Row } from './instances.js';
import type { PolicyDocument } from './document.js';
import { strategyName } from './document.js';
import type { PolicyShape } from './policy-shape.js';
import { shapeOf } from './policy-shape.js';
import type { PolicyView } from './policy-view.js';
import { viewOfKey, viewOfSome } from './policy-view.js';
import type { StrategyTable } from './strategy-table.js';

const NO_OPTIONS: ResilienceCallOptions = Object.freeze({});
/** Keys are held in memory and shown to operators. */
const MAX_KEY_LENGTH = 512;
/** Keys that one turn of the event loop takes over after a change. */
const SWEEP_SLICE = 256;

/** What was ordered for all keys, present and later, until the next order. */
type StandingOrder =
  | { readonly kind: 'none' }
  | { readonly kind: 'isolate' | 'reset'; readonly reason: string };

/** A policy of this node. */
export class Policy implements IResiliencePolicy, InstanceOwner {
  readonly name: string;
  private readonly clock: Clock;
  private readonly stats: PolicyStats;
  private readonly instances = new Map<string, Instance>();
  private shape: PolicyShape;
  private removed = false;
  private order: StandingOrder = { kind: 'none' };
  /** Rises with each order; an instance that has heard less follows the order when it is next used. */
  private orders = 0;
  /** Retries of strategies that were taken out. */
  private formerRetries = 0;
  private sweeping: TimerHandle | undefined;

  /** @throws DwError `policy-invalid`. */
  constructor(
    document: PolicyDocument,
    private readonly table: StrategyTable,
    private readonly context: StrategyContext,
    private readonly registry: InstanceRegistry,
  ) {
    this.name = document.name;
    this.clock = context.clock;
    this.shape = shapeOf(document, table, context, undefined);
    this.stats = new PolicyStats(this.clock.now());
  }

  /** The document in force. */
  get document(): PolicyDocument {
    return this.shape.document;
  }

  /** The strategies in force, outermost first. */
  get strategies(): readonly Strategy[] {
    return this.shape.strategies;
  }

  execute<T>(action: ResilienceAction<T>, options?: AbortSignal | ResilienceCallOptions): Promise<T> {
    const given =
      options === undefined ? NO_OPTIONS : options instanceof AbortSignal ? { signal: options } : options;
    const key = given.key ?? '';
    const instance = this.instances.get(key) ?? this.admit(key);
    if (typeof instance === 'string') return Promise.reject(this.refusal(instance));
    this.registry.touch(instance);
    const row = this.rowOf(instance);
    this.stats.calls++;
    instance.running++;
    return callThrough(row, key, action, this.clock.now(), given);
  }

  /**
   * Puts another document in force, whole or not at all. State is kept by strategies that have the type and name of one
   * in the document.
   * @throws DwError `policy-invalid`, and nothing has changed.
   */
  replace(document: PolicyDocument): void {
    const before = this.shape;
    this.shape = shapeOf(document, this.table, this.context, before);
    for (const strategy of before.strategies) {
      if (!this.shape.strategies.includes(strategy)) this.formerRetries += strategy.counters().retries ?? 0;
    }
    this.sweep();
  }

  /** Takes the policy out of use. Calls under way go on to their end. */
  remove(): void {
    this.removed = true;
    this.sweeping?.cancel();
    for (const instance of this.instances.values()) this.registry.remove(instance);
    this.instances.clear();
  }

  state(): ResiliencePolicyState {
    const { open, halfOpen, breakers } = this.circuits();
    const worst = open > 0 ? 'open' : halfOpen > 0 ? 'half-open' : 'closed';
    return {
      name: this.name,
      strategies: this.shape.strategies.map(({ type }) => type),
      circuit: breakers === 0 ? undefined : worst,
      keys: this.instances.size,
      inFlight: this.stats.inFlight,
    };
  }

  /** Breakers of this policy: strategies, and how many of their keys are open (or isolated) and half-open. */
  circuits(): { readonly breakers: number; readonly open: number; readonly halfOpen: number } {
    let breakers = 0;
    let open = 0;
    let halfOpen = 0;
    for (const strategy of this.shape.strategies) {
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
    const strategies = this.shape.strategies.map((strategy) => ({
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
      keys: this.instances.size,
      ...stats.latency.summary(this.clock.now()),
      strategies,
    };
  }

  /** @param key Only this key. @throws DwError `resilience-key-unknown`. */
  view(key?: string): PolicyView {
    const now = this.clock.now();
    const keys =
      key === undefined
        ? viewOfSome(this.instances.values(), (instance) => this.rowOf(instance), now)
        : [viewOfKey(this.known(key), this.rowOf(this.known(key)), now)];
    return {
      name: this.name,
      document: this.document,
      statistics: this.statistics(),
      keyCount: this.instances.size,
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
      this.orderAll({ kind: 'isolate', reason });
      return;
    }
    const instance = this.instances.get(key) ?? this.admit(key);
    if (typeof instance === 'string') throw this.refusal(instance, false);
    for (const breaker of this.breakersOf(instance)) breaker.isolate(reason);
  }

  /** Closes the breakers of a key or of all keys. @throws DwError `policy-has-no-breaker`, `resilience-key-unknown`. */
  reset(key: string | undefined, reason: string): void {
    this.needBreaker();
    if (key === undefined) this.orderAll({ kind: 'reset', reason });
    else for (const breaker of this.breakersOf(this.known(key))) breaker.reset(reason);
  }

  /**
   * The breakers of a key, if the key is in use; outermost first.
   * @param make Makes the key's state if there is none, as far as there is room. Nothing is made without a breaker.
   */
  breakers(key: string, make = false): readonly CircuitLayer[] {
    const wanted = make && this.shape.strategies.some(({ type }) => type === 'circuit-breaker');
    const instance = this.instances.get(key) ?? (wanted ? this.admit(key) : undefined);
    return instance === undefined || typeof instance === 'string' ? [] : this.breakersOf(instance);
  }

  ended(call: Call, ending: Ending): void {
    this.stats.ended(call, ending, this.clock.now());
  }

  idle(instance: Instance, now: number): boolean {
    for (const layer of this.rowOf(instance).layers) if (!layer.idle(now)) return false;
    return true;
  }

  forget(instance: Instance): void {
    this.instances.delete(instance.key);
    const { row } = instance;
    if (row === undefined) return;
    for (let n = 0; n < row.layers.length; n++) row.shape.strategies[n]?.forget(row.layers[n] as Layer);
  }

  /** Makes the instance of a key. @returns why not, if it cannot. */
  private admit(key: string): Instance | 'removed' | 'invalid' | 'exhausted' {
    if (this.removed) return 'removed';
    if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH) return 'invalid';
    const instance = new Instance(this, key);
    if (!this.registry.add(instance)) return 'exhausted';
    this.instances.set(key, instance);
    return instance;
  }

  /** @param counted Whether it is that of a call. */
  private refusal(why: 'removed' | 'invalid' | 'exhausted', counted = true): Error {
    if (why === 'removed') return policyUnknown(this.name, []);
    if (why === 'invalid') return keyInvalid(this.name, MAX_KEY_LENGTH);
    if (counted) {
      this.stats.calls++;
      this.stats.rejections++;
    }
    return keysExhausted(this.name, this.registry.limit);
  }

  /** The row of the shape in force. On the hot path. */
  private rowOf(instance: Instance): Row {
    const { row } = instance;
    if (row !== undefined && row.shape === this.shape && instance.heard === this.orders) return row;
    return this.renew(instance);
  }

  private renew(instance: Instance): Row {
    const { shape, order } = this;
    const before = instance.row;
    let row = before;
    if (before === undefined || before.shape !== shape) {
      const layers = shape.strategies.map((strategy) => {
        const at = before === undefined ? -1 : before.shape.strategies.indexOf(strategy);
        if (at >= 0) return before?.layers[at] as Layer;
        const layer = strategy.layer(instance.key);
        if (order.kind === 'isolate' && isCircuitLayer(layer)) layer.isolate(order.reason);
        return layer;
      });
      row = new Row(layers, shape, instance);
      instance.row = row;
    }
    if (instance.heard !== this.orders) {
      instance.heard = this.orders;
      if (before !== undefined) this.follow(before.layers);
    }
    return row as Row;
  }

  /** Does what was ordered for all keys to the layers of one. */
  private follow(layers: readonly Layer[]): void {
    const { order } = this;
    if (order.kind === 'none') return;
    for (const layer of layers) if (isCircuitLayer(layer)) layer[order.kind](order.reason);
  }

  private orderAll(order: StandingOrder): void {
    this.order = order;
    this.orders++;
    this.sweep();
  }

  /** Takes the keys over that nobody uses, a few in each turn. */
  private sweep(): void {
    this.sweeping?.cancel();
    const left = this.instances.values();
    const slice = (): void => {
      this.sweeping = undefined;
      for (let n = 0; n < SWEEP_SLICE; n++) {
        const next = left.next();
        if (next.done === true) return;
        this.rowOf(next.value);
      }
      this.sweeping = this.clock.setImmediate(slice);
    };
    this.sweeping = this.clock.setImmediate(slice);
  }

  private breakersOf(instance: Instance): readonly CircuitLayer[] {
    return this.rowOf(instance).layers.filter(isCircuitLayer);
  }

  private needBreaker(): void {
    if (!this.shape.strategies.some(({ type }) => type === 'circuit-breaker'))
      throw breakerMissing(this.name);
  }

  private known(key: string): Instance {
    const instance = this.instances.get(key);
    if (instance === undefined) throw keyUnknown(this.name, key);
    return instance;
  }
}
