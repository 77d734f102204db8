// A service on a fake clock, and two strategies that are as small as they can be: a gate that lets so many in and keeps
// the others waiting, and a breaker that a test opens by hand.

import { nextTurn } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import type { Call } from '../engine/call.js';
import type { CircuitLayer, CircuitTransition, CircuitView } from '../engine/circuit.js';
import type { CircuitState } from '../engine/events.js';
import type { Layer, Step, StrategyType } from '../engine/layer.js';
import type { Strategy, StrategyContext, StrategyOptions } from '../engine/strategy.js';
import { circuitIsolated, circuitOpen } from '../errors.js';
import type { ResilienceServiceOptions } from '../policy/resilience-service.js';
import { ResilienceService } from '../policy/resilience-service.js';
import type { StrategyTable } from '../policy/strategy-table.js';

/** Options of a {@link Gate}. */
export interface GateOptions extends StrategyOptions {
  readonly type: 'bulkhead';
  readonly concurrency: number;
}

/** Lets so many in at once; the others wait, as many as there are. */
export class Gate implements Strategy<GateOptions> {
  readonly type = 'bulkhead';
  readonly givesUp = false;
  /** Layers that were made and not forgotten. */
  readonly layers = new Set<GateLayer>();

  constructor(
    public options: GateOptions,
    readonly context: StrategyContext,
  ) {
    if (options.concurrency < 1) throw new Error('concurrency must be at least 1');
  }

  configure(options: GateOptions): void {
    if (options.concurrency < 1) throw new Error('concurrency must be at least 1');
    this.options = options;
    for (const layer of this.layers) layer.admit();
  }

  layer(key: string): GateLayer {
    const layer = new GateLayer(this, key);
    this.layers.add(layer);
    return layer;
  }

  forget(layer: Layer): void {
    this.layers.delete(layer as GateLayer);
  }

  counters(): Readonly<Record<string, number>> {
    return {};
  }
}

/** The gate of one key. */
export class GateLayer implements Layer {
  readonly type = 'bulkhead';
  inside = 0;
  private waiting: { readonly call: Call; readonly at: number }[] = [];

  constructor(
    private readonly gate: Gate,
    readonly key: string,
  ) {}

  enter(call: Call, at: number): Step {
    if (this.inside < this.gate.options.concurrency) {
      this.inside++;
      return 'in';
    }
    this.waiting.push({ call, at });
    return 'wait';
  }

  leave(): Step {
    this.inside--;
    this.admit();
    return 'out';
  }

  abandon(call: Call): void {
    const before = this.waiting.length;
    this.waiting = this.waiting.filter((one) => one.call !== call);
    if (this.waiting.length === before) this.leave();
  }

  idle(): boolean {
    return this.inside === 0 && this.waiting.length === 0;
  }

  view(): Readonly<Record<string, unknown>> {
    return { inside: this.inside, waiting: this.waiting.length };
  }

  admit(): void {
    while (this.waiting.length > 0 && this.inside < this.gate.options.concurrency) {
      const next = this.waiting.shift();
      this.inside++;
      next?.call.goIn(next.at);
    }
  }
}

/** A breaker that opens and closes only by hand. */
export class Switch implements Strategy {
  readonly type = 'circuit-breaker';
  readonly givesUp = false;
  readonly layers = new Set<SwitchLayer>();

  constructor(
    public options: StrategyOptions,
    readonly context: StrategyContext,
  ) {}

  configure(options: StrategyOptions): void {
    this.options = options;
  }

  layer(key: string): SwitchLayer {
    const layer = new SwitchLayer(this.context, key);
    this.layers.add(layer);
    return layer;
  }

  forget(layer: Layer): void {
    this.layers.delete(layer as SwitchLayer);
  }

  counters(): Readonly<Record<string, number>> {
    const counted = { open: 0, halfOpen: 0, isolated: 0 };
    for (const { current } of this.layers) {
      if (current === 'open') counted.open++;
      if (current === 'half-open') counted.halfOpen++;
      if (current === 'isolated') counted.isolated++;
    }
    return counted;
  }
}

/** The breaker of one key. */
export class SwitchLayer implements CircuitLayer {
  readonly type = 'circuit-breaker';
  readonly transitions: CircuitTransition[] = [];
  current: CircuitState = 'closed';

  constructor(
    private readonly context: StrategyContext,
    readonly key: string,
  ) {}

  enter(call: Call): Step {
    if (this.current === 'closed') return 'in';
    const { policy } = this.context;
    call.fail(
      this.current === 'isolated' ? circuitIsolated(policy, this.key) : circuitOpen(policy, this.key, 1),
    );
    return 'out';
  }

  leave(): Step {
    return 'out';
  }

  abandon(): void {
    // Holds nothing for a call.
  }

  idle(): boolean {
    return this.current === 'closed';
  }

  view(): CircuitView {
    return { state: this.current, remainingMs: 0, transitions: this.transitions };
  }

  isolate(reason: string): void {
    this.turn('isolated', reason);
  }

  reset(reason: string): void {
    this.turn('closed', reason);
  }

  private turn(current: CircuitState, reason: string): void {
    const previous = this.current;
    if (previous === current) return;
    this.current = current;
    const { policy, clock } = this.context;
    this.transitions.push({ at: clock.wallTime(), previous, current, reason, source: 'operator' });
    const { key, type: strategy } = this;
    const source = 'operator';
    this.context.report({
      kind: 'circuit-changed',
      policy,
      key,
      strategy,
      previous,
      current,
      reason,
      source,
    });
  }
}

/** Options of a gate. */
export function gate(concurrency: number, name?: string): GateOptions {
  return { type: 'bulkhead', concurrency, ...(name === undefined ? {} : { name }) };
}

/** Options of a strategy of a type that has none of its own. */
export function plain(type: StrategyType, name?: string): StrategyOptions {
  return { type, ...(name === undefined ? {} : { name }) };
}

/** A service on a fake clock, with the strategies of a test. */
export function testService(
  options: Partial<ResilienceServiceOptions> & { readonly strategies?: StrategyTable } = {},
): { readonly service: ResilienceService; readonly clock: FakeClock } {
  const clock = new FakeClock();
  const service = new ResilienceService({
    clock,
    random: () => 0.5,
    strategies: { bulkhead: Gate, 'circuit-breaker': Switch },
    ...options,
  });
  return { service, clock };
}

/** An action that a test ends. */
export class Held<T> {
  /** Times that it was begun. */
  runs = 0;
  private readonly resolvers: ((value: T) => void)[] = [];

  readonly action = (): Promise<T> => {
    this.runs++;
    return new Promise((resolve) => this.resolvers.push(resolve));
  };

  /** Ends the oldest run. */
  end(value: T): void {
    this.resolvers.shift()?.(value);
  }
}

/** Lets what goes on in the turns that follow happen. */
export async function turns(clock: FakeClock, count = 10): Promise<void> {
  for (let n = 0; n < count; n++) await nextTurn(clock);
}

/** Lets all promises that are settled be heard of. */
export async function settle(microtasks = 20): Promise<void> {
  for (let n = 0; n < microtasks; n++) await Promise.resolve();
}
