// Time as a dependency. Whatever waits or measures takes a Clock, so that tests turn it by hand.

/** A pending timer of a {@link Clock}. */
export interface TimerHandle {
  /** Stops the timer. Calling it again, or after it has fired, does nothing. */
  cancel(): void;
}

/** A source of time and timers. */
export interface Clock {
  /** Monotonic milliseconds, fractional. Only differences mean something. Never steps back. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC. May step; use it for display and records, never for durations. */
  wallTime(): number;
  /** Calls `callback` once, `delayMs` from now. */
  setTimeout(callback: () => void, delayMs: number): TimerHandle;
  /** Calls `callback` every `periodMs`, first after one period. */
  setInterval(callback: () => void, periodMs: number): TimerHandle;
  /**
   * Calls `callback` once, as soon as the event loop has taken in what is there already, and after all promises that
   * are settled now. Whoever gives way to others uses this and not the global, so that a simulator owns all scheduling.
   */
  setImmediate(callback: () => void): TimerHandle;
}

/** The clock of the machine. Its timers keep the process alive only if `ref` is true; what is due at once always does. */
export class SystemClock implements Clock {
  constructor(private readonly ref: boolean = true) {}

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    const timer = setTimeout(callback, delayMs);
    if (!this.ref) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  }

  setInterval(callback: () => void, periodMs: number): TimerHandle {
    const timer = setInterval(callback, periodMs);
    if (!this.ref) timer.unref();
    return { cancel: () => clearInterval(timer) };
  }

  setImmediate(callback: () => void): TimerHandle {
    const immediate = setImmediate(callback);
    return { cancel: () => clearImmediate(immediate) };
  }
}

/** Resolves in the next turn of the event loop, when all that is there already has been taken in. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.setImmediate(resolve);
  });
}

/** Resolves after `delayMs` on `clock`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
