// Changes to the set of plugins happen one after another. What may wait is bounded; what is beyond is refused.

import { adminErrors } from '../errors.js';

/** Changes that may wait at once. */
const MAX_WAITING = 64;

/** Runs operations one at a time, in order. */
export class OperationQueue {
  private tail: Promise<void> = Promise.resolve();
  private waiting = 0;

  /** @throws DwError `kernel-busy` when too many wait; what the operation throws. */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    if (this.waiting >= MAX_WAITING) throw adminErrors.busy(this.waiting);
    this.waiting += 1;
    const mine = this.tail.then(operation);
    // The next one waits for the end of this one, however it ends; its failure belongs to the caller.
    this.tail = mine.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await mine;
    } finally {
      this.waiting -= 1;
    }
  }
}
