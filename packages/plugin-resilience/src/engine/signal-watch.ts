// Gives calls up when their callers' signals abort. A signal that many calls share has one listener for all of them:
// adding and removing one for each would cost more than the rest of the call. A signal of one call, as most are, costs its
// listener and no set.

import type { Call } from './call.js';

/** The calls of one signal. */
class SignalWatch {
  private only: Call | undefined;
  /** The others, while there are several. */
  private more: Set<Call> | undefined;

  add(call: Call): void {
    if (this.only === undefined) this.only = call;
    else (this.more ??= new Set()).add(call);
  }

  delete(call: Call): void {
    if (this.only === call) this.only = undefined;
    else this.more?.delete(call);
  }

  cancel(reason: unknown): void {
    const { only, more } = this;
    only?.cancel(reason);
    if (more !== undefined) for (const call of more) call.cancel(reason);
  }
}

/** Stays as long as the signal does; it holds no call between calls. */
const watched = new WeakMap<AbortSignal, SignalWatch>();

/** Cancels `call` when `signal` aborts, until {@link forgetCall}. */
export function watchSignal(signal: AbortSignal, call: Call): void {
  let watch = watched.get(signal);
  if (watch === undefined) {
    const made = new SignalWatch();
    watch = made;
    watched.set(signal, made);
    signal.addEventListener('abort', () => made.cancel(signal.reason));
  }
  watch.add(call);
}

/** The call is over. */
export function forgetCall(signal: AbortSignal, call: Call): void {
  watched.get(signal)?.delete(call);
}
