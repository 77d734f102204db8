// The members of a group as one node knows them: who votes, who learns, what each has of the log, and who voted how in
// the election under way.

import { restoreMembership } from '../confchange/restore.js';
import { JointConfig } from '../quorum/joint.js';
import type { VoteResult } from '../quorum/vote-result.js';
import type { ConfState, NodeId } from '../types.js';
import { Progress } from './progress.js';

/** A membership. Invariants: `learners` and voters are disjoint; `learnersNext` is part of the outgoing voters. */
export interface TrackerConfig {
  readonly voters: JointConfig;
  readonly learners: ReadonlySet<NodeId>;
  /** Outgoing voters that become learners when the joint configuration is left. */
  readonly learnersNext: ReadonlySet<NodeId>;
  /** Voters, incoming or outgoing, that keep no data. A node is one from when it is added until it is removed. */
  readonly witnesses: ReadonlySet<NodeId>;
  /** Leave the joint configuration as soon as it is applied. */
  readonly autoLeave: boolean;
}

/** Progress of every member, by id. */
export type ProgressMap = ReadonlyMap<NodeId, Progress>;

/** Counts of an election. */
export interface Tally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

/** Members, their progress, their votes. */
export class Tracker {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  config: TrackerConfig;
  progress: ProgressMap = new Map();
  /** The same progresses, sorted by id: the order in which a leader sends. */
  members: readonly Progress[] = [];
  /** Never larger than the membership: strangers' votes are not recorded. */
  readonly #votes = new Map<NodeId, boolean>();
  readonly #matchOf = (id: NodeId): number | undefined => this.progress.get(id)?.match;

  constructor(maxInflightMessages: number, maxInflightBytes: number) {
    this.maxInflightMessages = maxInflightMessages;
    this.maxInflightBytes = maxInflightBytes;
    this.config = {
      voters: new JointConfig([]),
      learners: new Set(),
      learnersNext: new Set(),
      witnesses: new Set(),
      autoLeave: false,
    };
  }

  /** Takes on a membership and the progress of its members. */
  switchTo(config: TrackerConfig, progress: ProgressMap): void {
    this.config = config;
    this.progress = progress;
    this.members = [...progress.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const member of this.members) member.isWitness = config.witnesses.has(member.id);
  }

  /**
   * Takes on a stored membership, with nothing known of its members' logs.
   * @throws DwError `conf-change-invalid` when it is not sound; then nothing has changed.
   */
  restore(conf: ConfState, lastIndex: number): void {
    const { config, progress } = restoreMembership(conf, (id, isLearner) =>
      this.newProgress(id, lastIndex, isLearner),
    );
    this.switchTo(config, progress);
    this.resetVotes();
  }

  /** The progress of a member that was just added: active, so that the next quorum check does not count it as gone. */
  newProgress(id: NodeId, lastIndex: number, isLearner: boolean): Progress {
    const next = Math.max(lastIndex, 1);
    const progress = new Progress(id, next, isLearner, this.maxInflightMessages, this.maxInflightBytes);
    progress.recentActive = true;
    return progress;
  }

  confState(): ConfState {
    return {
      voters: this.config.voters.incoming.ids,
      votersOutgoing: this.config.voters.outgoing.ids,
      learners: [...this.config.learners].sort(),
      learnersNext: [...this.config.learnersNext].sort(),
      witnesses: [...this.config.witnesses].sort(),
      autoLeave: this.config.autoLeave,
    };
  }

  /** Whether this node is the only one that decides. Not so for a leader that was removed and left another alone. */
  decidesAlone(id: NodeId): boolean {
    const { incoming, isJoint } = this.config.voters;
    return incoming.size === 1 && !isJoint && incoming.has(id);
  }

  /** The highest index that a quorum has on disk. */
  committedIndex(): number {
    return this.config.voters.committedIndex(this.#matchOf);
  }

  /** Whether a quorum was heard from since the last check. */
  quorumActive(): boolean {
    const active = new Map<NodeId, boolean>();
    for (const member of this.members) {
      if (!member.isLearner) active.set(member.id, member.recentActive);
    }
    return this.config.voters.voteResult(active) === 'won';
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** Whether the answer of a voter is known. */
  hasVoted(id: NodeId): boolean {
    return this.#votes.has(id);
  }

  /** Notes a vote; the first one of a member stands, and a stranger has none. */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.config.voters.has(id) || this.#votes.has(id)) return;
    this.#votes.set(id, granted);
  }

  tally(): Tally {
    let granted = 0;
    let rejected = 0;
    for (const vote of this.#votes.values()) {
      if (vote) granted++;
      else rejected++;
    }
    return { granted, rejected, result: this.config.voters.voteResult(this.#votes) };
  }
}
