// Changes that go to the disk, one after the other, so that the disk and what is in force never tell two stories.

import { policiesBusy } from '../errors.js';

/** Changes that wait at most. People make them, one at a time; a program that makes more is told to slow down. */
const MAX_WAITING = 64;

/** Runs changes in turn. */
export class TurnQueue {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** Runs `change` when those before it have ended, however they ended. @throws what it throws; DwError `policies-busy`. */
  run<T>(change: () => Promise<T>): Promise<T> {
    if (this.waiting >= MAX_WAITING) return Promise.reject(policiesBusy(MAX_WAITING));
    this.waiting++;
    const mine = this.last.then(change);
    this.last = mine.then(
      () => void this.waiting--,
      () => void this.waiting--,
    );
    return mine;
  }
}
