// What is done with errors of our own code where no caller can be told of them.

/**
 * Throws in a turn of its own, where whoever watches over the process hears of it: thrown here it would keep the calls
 * that come next from going on.
 */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
