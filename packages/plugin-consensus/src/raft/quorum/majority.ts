// Decisions by a majority of one set of voters: what is committed, and who is elected. Only ids in the set count,
// whatever else the caller knows of.

import type { NodeId } from '../types.js';
import type { VoteResult } from './vote-result.js';

/** The index up to which a voter is known to have the log; undefined when nothing is known. */
export type AckedIndexer = (id: NodeId) => number | undefined;

/** A set of voters that decides by majority. Immutable. */
export class MajorityConfig {
  /** The voters, each once, sorted by code unit. */
  readonly ids: readonly NodeId[];
  readonly #members: ReadonlySet<NodeId>;
  /** Room for one computation, so that the commit path allocates nothing. */
  readonly #sorted: number[];

  constructor(ids: Iterable<NodeId>) {
    this.#members = new Set(ids);
    this.ids = [...this.#members].sort();
    this.#sorted = this.ids.map(() => 0);
  }

  get size(): number {
    return this.ids.length;
  }

  has(id: NodeId): boolean {
    return this.#members.has(id);
  }

  /** The highest index that a majority has. Infinite for no voters, so that an empty half of a joint config yields. */
  committedIndex(acked: AckedIndexer): number {
    const count = this.ids.length;
    if (count === 0) return Number.POSITIVE_INFINITY;
    const sorted = this.#sorted;
    for (let i = 0; i < count; i++) {
      const index = acked(this.ids[i] as NodeId) ?? 0;
      // Insertion sort: groups have three to seven voters.
      let at = i;
      while (at > 0 && (sorted[at - 1] as number) > index) {
        sorted[at] = sorted[at - 1] as number;
        at--;
      }
      sorted[at] = index;
    }
    return sorted[count - (Math.floor(count / 2) + 1)] as number;
  }

  /** Counts votes; `true` is yes. No voters at all is a win, for the same reason as above. */
  voteResult(votes: ReadonlyMap<NodeId, boolean>): VoteResult {
    const count = this.ids.length;
    if (count === 0) return 'won';
    const quorum = Math.floor(count / 2) + 1;
    let yes = 0;
    let missing = 0;
    for (const id of this.ids) {
      const vote = votes.get(id);
      if (vote === undefined) missing++;
      else if (vote) yes++;
    }
    if (yes >= quorum) return 'won';
    return yes + missing >= quorum ? 'pending' : 'lost';
  }

  toString(): string {
    return `(${this.ids.join(' ')})`;
  }
}
