// An adaptive limit of concurrency: a bulkhead whose bound is learned, for each key, from how long calls take. How it is
// learned is in learned-limit.ts; here are the calls.
//
// Every call that was inside counts: one that failed, timed out or was given up for at least as long as it was inside,
// so that the calls which an ill server never answers are not left out of the measure. The order of those who wait, and
// what is promised to them, is as in a bulkhead.

import type { Call } from '../../engine/call.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { concurrencyLimited } from '../../errors.js';
import { Places, PlacesOfAllKeys } from '../waiting/places.js';
import type { Waiter } from '../waiting/waiting-line.js';
import type { AdaptiveConcurrencyOptions } from './adaptive-concurrency-options.js';
import type { SampleKind } from './latency-window.js';
import type { LimitStep } from './learned-limit.js';
import { LearnedLimit } from './learned-limit.js';

/** What was learned longer ago than this says little about now: a key that nobody has used since may be forgotten. */
export const FORGOTTEN_AFTER_MS = 60_000;

/** Steps are told when they add up to this part of the limit: each one would be several lines a second. */
const TOLD_PART = 0.1;

/** An adaptive limit for each key, and what they have in common. */
export class AdaptiveConcurrencyStrategy implements Strategy<AdaptiveConcurrencyOptions> {
  readonly type = 'adaptive-concurrency';
  readonly givesUp = false;
  /** Calls turned away. */
  rejected = 0;
  /** Calls that had to wait. */
  queued = 0;
  /** Calls that waited and were given up. */
  cancelledWaiting = 0;
  /** Calls that a dry run let in above the limit. */
  wouldReject = 0;
  /** Calls that a dry run let in at once and that would have had to wait. */
  wouldQueue = 0;
  /** Steps that raised a limit. */
  increases = 0;
  /** Steps that lowered a limit. */
  decreases = 0;
  /** Keys there are. */
  keys = 0;
  /** Sum of their limits, each as of its last step. */
  limits = 0;
  /** What the layers share. */
  readonly places: PlacesOfAllKeys;
  private current: AdaptiveConcurrencyOptions;

  constructor(
    options: AdaptiveConcurrencyOptions,
    readonly context: StrategyContext,
  ) {
    this.current = options;
    this.places = new PlacesOfAllKeys(context.clock);
  }

  get options(): AdaptiveConcurrencyOptions {
    return this.current;
  }

  /** What was learned stays, as far as the bounds allow it; `initial` is for keys that come later. */
  configure(options: AdaptiveConcurrencyOptions): void {
    this.current = options;
    this.places.turns.boundsChanged();
  }

  layer(key: string): Layer {
    return new AdaptiveConcurrencyLayer(this, key);
  }

  forget(layer: Layer): void {
    if (!(layer instanceof AdaptiveConcurrencyLayer)) return;
    this.keys--;
    this.limits -= layer.limit;
  }

  counters(): Readonly<Record<string, number>> {
    const { places } = this;
    return {
      rejected: this.rejected,
      queued: this.queued,
      letInAfterWait: places.letInAfterWait,
      cancelledWaiting: this.cancelledWaiting,
      wouldReject: this.wouldReject,
      wouldQueue: this.wouldQueue,
      increases: this.increases,
      decreases: this.decreases,
      inside: places.inside,
      waiting: places.room.size,
      oldestWaitMs: places.room.oldestWaitMs(this.context.clock.now()),
      keys: this.keys,
      limits: this.limits,
    };
  }

  /** Tells an operator what was done to a call, or would have been. */
  acted(key: string, dryRun: boolean): void {
    const { policy } = this.context;
    const told = { policy, key, action: 'rejected', dryRun };
    this.context.report({ kind: 'acted', strategy: 'adaptive-concurrency', ...told });
  }

  /** Counts a step of a key, and tells an operator of it if `told`. */
  stepped({ previous, current, reason }: LimitStep, key: string, told: number): void {
    const { options, context } = this;
    if (current > previous) this.increases++;
    if (current < previous) this.decreases++;
    if (told === current) return;
    context.report({
      kind: 'adapted',
      policy: context.policy,
      strategy: options.name ?? 'adaptive-concurrency',
      limit: 'concurrency',
      previous: told,
      current,
      reason: key === '' ? reason : `${key}: ${reason}`,
    });
  }
}

/** The limit of one key. A call's note is the waiter while it waits, and the time at which it came in afterwards. */
class AdaptiveConcurrencyLayer extends Places implements Layer {
  readonly type = 'adaptive-concurrency';
  /** The limit as it was counted last. */
  limit: number;
  private readonly learned: LearnedLimit;
  /** The limit that an operator was told last. */
  private told: number;
  private lastEnded = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly strategy: AdaptiveConcurrencyStrategy,
    private readonly key: string,
  ) {
    super(strategy.places);
    const { options, context } = strategy;
    this.learned = new LearnedLimit(options.initial, context.clock.now());
    this.limit = this.told = this.learned.learned(options);
    strategy.keys++;
    strategy.limits += this.limit;
  }

  enter(call: Call, at: number): Step {
    const { strategy } = this;
    const { options } = strategy;
    const now = strategy.context.clock.now();
    if (options.dryRun) this.countDry(options);
    switch (this.come(call, at, options.queue, now)) {
      case 'inside':
        call.notes[at] = now;
        this.learned.entered(this.inside);
        return 'in';
      case 'waiting':
        strategy.queued++;
        return 'wait';
      case 'full':
        strategy.rejected++;
        strategy.acted(this.key, false);
        call.fail(concurrencyLimited(strategy.context.policy, this.key, this.inside));
        return 'out';
    }
  }

  leave(call: Call, at: number): Step {
    this.ended(call, at, call.failed ? 'failed' : 'succeeded');
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const note = call.notes[at] as Waiter | number;
    if (typeof note === 'number') {
      this.ended(call, at, 'abandoned');
      return;
    }
    this.quit(note);
    call.notes[at] = undefined;
    this.strategy.cancelledWaiting++;
  }

  idle(now: number): boolean {
    return this.empty && now - this.lastEnded >= FORGOTTEN_AFTER_MS;
  }

  override view(): Readonly<Record<string, number>> {
    const { options } = this.strategy;
    const { baselineMs } = this.learned;
    return {
      limit: this.learned.current(options),
      ...super.view(),
      ...(baselineMs === undefined ? {} : { withoutLoadMs: baselineMs }),
    };
  }

  protected bound(): number {
    const { options } = this.strategy;
    return options.dryRun ? Number.POSITIVE_INFINITY : this.learned.current(options);
  }

  protected taken({ call, at }: Waiter): void {
    call.notes[at] = this.strategy.context.clock.now();
    this.learned.entered(this.inside);
  }

  private ended(call: Call, at: number, kind: SampleKind): void {
    const { strategy } = this;
    const now = strategy.context.clock.now();
    const startedAt = call.notes[at] as number;
    call.notes[at] = undefined;
    this.lastEnded = now;
    const step = this.learned.ended(kind, startedAt, now, this.inside - 1, strategy.options);
    if (step !== undefined) this.stepped(step);
    // After the step: as many are let in as there is room for now.
    this.release();
  }

  private stepped(step: LimitStep): void {
    const { strategy } = this;
    const { current } = step;
    strategy.limits += current - this.limit;
    this.limit = current;
    const worthTelling = Math.abs(current - this.told) >= Math.max(1, TOLD_PART * this.told);
    strategy.stepped(step, this.key, worthTelling ? this.told : current);
    if (worthTelling) this.told = current;
  }

  private countDry(options: AdaptiveConcurrencyOptions): void {
    const { strategy } = this;
    const limit = this.learned.current(options);
    if (this.inside < limit) return;
    if (this.inside < limit + options.queue) {
      strategy.wouldQueue++;
      return;
    }
    strategy.wouldReject++;
    strategy.acted(this.key, true);
  }
}
