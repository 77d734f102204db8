// What policies tell of themselves to whoever listens: an operator's log, the bus, a dashboard.

import type { ResilienceStrategyType } from './strategy-type.js';

/** States of a circuit breaker. `isolated`: opened by hand, until it is reset by hand. */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'isolated';

/** One thing that happened in a policy. */
export type ResilienceEvent =
  | {
      readonly kind: 'circuit-changed';
      readonly policy: string;
      readonly key: string;
      /** Name of the strategy within the policy. */
      readonly strategy: string;
      readonly previous: CircuitState;
      readonly current: CircuitState;
      readonly reason: string;
      /** Where the change comes from: this node's calls, another node, or an operator. */
      readonly source: 'calls' | 'remote' | 'operator';
      /** Milliseconds that it stays open, when it opened. */
      readonly breakMs?: number;
    }
  | {
      /** What a strategy did to a call, or would have done if it were not on a dry run. */
      readonly kind: 'acted';
      readonly policy: string;
      readonly key: string;
      readonly strategy: ResilienceStrategyType;
      readonly action: string;
      readonly dryRun: boolean;
    }
  | {
      /** A threshold was moved by itself. */
      readonly kind: 'adapted';
      readonly policy: string;
      readonly strategy: string;
      readonly limit: string;
      readonly previous: number;
      readonly current: number;
      readonly reason: string;
    };

/** Hears of events. Called in a microtask of its own, never within a call; what it throws harms no call. */
export type ResilienceListener = (event: ResilienceEvent) => void;
