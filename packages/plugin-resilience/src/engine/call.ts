// One call under a policy: its way in through the layers, its attempts, and its one outcome. It is a small state machine
// and no chain of async functions, so that a call that succeeds at once costs one promise, and so that it can be given
// up from outside at any moment with every layer let go of.

import type { Action, CallOptions, CallPath, Ending } from './call-path.js';
import { CallerContext } from './caller-context.js';
import { rejectingStrategy } from '../errors.js';
import { throwLater } from './defect.js';
import type { Layer, Step, StrategyType } from './layer.js';
import { proceed, undisturbed } from './driving.js';
import { pendingPromise } from './pending-promise.js';
import { forgetCall, watchSignal } from './signal-watch.js';
import type { Waiter } from './waiter.js';
import { isThenable, waiterFor } from './waiter.js';

export type { Action, CallOptions, CallPath, Ending } from './call-path.js';

const NO_OPTIONS: CallOptions = Object.freeze({});
/** Of calls that pass no layer. Nobody writes to it. */
const NO_NOTES: unknown[] = [];
/** One call. */
export class Call {
  /** The outcome: what the action resolved with, or what it or a layer failed with. */
  value: unknown = undefined;
  /** What a layer keeps of this call, by the layer's place. */
  readonly notes: unknown[];
  /** Place among the calls under way, for those who keep them; -1 when it is not among them. */
  place = -1;
  /** What {@link value} is: that, or an error, and whose. Means something while an outcome comes out. */
  private outcome: 'value' | 'error-of-layer' | 'error-of-action' = 'value';
  /** Settles the caller's promise, if it was not settled when the caller got it. */
  private resolve: ((value: unknown) => void) | undefined = undefined;
  private reject: ((reason: unknown) => void) | undefined = undefined;
  /** The layers from `floor` up to here have been entered. */
  private depth: number;
  /** The action's run that counts; earlier ones were given up, and what becomes of them is nobody's affair. */
  private run = 0;
  /** Whether it is going on at this moment, and passes a layer or begins the action. */
  private driven = false;
  /** Hears of the end of that run. */
  private waiter: Waiter | undefined = undefined;
  private state: 'going-in' | 'going-out' | 'acting' | 'waiting' | 'ended' = 'going-in';
  private controller: AbortController | undefined = undefined;
  /** The caller's context; known at the latest when the call may go on outside of it. */
  private context: CallerContext | undefined = undefined;
  /** Whether the call goes on in the context of somebody else: a timer, or another call. */
  private strayed = false;

  /**
   * @param floor The call's first layer; those before it belong to the call that it was forked from.
   * @param settled Told of the outcome, once, in place of a caller that has a promise.
   */
  constructor(
    readonly path: CallPath,
    readonly key: string,
    private readonly action: Action<unknown>,
    readonly options: CallOptions,
    private readonly floor: number,
    private readonly settled: ((call: Call) => void) | undefined,
    /** Time at which it began, monotonic ms. */
    readonly startedAt: number,
  ) {
    this.depth = floor;
    // Of its full length at once: growing one by one would make it several times as large.
    const places = path.layers.length;
    // oxlint-disable-next-line unicorn/no-new-array -- a length is meant, and Array.from costs a loop
    this.notes = places === 0 ? NO_NOTES : new Array(places);
  }

  /** Whether {@link value} is an error. Means something while an outcome comes out. */
  get failed(): boolean {
    return this.outcome !== 'value';
  }

  /**
   * The strategy of this call's own policy that turned it away. Undefined for what its action failed with, also when that
   * is the rejection of a call that the action made under this or another policy: to this call it is an error like others.
   */
  get rejectedBy(): StrategyType | undefined {
    return this.outcome === 'error-of-layer' ? rejectingStrategy(this.value) : undefined;
  }

  /** Whether it has an outcome that nothing changes any more. */
  get ended(): boolean {
    return this.state === 'ended';
  }

  /** Whether the action runs for this very call, and not for a fork of it. */
  get acting(): boolean {
    return this.state === 'acting';
  }

  get priority(): number {
    return this.options.priority ?? 0;
  }

  /** Begins. */
  start(): void {
    const { signal } = this.options;
    if (signal !== undefined) {
      try {
        if (signal.aborted) {
          this.cancel(signal.reason);
          return;
        }
        watchSignal(signal, this);
      } catch (error) {
        // It is no signal.
        this.fail(error);
        this.end('failed');
        return;
      }
    }
    // Whoever gives the call up later does so in a context of its own.
    if (this.path.givesUp) this.context ??= new CallerContext();
    if (proceed(this)) return;
    // Begun within another call's action: it goes after that call, in whatever context that has then.
    this.strayed = true;
    this.context ??= new CallerContext();
  }

  /** Gives the call a value, in place of what is inside. One that has ended keeps its outcome. */
  succeed(value: unknown): void {
    this.become('value', value);
  }

  /** Gives the call an error of a layer, in place of what is inside. One that has ended keeps its outcome. */
  fail(error: unknown): void {
    this.become('error-of-layer', error);
  }

  /** As {@link fail}, with what a function of the caller has thrown. */
  failAsAction(error: unknown): void {
    this.become('error-of-action', error);
  }

  /** Gives the call the outcome of another one for what is inside: a fork of it, or of one that it shares it with. */
  endLike(other: Call): void {
    this.become(other.outcome, other.value);
  }

  private become(outcome: Call['outcome'], value: unknown): void {
    if (this.state === 'ended') return;
    this.outcome = outcome;
    this.value = value;
  }

  /** Lets a call that waits at layer `at` go on to what is inside. */
  goIn(at: number): void {
    if (this.state !== 'waiting' || this.depth !== at + 1) return;
    this.strayed = true;
    this.state = 'going-in';
    proceed(this);
  }

  /** Lets a call that waits at layer `at` go out from there, with the outcome that it was given. */
  goOut(at: number): void {
    if (this.state !== 'waiting' || this.depth !== at + 1) return;
    this.strayed = true;
    this.depth = at;
    this.state = 'going-out';
    proceed(this);
  }

  /**
   * Layer `at`, which the call is inside of, waits for it no longer: what is further in is given up, and the call goes
   * out from there with the outcome that it was given.
   */
  giveUp(at: number, why: unknown): void {
    if (this.state === 'ended' || this.depth <= at) return;
    this.strayed = true;
    this.interrupt(why, () => {
      this.abandonDownTo(at + 1);
      this.depth = at;
      this.state = 'going-out';
      // Given up by something that it passes now, it goes on when that has returned, and never twice at once.
      if (!this.driven) this.drive();
    });
  }

  /** Gives the whole call up. Nothing of it is a failure of the action. */
  cancel(reason: unknown): void {
    if (this.state === 'ended') return;
    this.interrupt(reason, () => {
      this.fail(reason);
      this.end('cancelled');
      this.abandonDownTo(this.floor);
    });
  }

  /**
   * Tells the action's signal that it is not waited for any more, and leaves the action to its end: the call goes on
   * waiting for it.
   */
  hint(why: unknown): void {
    this.controller?.abort(why);
  }

  /** A call for what is inside of layer `at`, on its own: it has no caller to give it up but the layer. */
  fork(at: number, settled: (call: Call) => void, now: number): Call {
    const { signal: _caller, ...options } = this.options;
    const fork = new Call(this.path, this.key, this.action, options, at + 1, settled, now);
    fork.context = this.context;
    fork.strayed = true;
    return fork;
  }

  /** Calls a function of the caller as if the caller did: in its asynchronous context. */
  asCaller<T, Result>(fn: (argument: T) => Result, argument: T): Result {
    return this.strayed && this.context !== undefined
      ? this.context.runInAsyncScope(fn, undefined, argument)
      : fn(argument);
  }

  /** Goes as far as it can. For the engine alone. */
  drive(): void {
    const { layers } = this.path;
    this.driven = true;
    for (;;) {
      if (this.state === 'going-in') {
        const at = this.depth;
        if (at === layers.length) this.act();
        else this.follow(at, layers[at] as Layer, 'enter');
      } else if (this.state === 'going-out') {
        if (this.depth === this.floor) {
          this.end(this.failed ? 'failed' : 'succeeded');
          break;
        }
        const at = --this.depth;
        this.follow(at, layers[at] as Layer, 'leave');
      } else break;
    }
    this.driven = false;
  }

  /** Passes one layer, which is not among those entered until it has answered. */
  private follow(at: number, layer: Layer, way: 'enter' | 'leave'): void {
    const { run } = this;
    let step: Step;
    try {
      step = way === 'enter' ? layer.enter(this, at) : layer.leave(this, at);
    } catch (error) {
      // A defect of the layer, which has nothing to say any more: the call fails with it.
      if (run === this.run) this.fail(error);
      step = 'out';
    }
    if (run !== this.run) {
      // Given up by something that the layer called: the call is elsewhere by now, or over.
      if (step !== 'out') this.letGo(layer, at);
      return;
    }
    if (step === 'out') {
      this.state = 'going-out';
      return;
    }
    this.depth = at + 1;
    this.state = step === 'in' ? 'going-in' : 'waiting';
    if (step === 'wait') this.context ??= new CallerContext();
  }

  /** Runs the action once, in the caller's context. Its outcome may be there already. */
  private act(): void {
    const { context } = this;
    if (this.strayed && context !== undefined) context.runInAsyncScope(() => this.actHere());
    else this.actHere();
  }

  private actHere(): void {
    const run = ++this.run;
    this.state = 'acting';
    let running: unknown;
    try {
      running = this.action.length === 0 ? (this.action as () => unknown)() : this.action(this.signalOfRun());
      if (!isThenable(running)) {
        this.came(run, false, running);
        return;
      }
      const waiter = waiterFor(running);
      if (!waiter.again) {
        // What is no promise of the language calls back in the context of whoever settles it.
        this.context ??= new CallerContext();
        this.strayed = true;
      }
      // The action may have given its own call up. Its promise is waited for all the same, or its failure would be an
      // unhandled rejection.
      if (run === this.run) {
        waiter.call = this;
        this.waiter = waiter;
      }
      running.then(waiter.fulfilled, waiter.rejected);
    } catch (error) {
      if (run === this.run) this.leaveWaiter();
      this.came(run, true, error);
    }
  }

  /** The run that counts has ended. For its waiter alone. */
  acted(failed: boolean, value: unknown): void {
    this.waiter = undefined;
    if (this.came(this.run, failed, value)) proceed(this);
  }

  /** @returns false when nobody waits for this run any more. */
  private came(run: number, failed: boolean, value: unknown): boolean {
    if (run !== this.run || this.state !== 'acting') return false;
    this.controller = undefined;
    this.outcome = failed ? 'error-of-action' : 'value';
    this.value = value;
    this.state = 'going-out';
    return true;
  }

  private leaveWaiter(): void {
    if (this.waiter === undefined) return;
    this.waiter.call = undefined;
    this.waiter = undefined;
  }

  private signalOfRun(): AbortSignal {
    const { signal } = this.options;
    if (signal !== undefined && !this.path.givesUp) return signal;
    this.controller = new AbortController();
    return this.controller.signal;
  }

  /** Does `change` after the action was told, and lets nobody else begin before the action could unwind. */
  private interrupt(why: unknown, change: () => void): void {
    undisturbed(() => {
      this.run++;
      this.leaveWaiter();
      const { controller } = this;
      this.controller = undefined;
      controller?.abort(why);
      // The action, when it was told, may have had its caller give the call up.
      if (!this.ended) change();
    });
  }

  private abandonDownTo(lowest: number): void {
    const { layers } = this.path;
    while (this.depth > lowest) {
      const at = --this.depth;
      this.letGo(layers[at] as Layer, at);
    }
  }

  private letGo(layer: Layer, at: number): void {
    try {
      layer.abandon(this, at);
    } catch (error) {
      // A defect of the layer. The others must be let go of all the same.
      throwLater(error);
    }
  }

  private end(ending: Ending): void {
    this.state = 'ended';
    const { signal } = this.options;
    if (signal !== undefined) forgetCall(signal, this);
    if (this.failed) this.reject?.(this.value);
    else this.resolve?.(this.value);
    try {
      if (this.floor === 0) this.path.ended(this, ending);
      this.settled?.(this);
    } catch (error) {
      throwLater(error);
    }
  }

  /** The caller's promise. Making one that is settled already costs a fraction of making one to settle later. */
  promise(): Promise<unknown> {
    if (this.state === 'ended') {
      return this.failed ? Promise.reject(this.value) : Promise.resolve(this.value);
    }
    const { promise, resolve, reject } = pendingPromise();
    this.resolve = resolve;
    this.reject = reject;
    return promise;
  }
}

/** Begins a call of `action` through the layers of `path`. It may have ended already. */
export function beginCall(
  path: CallPath,
  key: string,
  action: Action<unknown>,
  now: number,
  options: CallOptions = NO_OPTIONS,
): Call {
  const call = new Call(path, key, action, options, 0, undefined, now);
  call.start();
  return call;
}

/**
 * Runs `action` through the layers of `path`.
 * @returns what the action or a layer gives in the end. @throws what they fail with; the signal's reason.
 */
export function callThrough<T>(
  path: CallPath,
  key: string,
  action: Action<T>,
  now: number,
  options?: CallOptions,
): Promise<T> {
  return beginCall(path, key, action, now, options).promise() as Promise<T>;
}
