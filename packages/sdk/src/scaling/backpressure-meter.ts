// Turns the depth of a queue into a backpressure state. Pure: it holds numbers, no clock and no timers.
// A state is left only once the depth has fallen clearly below the threshold that led to it, so that a depth which
// hovers at a threshold does not flap.

import type { BackpressureState } from './scalable-subsystem.js';

const STATES = ['normal', 'warning', 'critical', 'shedding'] as const satisfies readonly BackpressureState[];

/** Where each state begins, as a fraction of the limit. */
export interface BackpressureThresholds {
  /** Default 0.70. */
  readonly warning: number;
  /** Default 0.85. */
  readonly critical: number;
  /** Default 0.95. */
  readonly shedding: number;
}

/** Thresholds of the house. */
export const DEFAULT_BACKPRESSURE_THRESHOLDS: BackpressureThresholds = Object.freeze({
  warning: 0.7,
  critical: 0.85,
  shedding: 0.95,
});

/** Told when the state changes, after it has changed. What it throws goes to the caller of `update`. */
export type BackpressureListener = (previous: BackpressureState, current: BackpressureState) => void;

/** Options of a {@link BackpressureMeter}. */
export interface BackpressureMeterOptions {
  /** Depth at which the queue is full; more than 0. */
  readonly limit: number;
  readonly thresholds?: BackpressureThresholds;
  /** How far below a threshold, as a fraction of the limit, the depth must fall to leave its state. Default 0.05. */
  readonly hysteresis?: number;
}

/** Measures how pressed a queue is. */
export class BackpressureMeter {
  private level = 0;
  private currentDepth = 0;
  private currentLimit: number;
  private readonly enter: readonly number[];
  private readonly leave: readonly number[];
  private readonly listeners = new Set<BackpressureListener>();

  /** @throws RangeError when the limit is not above 0 or the thresholds do not rise. */
  constructor(options: BackpressureMeterOptions) {
    const { warning, critical, shedding } = options.thresholds ?? DEFAULT_BACKPRESSURE_THRESHOLDS;
    const hysteresis = options.hysteresis ?? 0.05;
    if (!(0 < warning && warning < critical && critical < shedding && hysteresis >= 0)) {
      throw new RangeError('backpressure thresholds must rise: 0 < warning < critical < shedding');
    }
    this.currentLimit = checkedLimit(options.limit);
    this.enter = [0, warning, critical, shedding];
    this.leave = this.enter.map((threshold) => Math.max(0, threshold - hysteresis));
  }

  /** The state after the last {@link update}. */
  get state(): BackpressureState {
    return STATES[this.level] ?? 'shedding';
  }

  /** The depth of the last {@link update}. */
  get depth(): number {
    return this.currentDepth;
  }

  /** Depth at which the queue is full. */
  get limit(): number {
    return this.currentLimit;
  }

  /** Takes the queue's depth and returns the state. Hot path: two comparisons while nothing changes. */
  update(depth: number): BackpressureState {
    this.currentDepth = depth;
    const ratio = depth / this.currentLimit;
    let level = this.level;
    while (level < STATES.length - 1 && ratio >= (this.enter[level + 1] ?? Infinity)) level++;
    while (level > 0 && ratio < (this.leave[level] ?? 0)) level--;
    return level === this.level ? this.state : this.moveTo(level);
  }

  /** Takes another limit and judges the last depth by it. @throws RangeError when it is not above 0. */
  setLimit(limit: number): BackpressureState {
    this.currentLimit = checkedLimit(limit);
    return this.update(this.currentDepth);
  }

  /** Calls `listener` at each change of state. Dispose of what it returns to stop. */
  onChanged(listener: BackpressureListener): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  private moveTo(level: number): BackpressureState {
    const previous = this.state;
    this.level = level;
    const current = this.state;
    for (const listener of this.listeners) listener(previous, current);
    return current;
  }
}

function checkedLimit(limit: number): number {
  if (!(limit > 0)) throw new RangeError(`a backpressure limit must be above 0, not ${limit}`);
  return limit;
}
