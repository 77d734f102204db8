// Calls through the layers of given strategies on a clock that a test turns by hand.

import { FakeClock } from '@datawarehouse/sdk/testing';
import type { Action, CallOptions, CallPath, Ending } from '../engine/call.js';
import { callThrough } from '../engine/call.js';
import type { ResilienceEvent } from '../engine/events.js';
import type { Strategy, StrategyContext } from '../engine/strategy.js';

/** A place where strategies are tried. */
export class StrategyBench {
  readonly clock = new FakeClock({ now: 1_000.25 });
  readonly events: ResilienceEvent[] = [];
  readonly endings: Ending[] = [];
  readonly context: StrategyContext = {
    policy: 'tried',
    clock: this.clock,
    random: () => 0.5,
    report: (event) => void this.events.push(event),
  };
  private readonly paths = new Map<string, CallPath>();
  private strategies: readonly Strategy[] = [];

  /** The strategies that calls go through from now on, outermost first. */
  use(...strategies: readonly Strategy[]): void {
    this.strategies = strategies;
    this.paths.clear();
  }

  /** The row of layers of a key. */
  path(key: string): CallPath {
    let path = this.paths.get(key);
    if (path === undefined) {
      path = {
        layers: this.strategies.map((strategy) => strategy.layer(key)),
        givesUp: this.strategies.some(({ givesUp }) => givesUp),
        ended: (_call, ending) => void this.endings.push(ending),
      };
      this.paths.set(key, path);
    }
    return path;
  }

  run<T>(action: Action<T>, options?: CallOptions, key = ''): Promise<T> {
    return callThrough(this.path(key), key, action, this.clock.now(), options);
  }

  /** Whether the layers of a key may be forgotten. */
  idle(key = ''): boolean {
    return this.path(key).layers.every((layer) => layer.idle(this.clock.now()));
  }
}

/** What a test may say of a {@link HeldCall}. */
export interface HeldCallOptions extends CallOptions {
  readonly key?: string;
  /** Called when the action begins, and when it ends. */
  readonly onBegin?: () => void;
  readonly onEnd?: () => void;
}

/** A call whose action ends when the test says so. */
export class HeldCall {
  begun = false;
  outcome: 'pending' | 'succeeded' | 'failed' = 'pending';
  error: unknown;
  /** Times that the caller was answered. */
  settled = 0;
  readonly controller = new AbortController();
  readonly done: Promise<void>;
  private finishers: { resolve: (value: unknown) => void; reject: (error: unknown) => void }[] = [];

  constructor(bench: StrategyBench, options: HeldCallOptions = {}) {
    const { key = '', onBegin, onEnd, ...callOptions } = options;
    const action = (signal: AbortSignal): Promise<unknown> => {
      this.begun = true;
      onBegin?.();
      return new Promise((resolve, reject) => {
        let over = false;
        const once =
          (settle: (value: unknown) => void) =>
          (value: unknown): void => {
            if (over) return;
            over = true;
            onEnd?.();
            settle(value);
          };
        const finisher = { resolve: once(resolve), reject: once(reject) };
        this.finishers.push(finisher);
        signal.addEventListener('abort', () => finisher.reject(signal.reason));
      });
    };
    this.done = bench.run(action, { ...callOptions, signal: this.controller.signal }, key).then(
      () => this.settle('succeeded', undefined),
      (error: unknown) => this.settle('failed', error),
    );
  }

  /** The action ends well. */
  finish(value?: unknown): void {
    for (const { resolve } of this.finishers) resolve(value);
  }

  /** The action fails. */
  break(error: unknown): void {
    for (const { reject } of this.finishers) reject(error);
  }

  /** The caller does not want it any more. */
  cancel(): void {
    this.controller.abort(new Error('not wanted'));
  }

  private settle(outcome: 'succeeded' | 'failed', error: unknown): void {
    this.outcome = outcome;
    this.error = error;
    this.settled++;
  }
}

/** Makes a {@link HeldCall}. */
export function hold(bench: StrategyBench, options?: HeldCallOptions): HeldCall {
  return new HeldCall(bench, options);
}

/** Lets all microtasks that are there run, and those that they make. */
export async function turns(count = 20): Promise<void> {
  for (let n = 0; n < count; n++) await Promise.resolve();
}
