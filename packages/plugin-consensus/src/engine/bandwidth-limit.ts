// Holds bulk transfers to a rate: a token bucket that all transfers of a node share. Who takes more than is there waits
// its turn, first come, first served, so that a limit which is lowered acts on what is under way already.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/**
 * How far a timer that fires late may be made up for, in ms of the rate. Nothing is saved up while nobody waits: what
 * comes after a pause is paced from its first bytes on, so that no burst reaches the disk of the other side.
 */
const CATCH_UP_MS = 20;
/** Longest wait for a timer, ms, so that a rate that is raised is heard of soon. */
const LOOK_EVERY_MS = 50;

interface Waiter {
  readonly bytes: number;
  readonly done: () => void;
  readonly failed: (reason: unknown) => void;
}

/** A shared rate. */
export class BandwidthLimit {
  /** Bytes that may go now. Below zero after one that was larger than what had gathered. */
  #tokens = 0;
  #filledAt: number;
  #timer: TimerHandle | undefined;
  readonly #waiting: Waiter[] = [];

  /** @param bytesPerSecond The rate in force; 0 is no limit. Asked each time. */
  constructor(
    private readonly clock: Clock,
    private readonly bytesPerSecond: () => number,
  ) {
    this.#filledAt = clock.now();
  }

  /** Callers that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when so many bytes may go. @throws the signal's reason. */
  take(bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        done: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        failed: reject,
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        waiter.failed(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const idle = this.#waiting.length === 0;
      this.#waiting.push(waiter);
      this.#serve(idle ? 0 : CATCH_UP_MS);
    });
  }

  /** @param catchUpMs How much of the time since the last look may have been saved up. */
  #serve(catchUpMs: number): void {
    const rate = this.bytesPerSecond();
    this.#fill(rate, catchUpMs);
    while (this.#waiting.length > 0 && (rate === 0 || this.#tokens >= 0)) {
      const next = this.#waiting.shift() as Waiter;
      this.#tokens -= next.bytes;
      next.done();
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const waitMs = Math.min(Math.max(1, (-this.#tokens * 1_000) / rate), LOOK_EVERY_MS);
    this.#timer = this.clock.setTimeout(() => this.#serve(CATCH_UP_MS), waitMs);
  }

  #fill(rate: number, catchUpMs: number): void {
    const now = this.clock.now();
    const most = (rate * catchUpMs) / 1_000;
    this.#tokens = rate === 0 ? 0 : Math.min(most, this.#tokens + ((now - this.#filledAt) * rate) / 1_000);
    this.#filledAt = now;
  }
}
