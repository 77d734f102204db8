// What became of one message that a publisher waits for: counts the subscriptions that have it until all are done.

import type { DeliveryReport } from './message-bus.js';

/** How one subscription is done with a message. */
export type DeliveryOutcome = 'delivered' | 'failed' | 'dropped';

/** Follows one message through all subscriptions that it was offered to. */
export class Delivery {
  private readonly counts = { delivered: 0, failed: 0, dropped: 0 };
  private waiting = 0;
  private sealed = false;
  private failure: unknown = undefined;
  private resolve: ((report: DeliveryReport) => void) | undefined;
  private reject: ((reason: unknown) => void) | undefined;
  /** The publisher has stopped waiting. A subscription drops the message if it is still blocked outside of its queue. */
  abandoned = false;

  /** One more subscription has it, or holds its publisher back. */
  began(): void {
    this.waiting++;
  }

  /** A subscription for which {@link began} was called is done with it. */
  ended(outcome: DeliveryOutcome): void {
    this.waiting--;
    this.counts[outcome]++;
    this.finish();
  }

  /** A subscription lost it before it was queued. */
  lost(): void {
    this.counts.dropped++;
  }

  /** A subscription refused it. The publisher is told with the first such error. */
  refused(error: unknown): void {
    this.failure ??= error;
  }

  /** All subscriptions have been offered it. Resolves when all are done; rejects at once when one refused it. */
  seal(): Promise<DeliveryReport> {
    this.sealed = true;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      if (this.failure === undefined) this.finish();
      else reject(this.failure);
    });
  }

  /** The publisher stops waiting. What is queued is still delivered. */
  abandon(reason: unknown): void {
    this.abandoned = true;
    this.reject?.(reason);
  }

  private finish(): void {
    if (this.sealed && this.waiting === 0) this.resolve?.({ ...this.counts });
  }
}
