// One subscription: a bounded queue, the rule for when it is full, and the handler, whose failures and slowness stay
// in here. A handler that returns a promise holds back its own subscription and no other.

import type { BusCore } from './bus-core.js';
import type { BusOwner, Endable } from './bus-owner.js';
import type { Delivery } from './delivery.js';
import type { Drainable } from './drain-scheduler.js';
import { queueFull } from './errors.js';
import type { BusMessage, MessageHandler, OverflowRule, Subscription } from './message-bus.js';
import { MessageRing } from './message-ring.js';
import type { KnownTopic } from './topic-table.js';

/** The slice's time is looked at once in this many messages: reading the clock costs as much as delivering one. */
const CLOCK_MASK = 7;

interface Blocked {
  readonly message: BusMessage;
  readonly delivery: Delivery;
}

/** How a {@link BusSubscription} behaves. */
export interface QueueOptions {
  readonly capacity: number;
  readonly overflow: OverflowRule;
}

/** A live subscription of an in-process bus. */
export class BusSubscription implements Subscription, Drainable, Endable {
  private readonly ring = new MessageRing();
  private blocked: Blocked[] = [];
  private readonly capacity: number;
  private readonly overflow: OverflowRule;
  private droppedCount = 0;
  /** It is in the scheduler's list. */
  private listed = false;
  /** A promise of the handler has not settled. */
  private busy = false;
  private inFlight: Delivery | undefined = undefined;
  private alive = true;
  private budget = 0;
  private done = 0;
  private lastTopic: KnownTopic;

  constructor(
    readonly pattern: string,
    readonly owner: BusOwner,
    private readonly handler: MessageHandler,
    options: QueueOptions,
    private readonly core: BusCore,
    private readonly onEnded: (subscription: BusSubscription) => void,
  ) {
    this.capacity = options.capacity;
    this.overflow = options.overflow;
    this.lastTopic = core.topics.peek(pattern);
  }

  get pending(): number {
    return this.ring.size;
  }

  get dropped(): number {
    return this.droppedCount;
  }

  get hasWork(): boolean {
    return this.alive && !this.busy && this.ring.size > 0;
  }

  unsubscribe(): void {
    this.end();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  /** Ends it: what waits is lost to those who wait for its delivery, and a handler under way is waited for no more. */
  end(): void {
    if (!this.alive) return;
    this.alive = false;
    this.core.queued -= this.ring.size;
    while (this.ring.shift() !== undefined) this.ring.lastDelivery?.ended('dropped');
    for (const { delivery } of this.blocked) delivery.ended('dropped');
    this.blocked = [];
    this.inFlight?.ended('failed');
    this.inFlight = undefined;
    this.onEnded(this);
  }

  /**
   * Takes one message into the queue, or does what the overflow rule says. Hot path; runs nobody else's code. A field,
   * so that it can be handed to the emitter by itself.
   */
  readonly offer = (message: BusMessage, delivery?: Delivery): void => {
    if (this.isFull()) this.overflowed(message, delivery);
    else this.enqueue(message, delivery);
  };

  /** Delivers what waits. */
  drain(budget: number): number {
    this.budget = budget;
    this.done = 0;
    const run = this.owner.runInContext;
    if (run === undefined) this.deliver();
    else {
      try {
        run(this.deliverInContext);
      } catch (thrown) {
        // The context itself failed, not a handler. The messages stay queued.
        this.core.reporter.handlerFailed(this.pattern, this.owner.sender, thrown);
      }
    }
    this.listed = this.hasWork;
    return Math.max(1, this.done);
  }

  private readonly deliverInContext = (): void => this.deliver();

  private deliver(): void {
    const { ring, core, handler } = this;
    while (this.done < this.budget && this.alive && !this.busy) {
      const message = ring.shift();
      if (message === undefined) return;
      const delivery = ring.lastDelivery;
      core.queued--;
      if (this.blocked.length > 0) this.unblock();
      try {
        const result: unknown = handler(message);
        if (isThenable(result)) this.follow(result, message, delivery);
        else this.completed(message, delivery);
      } catch (thrown) {
        this.failed(message, delivery, thrown);
      }
      if ((++this.done & CLOCK_MASK) === 0 && core.scheduler.expired()) return;
    }
  }

  /** Waits for the handler's promise, and only then goes on with the next message. */
  private follow(result: PromiseLike<unknown>, message: BusMessage, delivery: Delivery | undefined): void {
    const settled = Promise.resolve(result);
    this.busy = true;
    this.inFlight = delivery;
    settled.then(
      () => this.resume(() => this.completed(message, this.inFlight)),
      (thrown: unknown) => this.resume(() => this.failed(message, this.inFlight, thrown)),
    );
  }

  private resume(settle: () => void): void {
    settle();
    this.inFlight = undefined;
    this.busy = false;
    this.list();
  }

  private completed(message: BusMessage, delivery: Delivery | undefined): void {
    this.core.totals.delivered++;
    this.topicOf(message).delivered++;
    delivery?.ended('delivered');
  }

  private failed(message: BusMessage, delivery: Delivery | undefined, thrown: unknown): void {
    this.core.totals.failed++;
    this.topicOf(message).failed++;
    delivery?.ended('failed');
    this.core.reporter.handlerFailed(message.topic, this.owner.sender, thrown);
  }

  /** The counters of a message's topic. Most messages of a subscription are of one topic, so that is remembered. */
  private topicOf(message: BusMessage): KnownTopic {
    const last = this.lastTopic;
    if (last.name === message.topic && last.known) return last;
    return (this.lastTopic = this.core.topics.peek(message.topic));
  }

  private isFull(): boolean {
    const size = this.ring.size;
    return size >= this.capacity || (size >= this.core.fairShare && this.core.isPressed());
  }

  private enqueue(message: BusMessage, delivery: Delivery | undefined): void {
    delivery?.began();
    this.ring.push(message, delivery);
    this.core.queued++;
    if (!this.listed && !this.busy) this.list();
  }

  private list(): void {
    if (this.listed || !this.hasWork) return;
    this.listed = true;
    this.core.scheduler.add(this);
  }

  private overflowed(message: BusMessage, delivery: Delivery | undefined): void {
    switch (this.overflow) {
      case 'drop-newest':
        return this.drop(message, delivery);
      case 'drop-oldest':
        return this.dropOldest(message, delivery);
      case 'reject':
        return this.refuse(message, delivery);
      case 'block':
        if (delivery === undefined || this.blocked.length >= this.core.limits.current.maxBlockedPublishers) {
          return this.refuse(message, delivery);
        }
        delivery.began();
        this.blocked.push({ message, delivery });
    }
  }

  private dropOldest(message: BusMessage, delivery: Delivery | undefined): void {
    const oldest = this.ring.shift();
    if (oldest === undefined) return this.drop(message, delivery);
    const lost = this.ring.lastDelivery;
    this.core.queued--;
    this.countDropped(oldest);
    lost?.ended('dropped');
    this.enqueue(message, delivery);
  }

  private drop(message: BusMessage, delivery: Delivery | undefined): void {
    this.countDropped(message);
    delivery?.lost();
  }

  private countDropped(message: BusMessage): void {
    this.droppedCount++;
    this.core.totals.dropped++;
    this.core.topics.peek(message.topic).dropped++;
    this.core.reporter.dropped(message.topic, this.owner.sender);
  }

  private refuse(message: BusMessage, delivery: Delivery | undefined): void {
    this.core.refused = true;
    this.core.totals.rejected++;
    this.core.topics.peek(message.topic).rejected++;
    this.core.reporter.rejected(message.topic, this.owner.sender);
    delivery?.refused(queueFull(message.topic, this.owner.sender, this.capacity));
  }

  /** There is room for one: takes in the publisher that has waited longest, so that order is kept. */
  private unblock(): void {
    let next = this.blocked.shift();
    while (next?.delivery.abandoned === true) {
      next.delivery.ended('dropped');
      next = this.blocked.shift();
    }
    if (next === undefined) return;
    this.ring.push(next.message, next.delivery);
    this.core.queued++;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}
