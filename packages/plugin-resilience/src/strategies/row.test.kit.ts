// What tests of strategies stand on: a clock turned by hand, a row of strategies around an action, and outcomes with
// the time at which they came.

import type { TSchema } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import type { Action, CallOptions, CallPath, Ending } from '../engine/call.js';
import { callThrough } from '../engine/call.js';
import type { ResilienceEvent } from '../engine/events.js';
import type { Layer } from '../engine/layer.js';
import type { Strategy, StrategyContext } from '../engine/strategy.js';
import { rejectingStrategy } from '../errors.js';

/** What became of a call so far. */
export interface Outcome {
  state: 'pending' | 'succeeded' | 'failed';
  value?: unknown;
  /** Clock's time at which it settled. */
  at?: number;
  /** How often it settled. */
  settled: number;
  /** Called when it settles. */
  onSettled?: () => void;
}

/** A row of strategies, and how its calls ended. */
export interface Row {
  readonly endings: Ending[];
  run<T>(action: Action<T>, options?: CallOptions & { readonly key?: string }): Outcome;
}

/** A clock and a context for strategies. */
export class RowKit {
  readonly clock = new FakeClock();
  readonly events: ResilienceEvent[] = [];
  /** What `random` gives next; the last one again and again. */
  randoms: number[] = [0.5];
  readonly context: StrategyContext = {
    policy: 'p',
    clock: this.clock,
    random: () => (this.randoms.length > 1 ? this.randoms.shift() : this.randoms[0]) ?? 0.5,
    report: (event) => void this.events.push(event),
  };

  /** The actions that were reported: those of dry runs have a `?`. */
  get acted(): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'acted' ? [`${event.action}${event.dryRun ? '?' : ''}`] : [],
    );
  }

  /** Strategies around an action, outermost first. */
  row(...strategies: readonly Pick<Strategy, 'layer' | 'givesUp'>[]): Row {
    const endings: Ending[] = [];
    const path: CallPath = {
      layers: strategies.map((strategy) => strategy.layer('')),
      givesUp: strategies.some(({ givesUp }) => givesUp),
      ended: (_call, ending) => void endings.push(ending),
    };
    return {
      endings,
      run: (action, { key = '', ...options } = {}) => {
        const outcome: Outcome = { state: 'pending', settled: 0 };
        const came = (state: 'succeeded' | 'failed') => (value: unknown) => {
          outcome.settled++;
          outcome.state = state;
          outcome.value = value;
          outcome.at = this.clock.now();
          outcome.onSettled?.();
        };
        callThrough(path, key, action, this.clock.now(), options).then(came('succeeded'), came('failed'));
        return outcome;
      },
    };
  }

  /** An action that takes `ms`, and then gives or throws. It heeds no signal. */
  taking<T>(ms: number, value: T | Error): () => Promise<T> {
    return () =>
      new Promise((resolve, reject) => {
        this.clock.setTimeout(() => {
          if (value instanceof Error) reject(value);
          else resolve(value);
        }, ms);
      });
  }
}

/** Stands for all strategies further in: a rejection that the action fails with is one that they made. */
export const FURTHER_IN: Layer = {
  type: 'chaos',
  enter: () => 'in',
  leave: (call) => {
    if (rejectingStrategy(call.value) !== undefined) call.fail(call.value);
    return 'out';
  },
  abandon: () => {},
  idle: () => true,
};

/** As {@link FURTHER_IN}, for a row. */
export const STRATEGIES_FURTHER_IN = { layer: () => FURTHER_IN, givesUp: false };

/** Options of a strategy: the schema's defaults, and what is `given`. */
export function optionsOf<O extends object>(
  schema: TSchema & { readonly static: O },
  given: Partial<O> = {},
): O {
  const filled: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema['properties'] as Record<string, TSchema>)) {
    const value: unknown = field['const'] ?? field['default'];
    if (value !== undefined) filled[name] = value;
  }
  return { ...filled, ...given } as O;
}
