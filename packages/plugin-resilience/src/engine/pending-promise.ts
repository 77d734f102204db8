// Makes promises to settle later without a closure for each: the executor is one function for all.

/** A promise and the functions that settle it. */
export interface PendingPromise {
  promise: Promise<unknown>;
  resolve: ((value: unknown) => void) | undefined;
  reject: ((reason: unknown) => void) | undefined;
}

const made: PendingPromise = { promise: Promise.resolve(), resolve: undefined, reject: undefined };

function capture(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  made.resolve = resolve;
  made.reject = reject;
}

/** Makes a promise. What is given back is the same object at each call: take what is in it at once. */
export function pendingPromise(): Readonly<PendingPromise> {
  made.promise = new Promise(capture);
  return made;
}
