// Gives calls up when their callers' signals abort. A signal that many calls share has one listener for all of them:
// adding and removing one for each would cost more than the rest of the call.

import type { Call } from './call.js';

/** The calls of one signal. The listener stays as long as the signal does; the set is empty between calls. */
const watched = new WeakMap<AbortSignal, Set<Call>>();

/** Cancels `call` when `signal` aborts, until {@link forgetCall}. */
export function watchSignal(signal: AbortSignal, call: Call): void {
  const calls = watched.get(signal);
  if (calls !== undefined) {
    calls.add(call);
    return;
  }
  const first = new Set([call]);
  watched.set(signal, first);
  signal.addEventListener(
    'abort',
    () => {
      for (const waiting of first) waiting.cancel(signal.reason);
    },
    { once: true },
  );
}

/** The call is over. */
export function forgetCall(signal: AbortSignal, call: Call): void {
  watched.get(signal)?.delete(call);
}
