// One direction of one lane between two nodes of a memory network: a bounded first-in-first-out queue of frames.

import type { TransportLane } from '../network/index.js';
import type { DwError } from '../errors/index.js';

/** What travels on a link. */
export type Frame =
  | { readonly kind: 'message'; readonly channel: string; readonly payload: Buffer }
  | { readonly kind: 'request'; readonly channel: string; readonly payload: Buffer; readonly id: number }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'reply'; readonly id: number; readonly payload: Buffer }
  | { readonly kind: 'error'; readonly id: number; readonly error: DwError };

/** A frame under way. */
export interface Envelope {
  readonly from: string;
  readonly to: string;
  readonly lane: TransportLane;
  /** Counts up by one for each frame of the network. */
  readonly sequence: number;
  readonly frame: Frame;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Frames from one node to another in one lane. */
export class MemoryLink {
  private queue: Envelope[] = [];
  private waiters = new Set<Waiter>();

  constructor(
    readonly from: string,
    readonly to: string,
    readonly lane: TransportLane,
    private readonly capacity: number,
  ) {}

  get length(): number {
    return this.queue.length;
  }

  get head(): Envelope | undefined {
    return this.queue[0];
  }

  /** What waits, oldest first. */
  entries(): readonly Envelope[] {
    return this.queue;
  }

  /** @returns false when the queue is full. */
  push(envelope: Envelope): boolean {
    if (this.queue.length >= this.capacity) return false;
    this.queue.push(envelope);
    return true;
  }

  shift(): Envelope | undefined {
    const envelope = this.queue.shift();
    for (const waiter of this.waiters) waiter.resolve();
    this.waiters.clear();
    return envelope;
  }

  /** Loses what is queued and tells those who wait for room. @returns how many frames were lost. */
  clear(reason: unknown): number {
    const lost = this.queue.length;
    this.queue = [];
    for (const waiter of this.waiters) waiter.reject(reason);
    this.waiters.clear();
    return lost;
  }

  /** Resolves when there is room. */
  drained(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    if (this.queue.length < this.capacity) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.waiters.delete(waiter);
        reject(signal?.reason as Error);
      };
      const forget = (): void => signal?.removeEventListener('abort', onAbort);
      const waiter: Waiter = {
        resolve: () => (forget(), resolve()),
        reject: (reason) => (forget(), reject(reason)),
      };
      this.waiters.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
