// Reads that wait for a quorum to confirm that this node still leads. Each gets a number; a heartbeat carries the
// highest number given out, and an answer to it confirms every read up to that number. So a read costs a slot in a
// queue, however many voters there are, and one round of heartbeats confirms all reads before it.

import type { AckedIndexer } from './quorum/majority.js';
import type { NodeId, ReadMode } from './types.js';

/** A read, and who asked for it. */
export interface PendingRead {
  readonly from: NodeId;
  readonly context: string;
  readonly mode: ReadMode;
}

/** A read that waits for its quorum. */
export interface QueuedRead extends PendingRead {
  /** Number of the read in this leader's term. */
  readonly sequence: number;
  /** What was committed when it came: the state must be at least this new. */
  readonly index: number;
}

/** The reads of one leader in one term. Bounded by its owner through {@link ReadOnly.size}. */
export class ReadOnly {
  /** Oldest first. */
  #queue: QueuedRead[] = [];
  #lastSequence = 0;
  /** Highest number that each member confirmed. */
  readonly #acked = new Map<NodeId, number>();
  readonly #ackedBy: AckedIndexer = (id) => this.#acked.get(id);

  get size(): number {
    return this.#queue.length;
  }

  /** Number of the newest round. */
  get lastRound(): number {
    return this.#lastSequence;
  }

  /** Begins a round of heartbeats that no read asked for; returns their context. */
  begin(): string {
    this.#lastSequence++;
    return String(this.#lastSequence);
  }

  /** Takes on a read at this commit index; returns the context for the heartbeats. */
  add(read: PendingRead, index: number): string {
    const context = this.begin();
    this.#queue.push({ ...read, sequence: this.#lastSequence, index });
    return context;
  }

  /** The context for a heartbeat: empty when no read waits. */
  get heartbeatContext(): string {
    return this.#queue.length === 0 ? '' : String(this.#lastSequence);
  }

  /** A member confirmed. False when its context is nothing that this leader sent. */
  confirm(id: NodeId, context: string): boolean {
    const sequence = Number(context);
    if (!Number.isSafeInteger(sequence) || sequence < 1 || sequence > this.#lastSequence) return false;
    if (sequence > (this.#acked.get(id) ?? 0)) this.#acked.set(id, sequence);
    return true;
  }

  /** The newest round that a quorum has confirmed; `self` leads and so confirms all. */
  confirmedRound(committedIndex: (acked: AckedIndexer) => number, self: NodeId): number {
    this.#acked.set(self, this.#lastSequence);
    return committedIndex(this.#ackedBy);
  }

  /** Takes out the reads of all rounds up to this one. */
  release(confirmed: number): readonly QueuedRead[] {
    let count = 0;
    while (count < this.#queue.length && (this.#queue[count] as QueuedRead).sequence <= confirmed) count++;
    return count === 0 ? [] : this.#queue.splice(0, count);
  }

  /** A new term: nothing of the old one counts. */
  reset(): void {
    this.#queue = [];
    this.#acked.clear();
    this.#lastSequence = 0;
  }
}
