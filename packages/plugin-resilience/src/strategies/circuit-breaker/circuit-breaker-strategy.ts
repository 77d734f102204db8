// The circuit breaker as a strategy of a policy: its options and counters for all keys. A layer holds each key's state.

import type { Clock } from '@datawarehouse/sdk';
import type { ErrorPredicate } from '../../engine/error-match.js';
import { FAILURE_BY_DEFAULT, compileErrorMatch } from '../../engine/error-match.js';
import type { CircuitState } from '../../engine/events.js';
import type { Layer } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import type { CircuitBreakerOptions } from './circuit-breaker-options.js';
import { CircuitBreakerLayer } from './circuit-breaker-layer.js';

/** What a circuit breaker has counted, over all keys. For its layers to write and others to read. */
export interface CircuitCounters {
  /** Calls that were let in and came out well, badly, or too slowly; those that say nothing are not counted. */
  succeeded: number;
  failed: number;
  slow: number;
  /** Calls that were turned away. */
  rejected: number;
  /** Calls that would have been turned away if it were not on a dry run. */
  wouldReject: number;
  /** Times that a breaker opened because of what its own calls met, and because another node's opened. */
  opened: number;
  openedByRemote: number;
  /** Probes that were let in, and those that were given up without a result. */
  probes: number;
  probesAbandoned: number;
  /** Probes that lost their places to others, because they had held them for `maxProbeMs`. */
  probesOverdue: number;
}

/** Opens when calls fail, so that what fails is left alone and callers hear at once. */
export class CircuitBreakerStrategy implements Strategy<CircuitBreakerOptions> {
  readonly type = 'circuit-breaker';
  readonly givesUp = false;
  /** @internal For layers. */
  readonly tally: CircuitCounters = {
    succeeded: 0,
    failed: 0,
    slow: 0,
    rejected: 0,
    wouldReject: 0,
    opened: 0,
    openedByRemote: 0,
    probes: 0,
    probesAbandoned: 0,
    probesOverdue: 0,
  };
  /** @internal When the options in force were put there, monotonic ms. */
  configuredAt: number;
  /** @internal Whether an error is a failure. */
  handles: ErrorPredicate;
  private current: CircuitBreakerOptions;
  private breakers = 0;
  /** Breakers in each state but closed, changed where one changes state: reading costs nothing. */
  private readonly inState = { open: 0, 'half-open': 0, isolated: 0 };

  constructor(
    options: CircuitBreakerOptions,
    readonly context: StrategyContext,
  ) {
    this.current = options;
    this.handles = compileErrorMatch(options.handle, FAILURE_BY_DEFAULT);
    this.configuredAt = context.clock.now();
  }

  get options(): CircuitBreakerOptions {
    return this.current;
  }

  get clock(): Clock {
    return this.context.clock;
  }

  /** The name that tells it from other breakers of its policy. */
  get name(): string {
    return this.current.name ?? this.type;
  }

  /**
   * Puts options in force. Layers read them at each use, and move their samples to the new window when they are next
   * asked: changing them costs the same for one key and for a hundred thousand.
   */
  configure(options: CircuitBreakerOptions): void {
    this.current = options;
    this.handles = compileErrorMatch(options.handle, FAILURE_BY_DEFAULT);
    this.configuredAt = this.clock.now();
  }

  layer(key: string): CircuitBreakerLayer {
    this.breakers++;
    return new CircuitBreakerLayer(this, key);
  }

  forget(layer: Layer): void {
    if (!(layer instanceof CircuitBreakerLayer) || layer.strategy !== this) return;
    this.breakers--;
    this.moved(layer.recorded, 'closed');
  }

  /** @internal A breaker went from one state to another. */
  moved(previous: CircuitState, current: CircuitState): void {
    if (previous !== 'closed') this.inState[previous]--;
    if (current !== 'closed') this.inState[current]++;
  }

  /**
   * Counters, and how many breakers are in which state. A breaker whose break is over is counted as open until a call
   * comes and makes it half-open.
   */
  counters(): Readonly<Record<string, number>> {
    const { open, isolated } = this.inState;
    const halfOpen = this.inState['half-open'];
    return {
      ...this.tally,
      breakers: this.breakers,
      closed: this.breakers - open - halfOpen - isolated,
      open,
      halfOpen,
      isolated,
    };
  }
}
