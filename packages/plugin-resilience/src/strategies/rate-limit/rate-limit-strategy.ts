// A rate limit: no more calls of one key begin than a token bucket or a sliding window allows. A call whose turn comes
// soon enough may wait for it; one that is turned away is told when it would be let in.
//
// Whether a call may wait is judged when it comes, as if it were the last of the line. Once accepted it is not turned
// away: it waits longer than `maxWaitMs` only if the rate is lowered meanwhile, or if calls of a higher priority come.
// A call that begins and is cancelled has used its token.

import type { StrategyContext, Strategy } from '../../engine/strategy.js';
import type { Layer } from '../../engine/layer.js';
import { EntryTurns } from '../waiting/entry-turns.js';
import { WaitingRoom } from '../waiting/waiting-line.js';
import { RateLimitLayer } from './rate-limit-layer.js';
import type { RateLimitOptions } from './rate-limit-options.js';
import type { Rate } from './rate.js';
import { rateOf } from './rate.js';

/** A rate limit for each key, and what they have in common. */
export class RateLimitStrategy implements Strategy<RateLimitOptions> {
  readonly type = 'rate-limit';
  readonly givesUp = false;
  /** Calls turned away. */
  rejected = 0;
  /** Calls that had to wait. */
  queued = 0;
  /** Calls that waited and were let in. */
  letInAfterWait = 0;
  /** Calls that waited and were given up. */
  cancelledWaiting = 0;
  /** Calls that a dry run let in and that would have been turned away. */
  wouldReject = 0;
  /** Calls that a dry run let in at once and that would have had to wait. */
  wouldQueue = 0;
  /** Those who wait, over all keys. */
  readonly room = new WaitingRoom();
  /** Who may go in when. */
  readonly turns: EntryTurns;
  /** The rate in force. */
  rate: Rate;
  private current: RateLimitOptions;

  constructor(
    options: RateLimitOptions,
    readonly context: StrategyContext,
  ) {
    this.current = options;
    this.turns = new EntryTurns(context.clock);
    this.rate = rateOf(options, context.clock.now(), undefined);
  }

  get options(): RateLimitOptions {
    return this.current;
  }

  configure(options: RateLimitOptions): void {
    this.current = options;
    this.rate = rateOf(options, this.context.clock.now(), this.rate);
    this.turns.boundsChanged();
  }

  layer(key: string): Layer {
    return new RateLimitLayer(this, key);
  }

  forget(_layer: Layer): void {
    // The strategy knows only layers with waiters, and those are not idle.
  }

  counters(): Readonly<Record<string, number>> {
    return {
      rejected: this.rejected,
      queued: this.queued,
      letInAfterWait: this.letInAfterWait,
      cancelledWaiting: this.cancelledWaiting,
      wouldReject: this.wouldReject,
      wouldQueue: this.wouldQueue,
      waiting: this.room.size,
      oldestWaitMs: this.room.oldestWaitMs(this.context.clock.now()),
    };
  }

  /** Tells an operator that a call was turned away, or would have been. */
  tellRejected(key: string, dryRun: boolean): void {
    const { policy } = this.context;
    this.context.report({ kind: 'acted', policy, key, strategy: 'rate-limit', action: 'rejected', dryRun });
  }
}
