// Asks the plugins how they are, again and again. While the node is not ready somebody waits for it, so then it asks
// at every look; a node that is ready is asked less often.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/** Ms between looks. A look that finds nothing to ask costs a comparison. */
const LOOK_MS = 100;

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

/** Polls until it is stopped. A round begins only when the one before has ended. */
export class HealthPoll {
  readonly #options: HealthPollOptions;
  readonly #timer: TimerHandle;
  #asking = false;
  #askedAt: number;

  constructor(options: HealthPollOptions) {
    this.#options = options;
    this.#askedAt = options.clock.now();
    this.#timer = options.clock.setInterval(() => this.#look(), Math.min(LOOK_MS, options.everyMs));
  }

  stop(): void {
    this.#timer.cancel();
  }

  #look(): void {
    const { clock, everyMs, isReady } = this.#options;
    if (this.#asking || (isReady() && clock.now() - this.#askedAt < everyMs)) return;
    this.#askedAt = clock.now();
    this.#asking = true;
    void this.#round();
  }

  async #round(): Promise<void> {
    try {
      await this.#options.ask();
    } catch (error) {
      this.#options.onFailed(error);
    } finally {
      this.#asking = false;
    }
  }
}
