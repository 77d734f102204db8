// What a strategy is to the engine. A policy is a row of layers around an action, outermost first; a call goes in through
// all of them, and its outcome comes out through them in reverse.

import type { ResilienceStrategyType } from '@datawarehouse/sdk';
import type { Call } from './call.js';

/** The strategies there are. */
export type StrategyType = ResilienceStrategyType;

/**
 * Where a call goes next.
 * - `in`: to the next layer inward, or to the action
 * - `out`: to the next layer outward, with the outcome that the call holds
 * - `wait`: nowhere; the layer keeps the call and lets it go on with `goIn` or `goOut`
 */
export type Step = 'in' | 'out' | 'wait';

/**
 * One strategy for one (policy, key). Its methods run to their end at once and throw nothing: a call that fails is given
 * an outcome (`call.fail`). `at` is the layer's place in the row of this call.
 *
 * Of each `enter` that did not answer `out`, exactly one `leave` or `abandon` follows; a `leave` that answers `in` or
 * `wait` counts as an `enter`.
 */
export interface Layer {
  readonly type: StrategyType;
  /** A call comes in. `out` after `call.fail` or `call.succeed`: it goes no further, and this layer does not see it again. */
  enter(call: Call, at: number): Step;
  /** The outcome of what is inside comes out. */
  leave(call: Call, at: number): Step;
  /**
   * The call is given up, by its caller or by a layer further out, wherever it is now: waiting here, or inside. All that
   * the layer holds for it is let go of. It says nothing about how the action is.
   */
  abandon(call: Call, at: number): void;
  /** Whether forgetting this layer now loses nothing: nobody is inside or waits, and the state is that of a new one. */
  idle(now: number): boolean;
  /** Its state, for an operator: plain JSON. A layer without state has none. */
  view?(now: number): Readonly<Record<string, unknown>>;
}
