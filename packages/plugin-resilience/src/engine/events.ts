// What policies tell of themselves. Telling costs a caller nothing but a place in a bounded queue: listeners are called
// in a microtask of their own, and what they throw harms nobody.

import { errorMessage } from '@datawarehouse/sdk';
import type { StrategyType } from './layer.js';

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
      readonly strategy: StrategyType;
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

/** Hears of events. */
export type ResilienceListener = (event: ResilienceEvent) => void;

/** Events that wait for the listeners; more are counted as lost. A turn that makes more has told enough. */
const MAX_WAITING = 1_024;

/** Passes events on to listeners. */
export class EventSink {
  /** Events that nobody heard of, because too many came in one turn. */
  lost = 0;
  /** What listeners threw. */
  listenerFailures = 0;
  private waiting: ResilienceEvent[] = [];
  private readonly listeners = new Set<ResilienceListener>();

  /** @param failed Told what a listener threw. */
  constructor(private readonly failed: (message: string) => void) {}

  /** Calls `listener` with every event from now on. Dispose of what it returns to stop. */
  listen(listener: ResilienceListener): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  /** Whether anybody listens. What is told otherwise need not be made. */
  get heard(): boolean {
    return this.listeners.size > 0;
  }

  report(event: ResilienceEvent): void {
    if (this.listeners.size === 0) return;
    if (this.waiting.length === MAX_WAITING) {
      this.lost++;
      return;
    }
    if (this.waiting.push(event) === 1) queueMicrotask(() => this.tell());
  }

  private tell(): void {
    const events = this.waiting;
    this.waiting = [];
    for (const event of events) {
      for (const listener of this.listeners) {
        try {
          listener(event);
        } catch (thrown) {
          this.listenerFailures++;
          this.failed(errorMessage(thrown));
        }
      }
    }
  }
}
