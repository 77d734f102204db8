// The appends under way to one follower: a ring of (last index, bytes), oldest first. It is what bounds how much a
// leader sends ahead of the follower's answers.

import { raftInvariant } from '../errors.js';

/** A window of appends that were sent and not yet answered. */
export class Inflights {
  /** Invariant: 0 ≤ count ≤ maxMessages; slots start … start+count-1 (modulo the capacity) are in use. */
  #start = 0;
  #count = 0;
  #bytes = 0;
  #indexes: number[] = [];
  #sizes: number[] = [];
  readonly maxMessages: number;
  readonly maxBytes: number;

  /** `maxBytes` 0 is no limit. One append may pass the limit of bytes; then the window is full. */
  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= this.maxMessages || (this.maxBytes !== 0 && this.#bytes >= this.maxBytes);
  }

  /** Notes an append whose last entry is `index`. Indexes only grow. */
  add(index: number, bytes: number): void {
    if (this.full)
      throw raftInvariant('an append was added to a full window of in-flight appends', { index });
    if (this.#count === this.#indexes.length) this.#grow();
    const slot = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[slot] = index;
    this.#sizes[slot] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Frees every append whose last entry is at or below `index`. */
  freeUpTo(index: number): void {
    while (this.#count > 0 && (this.#indexes[this.#start] as number) <= index) {
      this.#bytes -= this.#sizes[this.#start] as number;
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#count--;
    }
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Doubles the ring: most followers never have a full window under way, and a node has many followers. */
  #grow(): void {
    const capacity = Math.min(Math.max(8, this.#indexes.length * 2), this.maxMessages);
    const indexes: number[] = [];
    const sizes: number[] = [];
    for (let i = 0; i < capacity; i++) {
      const from = (this.#start + i) % Math.max(1, this.#indexes.length);
      indexes.push(i < this.#count ? (this.#indexes[from] as number) : 0);
      sizes.push(i < this.#count ? (this.#sizes[from] as number) : 0);
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
