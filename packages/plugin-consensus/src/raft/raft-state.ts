// All that one replica of a group knows, and the few moves that every part of the protocol makes: sending, and leaving
// one role for another. What to do with it stands in the files beside this one.

import { isDwError } from '@datawarehouse/sdk';
import { raftConfigInvalid, raftInvariant } from './errors.js';
import { Lease } from './lease.js';
import { RaftLog } from './log/raft-log.js';
import { ReadOnly, type PendingRead } from './read-only.js';
import { Tracker } from './tracker/tracker.js';
import type {
  ConfState,
  HardState,
  Message,
  MessageType,
  NodeId,
  RaftConfig,
  ReadState,
  Role,
} from './types.js';

/** Linearizable reads that may wait at one leader, confirmed or not. */
export const maxPendingReads = 4_096;

function checkConfig(config: RaftConfig): void {
  const positive = (name: keyof RaftConfig): void => {
    const value = config[name];
    if (typeof value !== 'number' || !(value >= 1)) throw raftConfigInvalid(`${name} must be at least 1`);
  };
  if (config.id === '') throw raftConfigInvalid('id must not be empty');
  positive('maxBytesPerMessage');
  positive('maxCommittedBytesPerReady');
  positive('maxUncommittedBytes');
  positive('maxInflightMessages');
  if (config.maxInflightBytes !== 0 && config.maxInflightBytes < config.maxBytesPerMessage) {
    throw raftConfigInvalid('maxInflightBytes must be 0 or at least maxBytesPerMessage');
  }
  if (config.readOnly === 'lease' && config.lease === undefined && !config.checkQuorum) {
    throw raftConfigInvalid('readOnly lease needs checkQuorum, or leases by the clock');
  }
  checkTicks(config.electionTicks, config.heartbeatTicks);
}

/** Ticks are whole, and several heartbeats fit in an election timeout. */
export function checkTicks(electionTicks: number, heartbeatTicks: number): void {
  if (!Number.isSafeInteger(heartbeatTicks) || heartbeatTicks < 1) {
    throw raftConfigInvalid('heartbeatTicks must be a whole number of at least 1');
  }
  if (!Number.isSafeInteger(electionTicks) || electionTicks <= heartbeatTicks) {
    throw raftConfigInvalid('electionTicks must be a whole number above heartbeatTicks');
  }
}

/** What to do with each kind of message; kinds that are not listed are ignored. */
export type HandlerTable = Readonly<
  Partial<Record<MessageType, (state: RaftState, message: Message) => void>>
>;

/** The state of one replica. */
export class RaftState {
  readonly id: NodeId;
  readonly config: RaftConfig;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly readOnly = new ReadOnly();
  readonly lease: Lease;

  term = 0;
  /** Whom this node voted for in `term`. */
  vote: NodeId | undefined;
  /** Who leads in `term`, as far as known. */
  leader: NodeId | undefined;
  role: Role = 'follower';

  /** To send at once. Never to this node itself. */
  messages: Message[] = [];
  /** To deliver once all that is unstable now is on disk. */
  afterAppend: Message[] = [];
  readStates: ReadState[] = [];
  /** Reads that came before this leader had committed anything of its own term. */
  pendingReads: PendingRead[] = [];

  /** Who is to lead next, while a transfer is under way. */
  transferTarget: NodeId | undefined;
  /** No membership change is proposed before this index is applied. */
  pendingConfIndex = 0;
  /** Index of the snapshot that the membership was taken from: changes up to it are in it. */
  membershipIndex = 0;
  /**
   * Whether the disk holds a term, so that this node will know after a crash that it may have promised something. Until
   * then its answers to heartbeats say only that it lives.
   */
  recorded: boolean;
  /** Bytes proposed in this term and not yet applied. An underestimate after an election, never an overestimate. */
  uncommittedBytes = 0;

  /** Ticks since the leader was heard of (followers), or since the last quorum check (leaders). */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  electionTicks: number;
  heartbeatTicks: number;
  /** Deadline of the present wait, in [electionTicks, 2 × electionTicks). */
  randomizedElectionTicks = 0;
  /** Messages that were refused because they were broken or came from where they must not. */
  refusedMessages = 0;

  constructor(config: RaftConfig) {
    checkConfig(config);
    this.id = config.id;
    this.config = config;
    this.electionTicks = config.electionTicks;
    this.heartbeatTicks = config.heartbeatTicks;
    this.log = new RaftLog(config.storage, config.maxCommittedBytesPerReady, config.applyUnstable ?? false);
    this.tracker = new Tracker(config.maxInflightMessages, config.maxInflightBytes);
    const { hardState, conf } = config.storage.initialState();
    this.recorded = hardState.term > 0;
    this.lease = new Lease(config.lease, this.recorded);
    this.#restoreMembership(conf);
    this.membershipIndex = this.log.firstIndex() - 1;
    this.#load(hardState, config.applied);
    this.reset(this.term);
  }

  #restoreMembership(conf: ConfState): void {
    try {
      this.tracker.restore(conf, this.log.lastIndex());
    } catch (error) {
      if (!isDwError(error, 'conf-change-invalid')) throw error;
      throw raftInvariant(`the stored membership is not sound: ${error.message}`, { ...conf });
    }
  }

  /** A stored commit index may lag behind what is known otherwise, but it may not lie beyond the log. */
  #load(hardState: HardState, applied: number): void {
    const committed = Math.max(hardState.commit, this.log.committed, applied);
    if (committed > this.log.lastIndex()) {
      throw raftInvariant(`the log ends at ${this.log.lastIndex()}, before its commit index ${committed}`);
    }
    this.log.committed = committed;
    this.term = hardState.term;
    this.vote = hardState.vote;
    if (applied > this.log.applied) this.log.appliedTo(applied, 0);
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Tells the log keeper what happened. */
  note(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.config.trace?.(event, { id: this.id, term: this.term, ...fields });
  }

  /** A message that is not to be believed: counted and told, nothing else. */
  refuse(message: Message, reason: string): void {
    this.refusedMessages++;
    this.note('message-refused', { from: message.from, kind: message.type, reason });
  }

  /** Sends without waiting for the disk. */
  send(message: Message): void {
    if (message.to === this.id) throw raftInvariant(`a ${message.type} message is addressed to its sender`);
    this.messages.push(message);
  }

  /** Sends once everything that is unstable now is on disk: votes and acknowledgements promise that it is. */
  sendDurable(message: Message): void {
    this.afterAppend.push(message);
  }

  /** Forgets what belongs to one term and role. */
  reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = undefined;
    }
    this.leader = undefined;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.redrawElectionTimeout();
    this.transferTarget = undefined;
    this.tracker.resetVotes();
    const lastIndex = this.log.lastIndex();
    for (const member of this.tracker.members) {
      // Its own entry counts in the quorum only for entries of its term, which the disk must acknowledge first.
      member.reset(member.id === this.id ? lastIndex : 0, lastIndex + 1);
    }
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.readOnly.reset();
    this.lease.reset();
    this.pendingReads = [];
  }

  redrawElectionTimeout(): void {
    this.randomizedElectionTicks = this.electionTicks + Math.floor(this.config.random() * this.electionTicks);
  }

  becomeFollower(term: number, leader: NodeId | undefined): void {
    this.reset(term);
    this.leader = leader;
    this.role = 'follower';
    this.note('became-follower', { leader });
  }

  /** Whether this node may stand for election: a voter that holds state, all of it. */
  get promotable(): boolean {
    const self = this.tracker.progress.get(this.id);
    return (
      self !== undefined &&
      !self.isLearner &&
      !self.isWitness &&
      !this.belowVoteFloor &&
      this.log.unstable.snapshot === undefined
    );
  }

  /** Whether what this node had of the group before may be more than it has now. */
  get belowVoteFloor(): boolean {
    return this.log.lastIndex() < (this.config.voteFloor ?? 0);
  }

  /** Whether something of this term is committed, so that the commit index is known to be the group's. */
  get committedInTerm(): boolean {
    return this.log.matchTerm(this.log.committed, this.term);
  }
}
