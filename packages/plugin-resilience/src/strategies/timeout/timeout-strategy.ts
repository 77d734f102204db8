// Limits the time of what is inside of it. Outside of a retry that is the whole call with its backoffs, inside each
// attempt. The aggressive one answers the caller when the time is over and leaves the action to itself, told by its
// signal; the cooperative one tells the action and waits for it, so that nothing runs on unseen.

import type { Call } from '../../engine/call.js';
import { deadlinesOf } from '../../engine/deadline-queue.js';
import type { Deadlines } from '../../engine/deadline-queue.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { callTimedOut } from '../../errors.js';
import { CallDeadline } from './call-deadline.js';
import type { DeadlineOwner } from './call-deadline.js';
import type { TimeoutOptions } from './timeout-options.js';

/** More deadlines than this are not kept for use: they are for the calls under way at once, not for a burst. */
const MOST_KEPT = 256;

/** The timeout of a policy. Stateless but for the calls inside: all keys share one layer. */
export class TimeoutStrategy implements Strategy<TimeoutOptions>, Layer, DeadlineOwner {
  readonly type = 'timeout';
  readonly givesUp = true;
  private readonly deadlines: Deadlines;
  /** Deadlines of calls that have left, to be used again: a call makes none of its own. */
  private readonly free: CallDeadline[] = [];
  /** Calls whose time was over. */
  private timeouts = 0;
  /** Of these, calls whose action was told and waited for. */
  private told = 0;
  /** Calls that succeeded although they had been told that their time was over. */
  private lateSuccesses = 0;
  /** Calls whose time would have been over. */
  private wouldTimeOut = 0;

  constructor(
    public options: TimeoutOptions,
    private readonly context: StrategyContext,
  ) {
    this.deadlines = deadlinesOf(context.clock);
  }

  /** Acts on calls from now on. Those inside keep the deadline that they have; `mode` is looked at when it passes. */
  configure(options: TimeoutOptions): void {
    this.options = options;
  }

  layer(): Layer {
    return this;
  }

  forget(): void {
    // All keys share one layer, which holds nothing for a key.
  }

  counters(): Readonly<Record<string, number>> {
    return {
      timeouts: this.timeouts,
      told: this.told,
      lateSuccesses: this.lateSuccesses,
      wouldTimeOut: this.wouldTimeOut,
    };
  }

  enter(call: Call, at: number): Step {
    const { timeoutMs } = this.options;
    const deadline = this.free.pop() ?? new CallDeadline(this);
    call.notes[at] = deadline;
    deadline.call = call;
    deadline.at = at;
    deadline.timeoutMs = timeoutMs;
    this.deadlines.set(deadline, timeoutMs);
    return 'in';
  }

  leave(call: Call, at: number): Step {
    const told = this.release(call, at);
    if (told === undefined) return 'out';
    if (call.failed) call.fail(told);
    else this.lateSuccesses++;
    return 'out';
  }

  abandon(call: Call, at: number): void {
    this.release(call, at);
  }

  /** The call is not inside any more. @returns what it was told. */
  private release(call: Call, at: number): unknown {
    const deadline = call.notes[at] as CallDeadline;
    const { told } = deadline;
    deadline.clear();
    call.notes[at] = undefined;
    deadline.call = undefined;
    deadline.told = undefined;
    if (this.free.length < MOST_KEPT) this.free.push(deadline);
    return told;
  }

  idle(): boolean {
    return true;
  }

  timeIsOver(deadline: CallDeadline): void {
    const { call, at, timeoutMs } = deadline;
    if (call === undefined) return;
    const { dryRun, mode } = this.options;
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key: call.key,
      strategy: 'timeout',
      action: `timed out after ${timeoutMs} ms`,
      dryRun,
    });
    if (dryRun) {
      this.wouldTimeOut++;
      return;
    }
    this.timeouts++;
    const error = callTimedOut(this.context.policy, call.key, timeoutMs);
    if (mode === 'cooperative' && call.acting) {
      this.told++;
      deadline.told = error;
      call.hint(error);
      return;
    }
    call.fail(error);
    call.giveUp(at, error);
  }
}
