// The rate limit of one key: its meter, and those who wait for it. Seeing that a call may begin and taking what it needs
// happen in one turn, so no two calls begin for the same token.

import type { TimerHandle } from '@datawarehouse/sdk';
import type { Call } from '../../engine/call.js';
import type { Layer, Step } from '../../engine/layer.js';
import { rateLimited } from '../../errors.js';
import type { WaitingCalls } from '../waiting/entry-turns.js';
import type { Waiter } from '../waiting/waiting-line.js';
import { WaitingLine } from '../waiting/waiting-line.js';
import type { RateLimitStrategy } from './rate-limit-strategy.js';
import type { Meter, Rate } from './rate.js';
import { SlidingWindow } from './sliding-window.js';
import { TokenBucket } from './token-bucket.js';

/** Delays above this are more than timers can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The layer of one key. A call's note is the waiter while it waits, and nothing afterwards. */
export class RateLimitLayer implements Layer, WaitingCalls {
  readonly type = 'rate-limit';
  private meter: Meter;
  private line: WaitingLine | undefined;
  /** Rings when the first in line may begin. Set whenever somebody waits whose turn has not come. */
  private timer: TimerHandle | undefined;

  constructor(
    private readonly strategy: RateLimitStrategy,
    private readonly key: string,
  ) {
    const { rate, context } = strategy;
    const now = context.clock.now();
    this.meter =
      rate.algorithm === 'token-bucket' ? new TokenBucket(rate.burst, rate, now) : new SlidingWindow(0, now);
  }

  enter(call: Call, at: number): Step {
    const { strategy } = this;
    if (this.waiting > 0) this.letIn();
    const { rate, options } = strategy;
    const now = strategy.context.clock.now();
    // Those who wait come first.
    const wait = this.meterOf(rate, now).wait(this.waiting + 1, rate, now);
    if (wait === 0 && this.waiting === 0) {
      this.meter.take(rate, now);
      return 'in';
    }
    const { full } = strategy.room;
    // Those who may begin already, and only have not had their turn, are in nobody's way.
    const inLine = this.waiting === 0 ? 0 : this.waiting - this.meter.free(rate, now);
    const mayWait = wait <= options.maxWaitMs && inLine < options.queue && !full;
    if (options.dryRun && (this.waiting === 0 || full)) return this.letInDry(mayWait, rate, now);
    if (mayWait || options.dryRun) return this.queue(call, at, now);
    strategy.rejected++;
    strategy.tellRejected(this.key, false);
    call.fail(rateLimited(strategy.context.policy, this.key, wait));
    return 'out';
  }

  leave(_call: Call, _at: number): Step {
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const waiter = call.notes[at] as Waiter | undefined;
    if (waiter === undefined) return;
    call.notes[at] = undefined;
    this.line?.remove(waiter);
    this.strategy.cancelledWaiting++;
    if (this.waiting === 0) this.nobodyWaits();
  }

  idle(now: number): boolean {
    const { rate } = this.strategy;
    return this.waiting === 0 && this.meterOf(rate, now).unused(rate, now);
  }

  /** What an operator sees of it. */
  view(now: number): Readonly<Record<string, number>> {
    const { rate } = this.strategy;
    const meter = this.meterOf(rate, now);
    const nextInMs = meter.wait(this.waiting + 1, rate, now);
    return { free: meter.free(rate, now), waiting: this.waiting, nextInMs };
  }

  /** Lets in those whose turn has come, and sets the timer for the next. */
  letIn(): void {
    const { strategy } = this;
    // The rate and the time are read for each: whoever is let in may take long, or change the rate.
    while (this.waiting > 0) {
      const { rate, options } = strategy;
      const now = strategy.context.clock.now();
      const wait = this.meterOf(rate, now).wait(1, rate, now);
      if (wait > 0 && !options.dryRun) {
        this.setTimer(wait);
        return;
      }
      if (!strategy.turns.take(this)) return;
      const waiter = this.line?.shift() as Waiter;
      // One that is being given up by something further out leaves by itself in a moment.
      if (waiter.call.ended) continue;
      this.meter.take(rate, now);
      waiter.call.notes[waiter.at] = undefined;
      strategy.letInAfterWait++;
      waiter.call.goIn(waiter.at);
    }
    this.nobodyWaits();
  }

  private get waiting(): number {
    return this.line === undefined ? 0 : this.line.size;
  }

  /** The meter, which becomes another one when the algorithm was changed: what is free stays free, and nothing else. */
  private meterOf(rate: Rate, now: number): Meter {
    const { meter } = this;
    if (meter.algorithm === rate.algorithm) return meter;
    const free = meter.free(rate, now);
    this.meter =
      rate.algorithm === 'token-bucket'
        ? new TokenBucket(Math.min(rate.burst, free), rate, now)
        : new SlidingWindow(rate.limit - Math.min(rate.limit, free), now);
    return this.meter;
  }

  private queue(call: Call, at: number, now: number): Step {
    const { strategy } = this;
    this.line ??= new WaitingLine(strategy.room);
    call.notes[at] = this.line.push(call, at, now);
    strategy.queued++;
    if (this.line.size === 1) {
      strategy.turns.withWaiters.add(this);
      this.setTimer(this.meter.wait(1, strategy.rate, now));
    }
    return 'wait';
  }

  /** A dry run takes the token that the call would have waited for, so that those after it are judged as they would be. */
  private letInDry(mayWait: boolean, rate: Rate, now: number): Step {
    const { strategy } = this;
    if (mayWait) {
      strategy.wouldQueue++;
      this.meter.take(rate, now);
    } else {
      strategy.wouldReject++;
      strategy.tellRejected(this.key, true);
    }
    return 'in';
  }

  /** Timers may ring a little early; whoever is not due yet is waited for again. */
  private setTimer(delayMs: number): void {
    this.timer?.cancel();
    this.timer = this.strategy.context.clock.setTimeout(() => this.letIn(), Math.min(delayMs, MAX_TIMER_MS));
  }

  private nobodyWaits(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.strategy.turns.withWaiters.delete(this);
  }
}
