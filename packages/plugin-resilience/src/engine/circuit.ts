// What the layer of a circuit breaker is beyond a layer: an operator sees it, opens it and closes it by hand.

import type { CircuitState } from './events.js';
import type { Layer } from './layer.js';

/** A change of a breaker's state that has happened. */
export interface CircuitTransition {
  readonly previous: CircuitState;
  readonly current: CircuitState;
  readonly reason: string;
  readonly source: 'calls' | 'remote' | 'operator';
  /** Wall time, ms since 1970 UTC: for display only. */
  readonly at: number;
}

/** What an operator sees of a breaker. */
export interface CircuitView extends Readonly<Record<string, unknown>> {
  readonly state: CircuitState;
  /** Until it lets a probe through; 0 unless it is open. */
  readonly remainingMs: number;
  /** The last changes, newest last; bounded. */
  readonly transitions: readonly CircuitTransition[];
}

/** The layer of a circuit breaker. */
export interface CircuitLayer extends Layer {
  readonly type: 'circuit-breaker';
  view(now: number): CircuitView;
  /** Opens it by hand, until {@link reset}. */
  isolate(reason: string): void;
  /** Closes it by hand, whatever it was, and forgets its samples. */
  reset(reason: string): void;
}

/** Whether a layer is that of a breaker. */
export function isCircuitLayer(layer: Layer): layer is CircuitLayer {
  return layer.type === 'circuit-breaker';
}
