// The keys of one policy and the layers of each. After a change of the policy each key takes the layers of the strategies
// that stayed over into its new row when it is next used, or in the background when it is not; calls under way unwind
// through the row they began with. Orders to all keys (isolate, reset) reach them in the same way.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import type { Call, Ending } from '../engine/call.js';
import { isCircuitLayer } from '../engine/circuit.js';
import type { Layer } from '../engine/layer.js';
import type { InstanceOwner, InstanceRegistry } from './instances.js';
import { Instance, Row } from './instances.js';
import type { PolicyShape } from './policy-shape.js';

/** Keys are held in memory and shown to operators. */
export const MAX_KEY_LENGTH = 512;
/** Keys that one turn of the event loop takes over after a change. */
const SWEEP_SLICE = 256;

/** What was ordered for all keys, present and later, until the next order. */
export type StandingOrder =
  | { readonly kind: 'none' }
  | { readonly kind: 'isolate' | 'reset'; readonly reason: string };

/** Why a key has no instance. */
export type KeyRefusal = 'removed' | 'invalid' | 'exhausted';

/** The keys of one policy. */
export class PolicyKeys implements InstanceOwner {
  private readonly instances = new Map<string, Instance>();
  private closed = false;
  private order: StandingOrder = { kind: 'none' };
  /** Rises with each order; an instance that has heard less follows the order when it is next used. */
  private orders = 0;
  private sweeping: TimerHandle | undefined;

  constructor(
    private readonly registry: InstanceRegistry,
    private readonly clock: Clock,
    private current: PolicyShape,
    readonly ended: (call: Call, ending: Ending) => void,
  ) {}

  /** The shape in force. */
  get shape(): PolicyShape {
    return this.current;
  }

  get size(): number {
    return this.instances.size;
  }

  /** Instances that there may be, over all policies. */
  get limit(): number {
    return this.registry.limit;
  }

  /** All keys that have state. */
  all(): IterableIterator<Instance> {
    return this.instances.values();
  }

  /** The instance of a key that has one. */
  find(key: string): Instance | undefined {
    return this.instances.get(key);
  }

  /** The instance of a key, which is used now; made if there is none. On the hot path. @returns why not, if it cannot. */
  use(key: string): Instance | KeyRefusal {
    const instance = this.instances.get(key);
    if (instance === undefined) return this.admit(key);
    this.registry.touch(instance);
    return instance;
  }

  /** The row of the shape in force. On the hot path. */
  rowOf(instance: Instance): Row {
    const { row } = instance;
    if (row !== undefined && row.shape === this.current && instance.heard === this.orders) return row;
    return this.renew(instance);
  }

  /** Puts another shape in force. */
  reshape(shape: PolicyShape): void {
    this.current = shape;
    this.sweep();
  }

  /** Orders something for all keys, present and later. */
  orderAll(order: StandingOrder): void {
    this.order = order;
    this.orders++;
    this.sweep();
  }

  /** Forgets all keys, and takes no more. Calls under way go on to their end. */
  close(): void {
    this.closed = true;
    this.sweeping?.cancel();
    for (const instance of this.instances.values()) this.registry.remove(instance);
    this.instances.clear();
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

  private admit(key: string): Instance | KeyRefusal {
    if (this.closed) return 'removed';
    if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH) return 'invalid';
    const instance = new Instance(this, key);
    if (!this.registry.add(instance)) return 'exhausted';
    this.instances.set(key, instance);
    return instance;
  }

  private renew(instance: Instance): Row {
    const before = instance.row;
    const row = before?.shape === this.current ? before : this.makeRow(instance, before);
    instance.row = row;
    if (instance.heard !== this.orders) {
      instance.heard = this.orders;
      if (before !== undefined) this.follow(before.layers);
    }
    return row;
  }

  private makeRow(instance: Instance, before: Row | undefined): Row {
    const { current, order } = this;
    const layers = current.strategies.map((strategy) => {
      const at = before === undefined ? -1 : before.shape.strategies.indexOf(strategy);
      if (at >= 0) return before?.layers[at] as Layer;
      const layer = strategy.layer(instance.key);
      if (order.kind === 'isolate' && isCircuitLayer(layer)) layer.isolate(order.reason);
      return layer;
    });
    return new Row(layers, current, instance);
  }

  /** Does what was ordered for all keys to the layers of one. */
  private follow(layers: readonly Layer[]): void {
    const { order } = this;
    if (order.kind === 'none') return;
    for (const layer of layers) if (isCircuitLayer(layer)) layer[order.kind](order.reason);
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
}
