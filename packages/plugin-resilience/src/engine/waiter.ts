// Who hears of the end of one run of an action. A waiter is used again once the promise that it waited for has settled,
// so that a call makes no functions of its own to hear of it. One whose promise never settles is garbage with it.

import type { Call } from './call.js';

/** More waiters than this are not kept for use: they are for the calls under way at once, not for a burst. */
const MOST_KEPT = 1_024;
// oxlint-disable-next-line typescript/unbound-method -- compared, never called
const nativeThen = Promise.prototype.then;
const free: Waiter[] = [];

/** Waits for one promise. */
export class Waiter {
  /** Who hears of it; nobody when the run was given up. */
  call: Call | undefined = undefined;
  readonly fulfilled: (value: unknown) => void;
  readonly rejected: (error: unknown) => void;

  /** @param again Whether it may be used again: its promise calls back once and only once. */
  constructor(readonly again: boolean) {
    this.fulfilled = (value) => this.settled(false, value);
    this.rejected = (error) => this.settled(true, error);
  }

  private settled(failed: boolean, value: unknown): void {
    const { call } = this;
    this.call = undefined;
    if (this.again && free.length < MOST_KEPT) free.push(this);
    call?.acted(failed, value);
  }
}

/** A waiter for this promise, whose functions are to be given to its `then`. */
export function waiterFor(running: PromiseLike<unknown>): Waiter {
  // Only a promise of the language is known to call back once.
  const again = running.then === nativeThen;
  return (again ? free.pop() : undefined) ?? new Waiter(again);
}

/** Whether it is waited for with `then`. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}
