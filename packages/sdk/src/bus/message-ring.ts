// The queue of one subscription: a ring that grows as it fills and gives its memory back when it has run empty.
// It does not know its bound: the subscription decides what a full queue means.

import type { Delivery } from './delivery.js';
import type { BusMessage } from './message-bus.js';

const SMALLEST = 16;
/** A ring that has grown past this shrinks to the smallest when it runs empty. */
const KEPT = 1_024;

/** A first-in-first-out queue of messages, each with the delivery that follows it, if any. Hot path. */
export class MessageRing {
  private messages: (BusMessage | undefined)[] = Array.from({ length: SMALLEST }, () => undefined);
  private deliveries: (Delivery | undefined)[] = Array.from({ length: SMALLEST }, () => undefined);
  private mask = SMALLEST - 1;
  private head = 0;
  private count = 0;
  /** The delivery of the message that {@link shift} gave last. */
  lastDelivery: Delivery | undefined = undefined;

  get size(): number {
    return this.count;
  }

  push(message: BusMessage, delivery: Delivery | undefined): void {
    if (this.count > this.mask) this.resize((this.mask + 1) * 2);
    const slot = (this.head + this.count) & this.mask;
    this.messages[slot] = message;
    if (delivery !== undefined) this.deliveries[slot] = delivery;
    this.count++;
  }

  /** Takes the oldest message; its delivery is then in {@link lastDelivery}. */
  shift(): BusMessage | undefined {
    if (this.count === 0) return undefined;
    const slot = this.head;
    const message = this.messages[slot];
    this.messages[slot] = undefined;
    this.lastDelivery = this.deliveries[slot];
    if (this.lastDelivery !== undefined) this.deliveries[slot] = undefined;
    this.head = (slot + 1) & this.mask;
    if (--this.count === 0 && this.mask >= KEPT) this.resize(SMALLEST);
    return message;
  }

  private resize(length: number): void {
    const messages: (BusMessage | undefined)[] = Array.from({ length }, () => undefined);
    const deliveries: (Delivery | undefined)[] = Array.from({ length }, () => undefined);
    for (let i = 0; i < this.count; i++) {
      messages[i] = this.messages[(this.head + i) & this.mask];
      deliveries[i] = this.deliveries[(this.head + i) & this.mask];
    }
    this.messages = messages;
    this.deliveries = deliveries;
    this.mask = length - 1;
    this.head = 0;
  }
}
