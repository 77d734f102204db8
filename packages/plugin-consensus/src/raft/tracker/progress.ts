// What a leader knows of one follower's log, and how it sends to it. `probe`: find out where the logs agree, one append
// at a time. `replicate`: stream appends ahead of the answers, within the window. `snapshot`: wait, a snapshot is on its
// way.

import type { NodeId } from '../types.js';
import { Inflights } from './inflights.js';

/** How a leader sends to a follower. */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** A follower as its leader sees it. Invariant: 0 ≤ match < next. */
export class Progress {
  readonly id: NodeId;
  readonly inflights: Inflights;
  /** Index up to which the follower's log is known to match the leader's, on the follower's disk. Never decreases. */
  match = 0;
  /** The next entry to send. Everything between match and next is under way. */
  next = 1;
  state: ProgressState = 'probe';
  /** Highest commit index sent; what the follower learns of it is bounded by next - 1. */
  sentCommit = 0;
  /** Index of the snapshot on its way; 0 outside `snapshot`. */
  pendingSnapshot = 0;
  /** Heard from since the last quorum check. */
  recentActive = false;
  /** No appends until something is heard: a probe is out, or the window is full. */
  flowPaused = false;
  isLearner: boolean;
  /** Gets entries without their data, and snapshots without state. */
  isWitness = false;

  constructor(id: NodeId, next: number, isLearner: boolean, maxMessages: number, maxBytes: number) {
    this.id = id;
    this.next = next;
    this.isLearner = isLearner;
    this.inflights = new Inflights(maxMessages, maxBytes);
  }

  /**
   * The same progress for a member that has become a learner, or has ceased to be one. It shares the window with this
   * one, of which only one may stay in use.
   */
  asLearner(isLearner: boolean): Progress {
    const { maxMessages, maxBytes } = this.inflights;
    return Object.assign(new Progress(this.id, this.next, isLearner, maxMessages, maxBytes), this, {
      isLearner,
    });
  }

  /** Forgets all that was known, as a new term demands. */
  reset(match: number, next: number): void {
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.recentActive = false;
    this.#enter('probe');
  }

  #enter(state: ProgressState): void {
    this.flowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  /** Probes from the matched index, or from the snapshot's if one was under way. */
  becomeProbe(): void {
    const pendingSnapshot = this.pendingSnapshot;
    const from = this.state === 'snapshot' ? Math.max(this.match, pendingSnapshot) : this.match;
    this.#enter('probe');
    this.next = from + 1;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.next = this.match + 1;
  }

  /** A snapshot that ends at `index` was sent. */
  becomeSnapshot(index: number): void {
    this.#enter('snapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** Entries from `next` on were sent. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === 'replicate') {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      // An append that fills the window, or an empty one when it is full already, is a probe: then wait.
      this.flowPaused = this.inflights.full;
    } else if (count > 0) {
      this.flowPaused = true;
    }
  }

  /** Whether telling the follower of this commit index could teach it something. */
  canBumpCommit(commit: number): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  noteSentCommit(commit: number): void {
    this.sentCommit = commit;
  }

  /** The follower has everything up to `index`. False when that is nothing new (late or repeated answers). */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.flowPaused = false;
    return true;
  }

  /**
   * The follower refused an append that followed `rejected`, and guesses that the logs agree up to `hint`. False when
   * the refusal is out of date.
   */
  maybeDecrement(rejected: number, hint: number): boolean {
    // What is acknowledged stays acknowledged, so this is an old refusal. (Or the follower has lost its disk; then trying
    // again at once would only make the two of them shout at each other.)
    if (rejected <= this.match) return false;
    if (this.state === 'replicate') {
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1);
      return true;
    }
    // A probing follower is sent one append at a time, so only the answer to the last one says anything.
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.flowPaused = false;
    return true;
  }

  get isPaused(): boolean {
    return this.state === 'snapshot' || this.flowPaused;
  }
}
