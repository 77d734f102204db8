// Begins another attempt when one takes long, and takes the first success. The call makes the first attempt itself, so
// that one that answers in time costs a deadline and no more; further attempts are forks. Whoever is not first is given
// up at once. An attempt whose failure is handled lets the next one begin without waiting.

import type { Call } from '../../engine/call.js';
import { deadlinesOf } from '../../engine/deadline-queue.js';
import type { Deadlines } from '../../engine/deadline-queue.js';
import { FAILURE_BY_DEFAULT, compileErrorMatch } from '../../engine/error-match.js';
import type { ErrorPredicate } from '../../engine/error-match.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { attemptNotNeeded } from '../../errors.js';
import { outerDeadlinePassed } from '../timeout/call-deadline.js';
import type { HedgeOptions } from './hedge-options.js';
import { HedgeRun } from './hedge-run.js';
import type { HedgeRunOwner } from './hedge-run.js';

/** The hedge of a policy. Stateless but for the calls inside: all keys share one layer. */
export class HedgeStrategy implements Strategy<HedgeOptions>, Layer, HedgeRunOwner {
  readonly type = 'hedge';
  /** The first attempt is given up while the caller waits, when another one was faster. */
  readonly givesUp = true;
  private readonly deadlines: Deadlines;
  private isHandled: ErrorPredicate;
  /** Attempts begun beyond the first. */
  private hedges = 0;
  /** Calls that such an attempt answered. */
  private wins = 0;
  /** Calls of which every attempt failed. */
  private exhausted = 0;
  /** Attempts that would have begun. */
  private wouldHedge = 0;

  constructor(
    public options: HedgeOptions,
    private readonly context: StrategyContext,
  ) {
    this.deadlines = deadlinesOf(context.clock);
    this.isHandled = compileErrorMatch(options.handle, FAILURE_BY_DEFAULT);
  }

  /** Acts on every attempt that is decided on from now on. A deadline that runs keeps its time. */
  configure(options: HedgeOptions): void {
    this.options = options;
    this.isHandled = compileErrorMatch(options.handle, FAILURE_BY_DEFAULT);
  }

  layer(): Layer {
    return this;
  }

  forget(): void {
    // All keys share one layer, which holds nothing for a key.
  }

  counters(): Readonly<Record<string, number>> {
    return {
      hedges: this.hedges,
      wins: this.wins,
      exhausted: this.exhausted,
      wouldHedge: this.wouldHedge,
    };
  }

  enter(call: Call, at: number): Step {
    const run = new HedgeRun(this, call, at);
    call.notes[at] = run;
    this.expectNext(run);
    return 'in';
  }

  /** The attempt that the call itself makes has its outcome. */
  leave(call: Call, at: number): Step {
    const run = call.notes[at] as HedgeRun;
    if (call.failed && this.isHandled(call.value, call.rejectedBy) && !outerDeadlinePassed(call, at)) {
      if (this.mayBegin(run) && this.count(run)) {
        this.expectNext(run);
        return 'in';
      }
      if (run.forks > 0) {
        run.inside = false;
        return 'wait';
      }
      this.exhausted++;
    }
    this.finish(run);
    return 'out';
  }

  abandon(call: Call, at: number): void {
    // Whoever gives a call up has failed it with the reason first, unless another attempt of it was faster.
    this.finish(call.notes[at] as HedgeRun, call.failed ? call.value : undefined);
  }

  idle(): boolean {
    return true;
  }

  takesLong(run: HedgeRun): void {
    if (this.mayBegin(run)) this.begin(run);
    this.expectNext(run);
  }

  private mayBegin(run: HedgeRun): boolean {
    return !run.over && run.hedges < this.options.maxHedges && !outerDeadlinePassed(run.call, run.at);
  }

  /** Sets when the next attempt begins, if there may be one; begins it when no time is to pass. */
  private expectNext(run: HedgeRun): void {
    run.clear();
    while (this.mayBegin(run)) {
      const { delayMs } = this.options;
      if (delayMs > 0) {
        this.deadlines.set(run, delayMs);
        return;
      }
      this.begin(run);
    }
  }

  /** Counts one more attempt. @returns whether it is to be made: not on a dry run. */
  private count(run: HedgeRun): boolean {
    const { dryRun, maxHedges } = this.options;
    run.hedges++;
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key: run.call.key,
      strategy: 'hedge',
      action: `hedge ${run.hedges} of ${maxHedges} begun`,
      dryRun,
    });
    if (dryRun) this.wouldHedge++;
    else this.hedges++;
    return !dryRun;
  }

  private begin(run: HedgeRun): void {
    if (!this.count(run)) return;
    const fork = run.call.fork(run.at, (ended) => this.forkEnded(run, ended), this.context.clock.now());
    run.add(fork);
    fork.start();
  }

  private forkEnded(run: HedgeRun, fork: Call): void {
    // Given up by this layer: nobody asks.
    if (!run.remove(fork)) return;
    if (!fork.failed) {
      this.wins++;
      this.conclude(run, fork);
      return;
    }
    if (!this.isHandled(fork.value, fork.rejectedBy)) {
      this.conclude(run, fork);
      return;
    }
    if (this.mayBegin(run)) {
      this.begin(run);
      this.expectNext(run);
      return;
    }
    if (run.inside || run.forks > 0) return;
    this.exhausted++;
    this.conclude(run, fork);
  }

  /** The outcome of `fork` is that of the call. */
  private conclude(run: HedgeRun, fork: Call): void {
    const { call, at } = run;
    this.finish(run);
    call.endLike(fork);
    if (run.inside) call.giveUp(at, attemptNotNeeded(this.context.policy, call.key));
    else call.goOut(at);
  }

  /** Gives up what still runs and waits. @param reason Default: another attempt was faster. */
  private finish(run: HedgeRun, reason?: unknown): void {
    const forks = run.finish();
    if (forks.length === 0) return;
    const why = reason ?? attemptNotNeeded(this.context.policy, run.call.key);
    for (const fork of forks) fork.cancel(why);
  }
}
