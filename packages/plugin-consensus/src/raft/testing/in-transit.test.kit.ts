// What is under way in a simulated network: messages, and the reports of how snapshots fared. Both take their time, and
// keep no order.

import type { Message, NodeId } from '../types.js';

interface Travelling {
  readonly message: Message;
  readonly due: number;
}

/** How a snapshot fared. */
export interface Report {
  readonly message: Message;
  readonly ok: boolean;
}

/** Messages and reports, each due at some time. */
export class InTransit {
  #messages: Travelling[] = [];
  #reports: (Report & { readonly due: number })[] = [];

  send(message: Message, due: number): void {
    this.#messages.push({ message, due });
  }

  report(message: Message, ok: boolean, due: number): void {
    this.#reports.push({ message, ok, due });
  }

  /** Takes out what has arrived. What is for somebody who cannot take it now waits. */
  arrived(now: number, canTake: (id: NodeId) => boolean): readonly Message[] {
    const arrived: Message[] = [];
    const rest: Travelling[] = [];
    for (const travelling of this.#messages) {
      if (travelling.due <= now && canTake(travelling.message.to)) arrived.push(travelling.message);
      else rest.push(travelling);
    }
    this.#messages = rest;
    return arrived;
  }

  /** Takes out the reports that have arrived; each is for who sent the snapshot. */
  reports(now: number, canTake: (id: NodeId) => boolean): readonly Report[] {
    const has = ({ due, message }: Travelling): boolean => due <= now && canTake(message.from);
    const arrived = this.#reports.filter((report) => has(report));
    this.#reports = this.#reports.filter((report) => !has(report));
    return arrived;
  }
}
