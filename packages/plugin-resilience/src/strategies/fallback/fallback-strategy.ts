// Gives a value in place of an error: the one of the options, or what the caller's function makes of the error. That
// function may be asynchronous; the call then waits here, and is given up like any other that waits.

import type { Call } from '../../engine/call.js';
import { isThenable } from '../../engine/waiter.js';
import { REPLACED_BY_DEFAULT, compileErrorMatch } from '../../engine/error-match.js';
import type { ErrorPredicate } from '../../engine/error-match.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { outerDeadlinePassed } from '../timeout/call-deadline.js';
import type { FallbackOptions } from './fallback-options.js';

/** The fallback of a policy. All keys share one layer. */
export class FallbackStrategy implements Strategy<FallbackOptions>, Layer {
  readonly type = 'fallback';
  readonly givesUp = false;
  private isReplaced: ErrorPredicate;
  /** Calls that were given another value. */
  private used = 0;
  /** Functions of callers that failed; their errors came out. */
  private failed = 0;
  /** Errors that there was nothing to stand in for. */
  private without = 0;
  /** Calls that would have been given another value. */
  private wouldUse = 0;
  /** Calls that wait for their caller's function now. */
  private waiting = 0;

  constructor(
    public options: FallbackOptions,
    private readonly context: StrategyContext,
  ) {
    this.isReplaced = compileErrorMatch(options.handle, REPLACED_BY_DEFAULT);
  }

  configure(options: FallbackOptions): void {
    this.options = options;
    this.isReplaced = compileErrorMatch(options.handle, REPLACED_BY_DEFAULT);
  }

  layer(): Layer {
    return this;
  }

  forget(): void {
    // All keys share one layer, which holds nothing for a key.
  }

  /** `waiting` is a gauge. */
  counters(): Readonly<Record<string, number>> {
    return {
      used: this.used,
      failed: this.failed,
      without: this.without,
      wouldUse: this.wouldUse,
      waiting: this.waiting,
    };
  }

  enter(): Step {
    return 'in';
  }

  leave(call: Call, at: number): Step {
    if (!call.failed || !this.isReplaced(call.value, call.rejectedBy)) return 'out';
    const { value, dryRun } = this.options;
    const { fallback } = call.options;
    if (fallback === undefined && value === undefined) {
      this.without++;
      return 'out';
    }
    this.report(call, dryRun);
    if (dryRun) {
      this.wouldUse++;
      return 'out';
    }
    if (fallback !== undefined) return this.ask(call, at, fallback);
    this.used++;
    // Each caller gets its own: what one does to it is not seen by the next.
    call.succeed(typeof value === 'object' ? structuredClone(value) : value);
    return 'out';
  }

  abandon(call: Call, at: number): void {
    if (call.notes[at] === undefined) return;
    call.notes[at] = undefined;
    this.waiting--;
  }

  idle(): boolean {
    return true;
  }

  private ask(call: Call, at: number, fallback: (error: unknown) => unknown): Step {
    // A call whose time is over must not begin to wait again.
    if (outerDeadlinePassed(call, at)) return 'out';
    let made: unknown;
    try {
      made = call.asCaller(fallback, call.value);
    } catch (thrown) {
      this.settle(call, true, thrown);
      return 'out';
    }
    if (!isThenable(made)) {
      this.settle(call, false, made);
      return 'out';
    }
    // What comes when the call was given up is nobody's affair, even when the same call waits here anew by then.
    const waits = {};
    call.notes[at] = waits;
    this.waiting++;
    const came = (failed: boolean, value: unknown): void => {
      if (call.notes[at] !== waits) return;
      call.notes[at] = undefined;
      this.waiting--;
      this.settle(call, failed, value);
      call.goOut(at);
    };
    Promise.resolve(made).then(
      (value) => came(false, value),
      (error: unknown) => came(true, error),
    );
    return 'wait';
  }

  private settle(call: Call, failed: boolean, value: unknown): void {
    if (failed) {
      this.failed++;
      call.failAsAction(value);
      return;
    }
    this.used++;
    call.succeed(value);
  }

  private report(call: Call, dryRun: boolean): void {
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key: call.key,
      strategy: 'fallback',
      action: 'fallback used',
      dryRun,
    });
  }
}
