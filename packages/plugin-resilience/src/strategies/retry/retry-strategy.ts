// Tries again what failed. Between attempts the call waits here and holds nothing but a timer, which goes at once when
// the call is given up. Cancelled calls never come out through here, so a cancellation cannot be retried.

import type { TimerHandle } from '@datawarehouse/sdk';
import type { Call } from '../../engine/call.js';
import { RETRIED_BY_DEFAULT, compileErrorMatch } from '../../engine/error-match.js';
import type { ErrorPredicate } from '../../engine/error-match.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { outerDeadlinePassed } from '../timeout/call-deadline.js';
import { backoffMs } from './backoff.js';
import { retryAfterOf } from './retry-after.js';
import { RetryBudget } from './retry-budget.js';
import type { RetryOptions } from './retry-options.js';

/** What is kept of a call that has failed once. Calls that succeed at once have none. */
interface Retrying {
  /** Retries that were begun or wait. */
  retries: number;
  /** The last wait before the server's hint was looked at, for the decorrelated jitter. */
  delayMs: number;
  /** Set while it waits. */
  timer: TimerHandle | undefined;
}

/** The retry of a policy. Its budget is one for all keys, which share one layer. */
export class RetryStrategy implements Strategy<RetryOptions>, Layer {
  readonly type = 'retry';
  readonly givesUp = false;
  private readonly budget: RetryBudget;
  private isRetried: ErrorPredicate;
  /** First attempts. */
  private calls = 0;
  /** Attempts after the first, those that wait for their time included. */
  private retries = 0;
  /** Calls that succeeded by a retry. */
  private recovered = 0;
  /** Calls whose last retry failed too. */
  private exhausted = 0;
  /** Calls that failed because the budget had no retry for them. */
  private budgetExhausted = 0;
  /** Failures that are not to be tried again. */
  private notRetried = 0;
  /** Calls that would have been tried again. */
  private wouldRetry = 0;
  /** Calls that wait for their next attempt now. */
  private waiting = 0;

  constructor(
    public options: RetryOptions,
    private readonly context: StrategyContext,
  ) {
    this.budget = new RetryBudget(options.budget, context.clock.now());
    this.isRetried = compileErrorMatch(options.handle, RETRIED_BY_DEFAULT);
  }

  /** Acts on every decision from now on, of calls inside too. Who waits for the next attempt waits out its time. */
  configure(options: RetryOptions): void {
    this.options = options;
    this.budget.configure(options.budget, this.context.clock.now());
    this.isRetried = compileErrorMatch(options.handle, RETRIED_BY_DEFAULT);
  }

  layer(): Layer {
    return this;
  }

  forget(): void {
    // All keys share one layer, which holds nothing for a key.
  }

  /** `budgetLeft` is a gauge: retries that the budget allows now, -1 when there is none. So is `waiting`. */
  counters(): Readonly<Record<string, number>> {
    const left = this.budget.left(this.context.clock.now());
    return {
      calls: this.calls,
      retries: this.retries,
      recovered: this.recovered,
      exhausted: this.exhausted,
      budgetExhausted: this.budgetExhausted,
      notRetried: this.notRetried,
      wouldRetry: this.wouldRetry,
      waiting: this.waiting,
      budgetLeft: left === Infinity ? -1 : Math.max(0, Math.floor(left)),
    };
  }

  enter(call: Call, at: number): Step {
    this.calls++;
    this.budget.first(call.startedAt);
    // A call that comes in again, from a retry further out, begins anew.
    if (call.notes[at] !== undefined) call.notes[at] = undefined;
    return 'in';
  }

  leave(call: Call, at: number): Step {
    const retrying = call.notes[at] as Retrying | undefined;
    if (!call.failed) {
      if (retrying !== undefined) this.recovered++;
      return 'out';
    }
    if (!this.isRetried(call.value, call.rejectedBy)) {
      this.notRetried++;
      return 'out';
    }
    const { maxRetries, dryRun } = this.options;
    const retries = retrying?.retries ?? 0;
    if (retries >= maxRetries) {
      this.exhausted++;
      return 'out';
    }
    if (outerDeadlinePassed(call, at)) return 'out';
    if (!this.budget.retry(this.context.clock.now())) {
      this.budgetExhausted++;
      this.report(call, 'retry budget exhausted', dryRun);
      return 'out';
    }
    if (dryRun) {
      this.wouldRetry++;
      this.report(call, `retry 1 of ${maxRetries}`, true);
      return 'out';
    }
    return this.again(call, at, retrying ?? this.begin(call, at));
  }

  abandon(call: Call, at: number): void {
    const retrying = call.notes[at] as Retrying | undefined;
    if (retrying?.timer === undefined) return;
    retrying.timer.cancel();
    retrying.timer = undefined;
    this.waiting--;
  }

  idle(): boolean {
    return true;
  }

  private begin(call: Call, at: number): Retrying {
    const retrying: Retrying = { retries: 0, delayMs: this.options.baseDelayMs, timer: undefined };
    call.notes[at] = retrying;
    return retrying;
  }

  private again(call: Call, at: number, retrying: Retrying): Step {
    const { options } = this;
    retrying.retries++;
    this.retries++;
    retrying.delayMs = backoffMs(options, retrying.retries, retrying.delayMs, this.context.random);
    // Whole milliseconds, upwards: timers of the machine cut fractions off and would be early.
    const delayMs = Math.ceil(Math.max(retrying.delayMs, this.hintMs(call.value)));
    this.report(call, `retry ${retrying.retries} of ${options.maxRetries} in ${delayMs} ms`, false);
    if (delayMs === 0) return 'in';
    this.waiting++;
    retrying.timer = this.context.clock.setTimeout(() => {
      retrying.timer = undefined;
      this.waiting--;
      call.goIn(at);
    }, delayMs);
    return 'wait';
  }

  /** How long the error asks to wait, as far as it is listened to. */
  private hintMs(error: unknown): number {
    const { respectRetryAfter, maxRetryAfterMs } = this.options;
    if (!respectRetryAfter) return 0;
    return Math.min(maxRetryAfterMs, retryAfterOf(error, () => this.context.clock.wallTime()) ?? 0);
  }

  private report(call: Call, action: string, dryRun: boolean): void {
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key: call.key,
      strategy: 'retry',
      action,
      dryRun,
    });
  }
}
