// The last transitions of one breaker, for an operator who asks why it is as it is.

import type { CircuitTransition } from '../../engine/circuit.js';

/** Transitions that are kept; older ones are forgotten. */
export const MAX_TRANSITIONS = 16;

/** The last {@link MAX_TRANSITIONS} transitions. Made at the first: most keys never have one. */
export class TransitionLog {
  private readonly kept: CircuitTransition[] = [];

  add(transition: CircuitTransition): void {
    if (this.kept.length === MAX_TRANSITIONS) this.kept.shift();
    this.kept.push(transition);
  }

  /** Oldest first. */
  entries(): readonly CircuitTransition[] {
    return [...this.kept];
  }
}
