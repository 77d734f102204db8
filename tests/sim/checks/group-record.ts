// The record of one group over a whole run, and the properties of Raft that are held against it. All checks are
// incremental: each looks at what just happened and at what happened before.

import { Violation } from './violation.js';
import { type Logged, ReplicaLog } from './replica-log.js';

/** What is known of one replica. */
export interface ReplicaRecord {
  /** What the replica has asked its storage to write in this life. */
  readonly issued: ReplicaLog;
  /** What its storage has said is durable. */
  readonly durable: ReplicaLog;
  /** Highest index applied in this life. */
  applied: number;
  /** Indexes of entries that it got without their data. */
  readonly stripped: Set<number>;
  /** Its storage says that it is damaged: nothing more is held against it. */
  damaged: boolean;
}

interface Committed extends Logged {
  /** Term of the replica that was seen to commit it first. */
  readonly byTerm: number;
}

/** Checksum of an entry that is empty, or was stripped of its data for a witness. */
const NO_DATA = 0;

/** One group's history. */
export class GroupRecord {
  readonly replicas = new Map<string, ReplicaRecord>();
  /** Replicas whose disk was wiped, as they were then, until they are made anew. */
  private readonly wipedReplicas = new Map<string, ReplicaRecord>();
  private readonly leaders = new Map<number, string>();
  /** The term in which a node was elected in this life. */
  private readonly elected = new Map<string, number>();
  private readonly committed: (Committed | undefined)[] = [];
  /** For each index and term ever in a log: what it holds, and the term before it. */
  private readonly logged = new Map<string, { readonly sum: number; readonly before: number | undefined }>();
  private readonly states: (string | undefined)[] = [];
  /** The highest term that anybody was seen to lead. */
  newestTerm = 0;
  private readonly votes = new Map<string, string>();

  constructor(readonly id: string) {}

  /** Highest index known to be committed. */
  get commitIndex(): number {
    return Math.max(0, this.committed.length - 1);
  }

  replica(node: string): ReplicaRecord {
    let replica = this.replicas.get(node);
    if (replica === undefined) {
      const [issued, durable] = [new ReplicaLog(), new ReplicaLog()];
      replica = { issued, durable, applied: 0, stripped: new Set(), damaged: false };
      this.replicas.set(node, replica);
      this.wipedReplicas.delete(node);
    }
    return replica;
  }

  /** Election safety and leader completeness. */
  leader(node: string, term: number): void {
    this.elected.set(node, term);
    const other = this.leaders.get(term);
    if (other === node) return;
    if (other !== undefined) this.broken('election safety', `${other} and ${node} both lead term ${term}`);
    this.leaders.set(term, node);
    this.newestTerm = Math.max(this.newestTerm, term);
    const { issued: log, stripped } = this.replica(node);
    if (stripped.size > 0)
      this.broken('witnesses do not lead', `${node} leads term ${term} without the data`);
    for (let index = log.snapshotIndex + 1; index < this.committed.length; index++) {
      const entry = this.committed[index];
      if (entry === undefined || entry.byTerm >= term || log.holds(index, entry.term)) continue;
      this.broken('leader completeness', `${node} leads term ${term} without committed entry ${index}`);
    }
  }

  /** One vote a term, whatever crashes come between. */
  voted(node: string, term: number, candidate: string): void {
    const key = `${node} ${term}`;
    const known = this.votes.get(key);
    if (known === undefined) this.votes.set(key, candidate);
    else if (known !== candidate) {
      this.broken('one vote a term', `${node} votes for ${known} and for ${candidate} in term ${term}`);
    }
  }

  /** A follower tells the leader of `term` that its log is that leader's up to `index`, on its disk. */
  acknowledges(node: string, to: string, term: number, index: number): void {
    const leader = this.replica(to).issued;
    const { durable, issued } = this.replica(node);
    if (this.elected.get(to) !== term || leader.hardState.term !== term) return;
    // What is committed is durable on a quorum without this one.
    if (index <= issued.hardState.commit || index <= leader.snapshotIndex) return;
    const entry = leader.at(index);
    // Of two writes that the disk reports at once, the first may be answered for when the second has replaced its entries.
    // That is no more than late: a vote that came between them was given, or refused, by a log that had them.
    if (entry !== undefined && durable.held(index, entry.term)) return;
    const has = `its disk holds ${durable.lastIndex} of term ${durable.at(durable.lastIndex)?.term}`;
    this.broken(
      'acknowledged entries are durable',
      `${node} acknowledges ${index} of term ${entry?.term ?? 'unknown'} to ${to}; ${has}`,
    );
  }

  /** Log matching, when an entry was appended behind one of term `before`. */
  appended(node: string, index: number, entry: Logged, before: number | undefined): void {
    const key = `${index} ${entry.term}`;
    const known = this.logged.get(key);
    if (known === undefined) {
      this.logged.set(key, { sum: entry.sum, before });
      return;
    }
    const { stripped } = this.replica(node);
    stripped.delete(index);
    if (known.sum !== entry.sum && entry.sum === NO_DATA) stripped.add(index);
    else if (known.sum !== entry.sum) {
      this.broken('log matching', `${node} has another entry ${index} of term ${entry.term} than others`);
    }
    if (before !== undefined && known.before !== undefined && known.before !== before) {
      const terms = `${known.before} and ${before}`;
      this.broken('log matching', `before entry ${index} of term ${entry.term} stand terms ${terms}`);
    }
  }

  /** A replica puts a snapshot in the place of its log: not if the log has all that the snapshot stands for. */
  installs(node: string, index: number, term: number): void {
    const { issued } = this.replica(node);
    if (issued.at(index)?.term !== term) return;
    const what = `a snapshot at ${index} over its log, which goes to ${issued.lastIndex}`;
    this.broken('a log that matches is kept', `${node} puts ${what}`);
  }

  /** A replica holds everything up to `to` for committed. */
  commits(node: string, from: number, to: number, quorums: readonly (readonly string[])[]): void {
    const { issued, stripped } = this.replica(node);
    const { term } = issued.hardState;
    if (this.elected.get(node) === term && to > from && issued.at(to)?.term !== term) {
      this.broken('only entries of its term are counted', `${node} commits ${to} in term ${term}`);
    }
    for (let index = Math.max(from + 1, issued.snapshotIndex + 1); index <= to; index++) {
      const entry = issued.at(index);
      if (entry === undefined || index > issued.lastIndex) {
        this.broken('commit within the log', `${node} commits ${index}, which it does not have`);
      }
      const known = this.committed[index];
      if (known !== undefined) {
        if (known.term === entry.term && (known.sum === entry.sum || stripped.has(index))) continue;
        this.broken(
          'committed entries are immutable',
          `${node} commits entry ${index} of term ${entry.term}, which is committed with term ${known.term}`,
        );
      }
      const { sum } = this.logged.get(`${index} ${entry.term}`) ?? entry;
      this.committed[index] = { term: entry.term, sum, byTerm: issued.hardState.term };
      for (const voters of quorums) this.onQuorum(index, entry.term, voters);
    }
  }

  /** A replica has applied an entry. One that is a witness has no state to be like that of others. */
  applies(node: string, index: number, term: number, stateHash: string | undefined): void {
    const replica = this.replica(node);
    if (index <= replica.applied) {
      this.broken('applied never backwards', `${node} applies ${index} after ${replica.applied}`);
    }
    replica.applied = index;
    const entry = this.committed[index];
    if (entry === undefined || entry.term !== term) {
      const is = entry === undefined ? 'not committed' : `committed with term ${entry.term}`;
      this.broken('state machine safety', `${node} applies ${index} of term ${term}, which is ${is}`);
    }
    if (stateHash === undefined) return;
    const known = this.states[index];
    if (known === undefined) this.states[index] = stateHash;
    else if (known !== stateHash) {
      this.broken('state machine safety', `the state of ${node} at ${index} is not that of others`);
    }
  }

  /** A replica is made anew, with nothing of before: what it promised is kept by the members not counting it. */
  forget(node: string): void {
    this.replicas.delete(node);
    this.elected.delete(node);
    for (const key of this.votes.keys()) if (key.startsWith(`${node} `)) this.votes.delete(key);
  }

  /**
   * A replica's disk was wiped. What it acknowledged before is on its way, and counts when it arrives: it makes no
   * difference whether the disk was lost just before a commit that rests on it, or just after.
   */
  wiped(node: string): void {
    const replica = this.replicas.get(node);
    this.forget(node);
    if (replica !== undefined) this.wipedReplicas.set(node, replica);
  }

  /** What a replica found on its disk after a crash, held against what it was told is durable. */
  recovered(node: string, found: ReplicaLog): void {
    const { durable, issued, stripped, damaged } = this.replica(node);
    if (!damaged) this.nothingLost(node, durable, issued, found);
    this.replicas.delete(node);
    this.elected.delete(node);
    const entries = new Map<number, Logged>();
    for (let index = found.snapshotIndex + 1; index <= found.lastIndex; index++) {
      const entry = found.at(index) as Logged;
      const known = this.logged.get(`${index} ${entry.term}`);
      if (known !== undefined && known.sum !== entry.sum && !stripped.has(index)) {
        this.broken('entries stay what they were', `entry ${index} on the disk of ${node} has changed`);
      }
      entries.set(index, entry);
    }
    const replica = this.replica(node);
    for (const index of stripped) if (entries.has(index)) replica.stripped.add(index);
    replica.issued.reset(found.hardState, found.snapshotIndex, entries);
    replica.durable.reset(found.hardState, found.snapshotIndex, entries);
  }

  private nothingLost(node: string, durable: ReplicaLog, issued: ReplicaLog, found: ReplicaLog): void {
    const lost = (what: string): never =>
      this.broken('what is durable survives a crash', `${node} has lost ${what}`);
    const before = durable.hardState;
    const { term, vote } = found.hardState;
    if (term < before.term) lost(`term ${before.term}: it finds ${term}`);
    if (term === before.term && before.vote !== undefined && vote !== before.vote) {
      lost(`its vote for ${before.vote} in term ${term}: it finds ${vote ?? 'none'}`);
    }
    if (found.snapshotIndex < durable.snapshotIndex) lost(`the snapshot at ${durable.snapshotIndex}`);
    for (let index = found.snapshotIndex + 1; index <= durable.lastIndex; index++) {
      const entry = durable.at(index);
      // What a later write was about to replace may be there or not.
      if (entry === undefined || !issued.holds(index, entry.term)) continue;
      if (!found.holds(index, entry.term)) lost(`entry ${index} of term ${entry.term}`);
    }
  }

  private onQuorum(index: number, term: number, voters: readonly string[]): void {
    if (voters.length === 0) return;
    const held = (voter: string): ReplicaRecord | undefined =>
      this.replicas.get(voter) ?? this.wipedReplicas.get(voter);
    const holders = voters.filter((voter) => held(voter)?.durable.holds(index, term));
    const withData = holders.some((voter) => held(voter)?.stripped.has(index) !== true);
    if (holders.length * 2 > voters.length && withData) return;
    this.broken(
      'committed entries are on a quorum',
      `entry ${index} of term ${term} is committed and durable ${withData ? '' : 'without data '}on ${holders.join(', ') || 'nobody'} of ${voters.join(', ')}`,
    );
  }

  private broken(property: string, what: string): never {
    throw new Violation(property, `${this.id}: ${what}`);
  }
}
