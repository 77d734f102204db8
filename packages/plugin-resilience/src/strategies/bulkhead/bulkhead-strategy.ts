// A bulkhead: no more than so many calls of one key are under way at once, and no more than so many wait for a place.
//
// A call that was allowed to wait gets its place, unless its own queue timeout passes or it is cancelled: lowering the
// queue, the concurrency or the timeout turns away those that come later. After the concurrency was lowered those inside
// count against it until they leave. An attempt that was given up has left, although its action may still be unwinding:
// who wants a place to be held until then uses a cooperative timeout.

import type { Call } from '../../engine/call.js';
import { Deadline, deadlinesOf } from '../../engine/deadline-queue.js';
import type { Layer, Step } from '../../engine/layer.js';
import type { Strategy, StrategyContext } from '../../engine/strategy.js';
import { bulkheadFull, queueTimedOut } from '../../errors.js';
import { Places, PlacesOfAllKeys } from '../waiting/places.js';
import type { Waiter } from '../waiting/waiting-line.js';
import type { BulkheadOptions } from './bulkhead-options.js';

/** A bulkhead for each key, and what they have in common. */
export class BulkheadStrategy implements Strategy<BulkheadOptions> {
  readonly type = 'bulkhead';
  readonly givesUp = false;
  /** Calls turned away because there was neither a place nor room to wait. */
  rejected = 0;
  /** Calls turned away after they had waited for as long as they may. */
  queueTimeouts = 0;
  /** Calls that had to wait. */
  queued = 0;
  /** Calls that waited and were given up. */
  cancelledWaiting = 0;
  /** Calls that a dry run let in above the bound. */
  wouldReject = 0;
  /** Calls that a dry run let in at once and that would have had to wait. */
  wouldQueue = 0;
  /** What the layers share. */
  readonly places: PlacesOfAllKeys;
  private current: BulkheadOptions;

  constructor(
    options: BulkheadOptions,
    readonly context: StrategyContext,
  ) {
    this.current = options;
    this.places = new PlacesOfAllKeys(context.clock);
  }

  get options(): BulkheadOptions {
    return this.current;
  }

  configure(options: BulkheadOptions): void {
    this.current = options;
    this.places.turns.boundsChanged();
  }

  layer(key: string): Layer {
    return new BulkheadLayer(this, key);
  }

  forget(_layer: Layer): void {
    // The strategy knows only layers with waiters, and those are not idle.
  }

  counters(): Readonly<Record<string, number>> {
    const { places } = this;
    return {
      rejected: this.rejected,
      queueTimeouts: this.queueTimeouts,
      queued: this.queued,
      letInAfterWait: places.letInAfterWait,
      cancelledWaiting: this.cancelledWaiting,
      wouldReject: this.wouldReject,
      wouldQueue: this.wouldQueue,
      inside: places.inside,
      waiting: places.room.size,
      oldestWaitMs: places.room.oldestWaitMs(this.context.clock.now()),
    };
  }

  /** Tells an operator what was done to a call, or would have been. */
  acted(key: string, action: string, dryRun: boolean): void {
    this.context.report({
      kind: 'acted',
      policy: this.context.policy,
      key,
      strategy: 'bulkhead',
      action,
      dryRun,
    });
  }
}

/** The bulkhead of one key. A call's note is the waiter while it waits, and nothing while it is inside. */
class BulkheadLayer extends Places implements Layer {
  readonly type = 'bulkhead';

  constructor(
    private readonly strategy: BulkheadStrategy,
    private readonly key: string,
  ) {
    super(strategy.places);
  }

  enter(call: Call, at: number): Step {
    const { options } = this.strategy;
    if (this.inside < options.concurrency && this.waiting === 0) {
      this.hold();
      return 'in';
    }
    if (options.dryRun) this.countDry(options);
    return this.takeTurn(call, at, options);
  }

  leave(_call: Call, _at: number): Step {
    this.release();
    return 'out';
  }

  abandon(call: Call, at: number): void {
    const waiter = call.notes[at] as Waiter | undefined;
    if (waiter === undefined) {
      this.release();
      return;
    }
    this.quit(waiter);
    this.stopWaiting(waiter);
    this.strategy.cancelledWaiting++;
  }

  idle(_now: number): boolean {
    return this.empty;
  }

  protected bound(): number {
    const { dryRun, concurrency } = this.strategy.options;
    return dryRun ? Number.POSITIVE_INFINITY : concurrency;
  }

  protected taken(waiter: Waiter): void {
    this.stopWaiting(waiter);
  }

  /** A call for which there may be no place. */
  private takeTurn(call: Call, at: number, options: BulkheadOptions): Step {
    const { strategy } = this;
    const { clock, policy } = strategy.context;
    switch (this.come(call, at, options.queue, clock.now())) {
      case 'inside':
        return 'in';
      case 'waiting':
        strategy.queued++;
        if (options.queueTimeoutMs > 0) this.limitWait(call.notes[at] as Waiter, options.queueTimeoutMs);
        return 'wait';
      case 'full':
        strategy.rejected++;
        strategy.acted(this.key, 'rejected', false);
        call.fail(bulkheadFull(policy, this.key, this.inside, this.waiting));
        return 'out';
    }
  }

  private limitWait(waiter: Waiter, queueTimeoutMs: number): void {
    waiter.deadline = new QueueTimeout(this, waiter);
    deadlinesOf(this.strategy.context.clock).set(waiter.deadline, queueTimeoutMs);
  }

  /** The waiter has waited for as long as it may. */
  timedOut(waiter: Waiter, now: number): void {
    const { strategy } = this;
    const { call, at, since } = waiter;
    if (!this.quit(waiter)) return;
    this.stopWaiting(waiter);
    strategy.queueTimeouts++;
    strategy.acted(this.key, 'queue-timeout', false);
    call.fail(queueTimedOut(strategy.context.policy, this.key, now - since));
    call.goOut(at);
  }

  /** It waits no more, for whatever reason. */
  private stopWaiting(waiter: Waiter): void {
    waiter.call.notes[waiter.at] = undefined;
    waiter.deadline?.clear();
  }

  private countDry({ concurrency, queue }: BulkheadOptions): void {
    const { strategy } = this;
    if (this.inside < concurrency + queue) {
      strategy.wouldQueue++;
      return;
    }
    strategy.wouldReject++;
    strategy.acted(this.key, 'rejected', true);
  }
}

/** The end of a waiter's patience. */
class QueueTimeout extends Deadline {
  constructor(
    private readonly layer: BulkheadLayer,
    private readonly waiter: Waiter,
  ) {
    super();
  }

  passed(now: number): void {
    this.layer.timedOut(this.waiter, now);
  }
}
