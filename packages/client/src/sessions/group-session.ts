// The session of this client in one group: it gives each write its place, and knows up to which place all of them have
// their answers. A write keeps its place through all of its tries, and so is applied once.

import type { SessionStamp } from '@datawarehouse/sdk/client-protocol';

/**
 * Places from the lowest open one to the newest. The group keeps an outcome for each (4 096 at most); beyond this many,
 * further writes wait until the lowest open one has its answer.
 */
export const MAX_OPEN_PLACES = 3_072;

/** A session, once it is open. */
export class GroupSession {
  private next = 1;
  /** Places without an answer. Filled in rising order, so that the first of them is the lowest. */
  private readonly open = new Set<number>();
  private lowest = 1;

  /** @param id What the group calls the session. */
  constructor(readonly id: number) {}

  /** Whether another write may take a place. */
  get hasRoom(): boolean {
    return this.next - this.lowest < MAX_OPEN_PLACES;
  }

  /** Places without an answer. */
  get size(): number {
    return this.open.size;
  }

  /** A place for a write. It must be given back by {@link settle}. */
  take(): number {
    const sequence = this.next++;
    this.open.add(sequence);
    return sequence;
  }

  /** What a try of the write at this place carries. */
  stamp(sequence: number): SessionStamp {
    return { id: this.id, sequence, lowestOpen: this.lowest };
  }

  /** The write at this place has its answer, or nobody wants it any more: it will not be tried again. */
  settle(sequence: number): void {
    if (!this.open.delete(sequence)) return;
    if (sequence !== this.lowest) return;
    const first = this.open.values().next();
    this.lowest = first.done === true ? this.next : first.value;
  }
}
