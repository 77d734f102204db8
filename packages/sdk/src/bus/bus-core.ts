// What all parts of one in-process bus share: totals, bounds, the table of topics, the scheduler and the reporter.

import { BackpressureMeter } from '../scaling/index.js';
import type { Clock } from '../time/index.js';
import { ASSUMED_MESSAGE_BYTES, BusLimits } from './bus-limits.js';
import type { BusReportListener } from './bus-reporter.js';
import { BusReporter } from './bus-reporter.js';
import { DrainScheduler } from './drain-scheduler.js';
import { TopicTable } from './topic-table.js';

/** Shared state of one bus. */
export class BusCore {
  readonly limits = new BusLimits();
  readonly totals = { published: 0, delivered: 0, failed: 0, dropped: 0, rejected: 0 };
  readonly topics = new TopicTable(this.limits.current.maxCacheEntries);
  readonly reporter: BusReporter;
  readonly scheduler: DrainScheduler;
  readonly meter: BackpressureMeter;
  /** Messages and requests waiting in all queues. */
  queued = 0;
  /** Subscriptions and responders. */
  subscriptions = 0;
  /** Messages that each subscription may keep even when the bus is full. */
  fairShare = 1;
  /** Set by a subscription that refused the message which is being offered. */
  refused = false;
  private maxQueued: number;

  constructor(clock: Clock, listener: BusReportListener | undefined) {
    this.reporter = new BusReporter(listener, clock);
    this.maxQueued = this.queueBound();
    this.meter = new BackpressureMeter({ limit: this.maxQueued });
    this.scheduler = new DrainScheduler(
      clock,
      () => this.limits.current.sliceMessages,
      () => void this.meter.update(this.queued),
    );
    this.limits.onChanged(() => this.limitsChanged());
    this.subscriptionsChanged(0);
  }

  /** Whether the bus as a whole is full: then each subscription has no more than its {@link fairShare}. */
  isPressed(): boolean {
    if (this.queued < this.maxQueued) return false;
    this.meter.update(this.queued);
    return true;
  }

  /** A subscription or responder came (1) or went (-1). */
  subscriptionsChanged(by: number): void {
    this.subscriptions += by;
    this.fairShare = Math.max(1, Math.floor(this.maxQueued / Math.max(1, this.subscriptions)));
  }

  private queueBound(): number {
    const { maxQueueDepth, maxMemoryBytes } = this.limits.current;
    return Math.max(1, Math.min(maxQueueDepth, Math.floor(maxMemoryBytes / ASSUMED_MESSAGE_BYTES)));
  }

  private limitsChanged(): void {
    this.maxQueued = this.queueBound();
    this.meter.setLimit(this.maxQueued);
    this.topics.setCapacity(this.limits.current.maxCacheEntries);
    this.subscriptionsChanged(0);
  }
}
