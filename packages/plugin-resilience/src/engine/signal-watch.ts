// Gives calls up when their callers' signals abort. A signal that many calls share has one listener for all of them, which
// stays between calls: adding and removing one for each would cost more than the rest of the call. A signal of one call,
// as most are, costs its listener and no set.
//
// No listener stays for good. The platform keeps a signal that was made of others (`AbortSignal.any`) or has a timeout
// alive as long as somebody listens to it, so a listener on each of them would keep them all.

import type { Call } from './call.js';

/** Signals without calls whose listener stays for the next call; when another one comes, the oldest goes. */
const MAX_IDLE = 64;

/** The calls of one signal. */
class SignalWatch {
  /** Whether it is among the idle ones, or was when it was last without calls. */
  parked = false;
  private only: Call | undefined;
  /** The others, while there are several. */
  private more: Set<Call> | undefined;
  private readonly aborted: () => void;

  constructor(private readonly signal: AbortSignal) {
    this.aborted = () => this.cancel();
    signal.addEventListener('abort', this.aborted);
  }

  get empty(): boolean {
    return this.only === undefined && (this.more === undefined || this.more.size === 0);
  }

  add(call: Call): void {
    if (this.only === undefined) this.only = call;
    else (this.more ??= new Set()).add(call);
  }

  delete(call: Call): void {
    if (this.only === call) this.only = undefined;
    else this.more?.delete(call);
  }

  /** Listens no more. */
  stop(): void {
    watched.delete(this.signal);
    this.signal.removeEventListener('abort', this.aborted);
  }

  private cancel(): void {
    const { only, more, signal } = this;
    only?.cancel(signal.reason);
    if (more !== undefined) for (const call of more) call.cancel(signal.reason);
  }
}

/** Those with calls, and those that are idle. */
const watched = new WeakMap<AbortSignal, SignalWatch>();

/** The idle ones, in a ring; some may have calls again by now. */
const idle: (SignalWatch | undefined)[] = Array.from({ length: MAX_IDLE }, () => undefined);
let next = 0;

/** Cancels `call` when `signal` aborts, until {@link forgetCall}. */
export function watchSignal(signal: AbortSignal, call: Call): void {
  let watch = watched.get(signal);
  if (watch === undefined) {
    watch = new SignalWatch(signal);
    watched.set(signal, watch);
  }
  watch.add(call);
}

/** The call is over. */
export function forgetCall(signal: AbortSignal, call: Call): void {
  const watch = watched.get(signal);
  if (watch === undefined) return;
  watch.delete(call);
  if (watch.empty && !watch.parked) park(watch);
}

/** Keeps the listener of an idle signal, in the place of the one that has been idle for longest. */
function park(watch: SignalWatch): void {
  const leaving = idle[next];
  idle[next] = watch;
  next = (next + 1) % MAX_IDLE;
  watch.parked = true;
  if (leaving === undefined) return;
  leaving.parked = false;
  if (leaving.empty) leaving.stop();
}
