// How many waiters of one strategy go in in one turn of the event loop. A bound that is raised by tens of thousands, or a
// dry run that begins, has room for all who wait at once; beginning their actions in one turn would stop everything else
// for as long. So no more than a slice goes in before other things get a turn, over all keys, whatever lets them in: a
// raised bound, a timer, or calls that leave one after another without ever giving the loop a turn.
//
// The order is kept, since a line that was stopped goes on where it was, and nobody who comes meanwhile passes those who
// wait. Each line looks at its bound again for each waiter, so another change meanwhile counts at once.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/** Waiters of one strategy that go in in one turn. Beginning one takes a few microseconds, and what its action takes. */
export const MAX_LET_IN_PER_TURN = 256;

/** Lines that are looked at in one turn after a change of the bounds: a hundred thousand keys may have one each. */
const MAX_LOOKED_AT_PER_TURN = 1_024;

/** The calls of one key that wait. */
export interface WaitingCalls {
  /** Lets in, in order, whom there is room for, and asks {@link EntryTurns.take} for each. */
  letIn(): void;
}

/** Turns of one strategy, over all its keys. */
export class EntryTurns {
  /** Those who have waiters, to be looked at when the bounds change. */
  readonly withWaiters = new Set<WaitingCalls>();
  /** Waiters that may go in before the loop gets a turn. */
  private left = MAX_LET_IN_PER_TURN;
  /** Those who have room and waiters, and were stopped. */
  private readonly stopped = new Set<WaitingCalls>();
  /** Those that are still to be looked at since the bounds changed. */
  private sweep: IterableIterator<WaitingCalls> | undefined;
  /** The bounds changed again during the sweep. */
  private sweepAgain = false;
  private changing = false;
  private next: TimerHandle | undefined;

  constructor(private readonly clock: Clock) {}

  /** Whether one more may go in in this turn; it counts then. Otherwise `line` goes on in the next. */
  take(line: WaitingCalls): boolean {
    if (this.left > 0) {
      this.left--;
      return true;
    }
    this.stopped.add(line);
    this.goOnLater();
    return false;
  }

  /**
   * Lets in whom the bounds, which may have been raised, have room for now: when whoever changes them is done, so that no
   * call goes in while other strategies of the policy still have their former options.
   */
  boundsChanged(): void {
    if (this.changing || this.withWaiters.size === 0) return;
    this.changing = true;
    queueMicrotask(() => {
      this.changing = false;
      if (this.sweep === undefined) this.sweep = this.withWaiters.values();
      else this.sweepAgain = true;
      this.goOn();
    });
  }

  private goOn(): void {
    for (let looked = 0; this.left > 0 && looked < MAX_LOOKED_AT_PER_TURN; looked++) {
      const line = this.nextLine();
      if (line === undefined) return;
      line.letIn();
    }
    if (this.stopped.size > 0 || this.sweep !== undefined) this.goOnLater();
  }

  private nextLine(): WaitingCalls | undefined {
    for (const line of this.stopped) {
      this.stopped.delete(line);
      return line;
    }
    const line = this.sweep?.next();
    if (line?.done !== true) return line?.value;
    this.sweep = this.sweepAgain ? this.withWaiters.values() : undefined;
    this.sweepAgain = false;
    return this.sweep?.next().value;
  }

  private goOnLater(): void {
    this.next ??= this.clock.setImmediate(() => {
      this.next = undefined;
      this.left = MAX_LET_IN_PER_TURN;
      this.goOn();
    });
  }
}
