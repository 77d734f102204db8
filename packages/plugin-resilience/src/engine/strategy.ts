// What a strategy of a policy is: its options, which an operator changes while it runs, and its counters, shared by all
// keys; and a layer for each key, which holds the state.

import type { Clock } from '@datawarehouse/sdk';
import type { Layer, StrategyType } from './layer.js';
import type { ResilienceEvent } from './events.js';

/** What a strategy is given by the policy that it is part of. */
export interface StrategyContext {
  /** Name of the policy. */
  readonly policy: string;
  /** Monotonic time for everything; wall time for nothing. */
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Tells an operator. Returns at once and throws nothing; listeners hear of it later. */
  report(event: ResilienceEvent): void;
}

/** What every strategy's options have. */
export interface StrategyOptions {
  readonly type: StrategyType;
  /** Tells strategies of one type in one policy apart. Default: the type. */
  readonly name?: string;
  /** Counts and reports what it would do, and does not do it. Default false. */
  readonly dryRun?: boolean;
}

/** One strategy of one policy. */
export interface Strategy<Options extends StrategyOptions = StrategyOptions> {
  readonly type: StrategyType;
  /** The options in force. */
  readonly options: Options;
  /** Whether it gives attempts up while the caller still waits, so that attempts need signals of their own. */
  readonly givesUp: boolean;
  /**
   * Puts other options in force, for all keys and at once. No state is lost: what is open stays open for its remaining
   * time, what is inside counts, who was let in to wait goes on waiting, samples stay as far as the new window reaches.
   */
  configure(options: Options): void;
  /** The layer of a key. A strategy without state for each key gives the same one to all. */
  layer(key: string): Layer;
  /** Forgets a layer that it gave, which is idle. */
  forget(layer: Layer): void;
  /** Its counters since it began, over all keys: plain numbers that only grow, and gauges. Reads in O(1). */
  counters(): Readonly<Record<string, number>>;
}
