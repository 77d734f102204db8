// Decisions that two sets of voters must both make: the way from one membership to another is through both at once, so
// that at no moment two disjoint majorities exist. With an empty outgoing half it is a plain majority.

import type { NodeId } from '../types.js';
import { MajorityConfig, type AckedIndexer } from './majority.js';
import type { VoteResult } from './vote-result.js';

/** The voters of a group: those that count now, and those on the way out. Immutable. */
export class JointConfig {
  readonly incoming: MajorityConfig;
  /** Empty unless a joint change is under way. */
  readonly outgoing: MajorityConfig;
  /** All voters, each once, sorted. */
  readonly ids: readonly NodeId[];

  constructor(incoming: Iterable<NodeId>, outgoing: Iterable<NodeId> = []) {
    this.incoming = new MajorityConfig(incoming);
    this.outgoing = new MajorityConfig(outgoing);
    this.ids = [...new Set([...this.incoming.ids, ...this.outgoing.ids])].sort();
  }

  get isJoint(): boolean {
    return this.outgoing.size > 0;
  }

  has(id: NodeId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id);
  }

  /** The highest index that a majority of either half has. */
  committedIndex(acked: AckedIndexer): number {
    const incoming = this.incoming.committedIndex(acked);
    if (this.outgoing.size === 0) return incoming;
    return Math.min(incoming, this.outgoing.committedIndex(acked));
  }

  /** Won when both halves are won, lost when either is lost. */
  voteResult(votes: ReadonlyMap<NodeId, boolean>): VoteResult {
    const incoming = this.incoming.voteResult(votes);
    const outgoing = this.outgoing.voteResult(votes);
    if (incoming === outgoing) return incoming;
    return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
  }

  toString(): string {
    return this.isJoint
      ? `${this.incoming.toString()}&&${this.outgoing.toString()}`
      : this.incoming.toString();
  }
}
