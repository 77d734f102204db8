// Asks the plugins how they are, again and again. While the node is not ready somebody waits for it, so then it asks
// more often.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/** Ms between rounds while the node is not ready. */
const WHILE_NOT_READY_MS = 100;

/** What the poll stands on. */
export interface HealthPollOptions {
  readonly clock: Clock;
  /** Ms between rounds while the node is ready. */
  readonly everyMs: number;
  /** One round. Each question in it has its own deadline. */
  readonly ask: () => Promise<void>;
  readonly isReady: () => boolean;
  /** Told when a round failed as a whole; the next one comes all the same. */
  readonly onFailed: (error: unknown) => void;
}

/** Polls until it is stopped. A round begins when the one before has ended. */
export class HealthPoll {
  readonly #options: HealthPollOptions;
  #timer: TimerHandle | undefined;
  #stopped = false;

  constructor(options: HealthPollOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { clock, everyMs, isReady } = this.#options;
    const delay = isReady() ? everyMs : Math.min(everyMs, WHILE_NOT_READY_MS);
    this.#timer = clock.setTimeout(() => {
      void this.#round();
    }, delay);
  }

  async #round(): Promise<void> {
    try {
      await this.#options.ask();
    } catch (error) {
      this.#options.onFailed(error);
    }
    this.#schedule();
  }
}
