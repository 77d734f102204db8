// The Raft core of one group on one node: a pure state machine. Messages, ticks and proposals in, a Ready out; the
// engine does what the Ready says and steps the answers of its storage back in. Synchronous and deterministic: the same
// inputs and random numbers give the same outputs.

import { encodeConfChange } from './confchange/encoding.js';
import {
  confChangeRefused,
  notLeader,
  proposalDropped,
  raftConfigInvalid,
  readIndexDropped,
  transferRefused,
} from './errors.js';
import { hup } from './election.js';
import { handleSnapshotStatus, handleUnreachable, propose, proposalObstacle } from './leader.js';
import { applyConfChange, confChangeObstacle } from './membership.js';
import { makeMessage } from './message.js';
import { checkTicks, maxPendingReads, RaftState } from './raft-state.js';
import { ReadyMaker } from './ready.js';
import { holdsLease, takeRead } from './reads.js';
import { fitsUncommitted } from './replication.js';
import { statusOf, type RaftStatus } from './status.js';
import { step } from './step.js';
import { count, tick, ticksToAct } from './tick.js';
import { startTransfer } from './transfer.js';
import type { ConfChange, ConfState, Message, NodeId, RaftConfig, ReadMode, Ready, Role } from './types.js';

/** Where a proposal was appended. It is committed if an entry of this index and this term ever is. */
export interface Proposed {
  readonly index: number;
  readonly term: number;
}

/** Where a batch was appended: `accepted` proposals from `index` on, all of `term`. */
export interface ProposedBatch extends Proposed {
  /** How many of the batch, from its start, were appended; the rest did not fit and never happened. */
  readonly accepted: number;
}

/** One replica of one group. A call that throws `raft-invariant` condemns it: do not use it any further. */
export class RaftCore {
  readonly #state: RaftState;
  readonly #ready: ReadyMaker;

  /**
   * Starts from what storage holds.
   * @throws DwError `raft-config-invalid`; `raft-invariant` when storage contradicts itself.
   */
  constructor(config: RaftConfig) {
    this.#state = new RaftState(config);
    this.#ready = new ReadyMaker(this.#state);
  }

  get id(): NodeId {
    return this.#state.id;
  }

  get term(): number {
    return this.#state.term;
  }

  get role(): Role {
    return this.#state.role;
  }

  /** Who leads, as far as known. */
  get leader(): NodeId | undefined {
    return this.#state.leader;
  }

  get isLeader(): boolean {
    return this.#state.role === 'leader';
  }

  /** Highest index known to be committed. */
  get commit(): number {
    return this.#state.log.committed;
  }

  /** Highest index that the engine reported as applied. */
  get applied(): number {
    return this.#state.log.applied;
  }

  get lastIndex(): number {
    return this.#state.log.lastIndex();
  }

  /** Whether nobody else can lead at the time that was last set. */
  get holdsLease(): boolean {
    return this.#state.lease.inUse && holdsLease(this.#state);
  }

  /**
   * The time now, in milliseconds of a monotonic clock. Only leases are measured with it. Where they are configured, call
   * it before every tick and read, and before messages are stepped: with a time taken after they arrived.
   */
  setTime(nowMs: number): void {
    this.#state.lease.setTime(nowMs);
  }

  /** One tick of time. */
  tick(): void {
    tick(this.#state);
  }

  /** Ticks until one does more than count; at least 1. Whatever changes the role or hears the leader changes it. */
  get ticksToAct(): number {
    return ticksToAct(this.#state);
  }

  /** Counts ticks that passed unseen, all but the one that does more than count. @returns how many it counted. */
  countTicks(ticks: number): number {
    const quiet = Math.min(ticks, ticksToAct(this.#state) - 1);
    count(this.#state, quiet);
    return quiet;
  }

  /** Whether this node helps nobody to lead, by the clock as it was set last. */
  get isPromised(): boolean {
    return this.#state.lease.isPromised;
  }

  /** Milliseconds for which nobody else can lead, as {@link RaftStatus.leaseMs}, but by the clock as it is now. */
  leaseMsAt(nowMs: number): number {
    return this.#state.lease.remainingAt(nowMs);
  }

  /**
   * Handles a message: from a peer, with `from` set by whoever authenticated it, or from this node's own storage
   * (`append.responses` and `apply.responses` that are addressed to it). A message from a peer that is broken, or that
   * its sender may not send, is refused, counted in {@link RaftStatus.refusedMessages} and traced. A peer's message must
   * never arrive here under this node's own id.
   * @throws DwError `proposal-dropped` for a `propose` message that is not taken; `raft-invariant`.
   */
  step(message: Message): void {
    step(this.#state, message);
  }

  /**
   * Appends a proposal to the leader's log.
   * @throws DwError `not-leader`; `proposal-dropped` (too much is uncommitted, or leadership is being transferred). In
   * both cases it is not appended and never will be.
   */
  propose(data: Uint8Array): Proposed {
    const state = this.#state;
    if (state.role !== 'leader') throw notLeader(state.id, state.leader);
    propose(state, [{ type: 'normal', data }]);
    return { index: state.log.lastIndex(), term: state.term };
  }

  /**
   * Appends several proposals, which go out as one append. Takes as many from the start as fit under the bound on
   * uncommitted bytes.
   * @throws DwError `not-leader`, `proposal-dropped`: none was appended.
   */
  proposeBatch(datas: readonly Uint8Array[]): ProposedBatch {
    const state = this.#state;
    if (state.role !== 'leader') throw notLeader(state.id, state.leader);
    if (datas.length === 0) throw raftConfigInvalid('a batch of proposals must not be empty');
    const obstacle = proposalObstacle(state);
    if (obstacle !== undefined) throw proposalDropped(state.id, obstacle);
    let bytes = 0;
    let accepted = 0;
    for (const data of datas) {
      // The first one of a batch is taken whatever its size if nothing is uncommitted, like a single proposal.
      const fits = fitsUncommitted(state, bytes + data.length);
      const first = accepted === 0 || bytes + data.length <= state.config.maxUncommittedBytes;
      if (!fits || !first) break;
      bytes += data.length;
      accepted++;
    }
    if (accepted === 0)
      throw proposalDropped(state.id, `${state.uncommittedBytes} bytes are uncommitted already`);
    const taken = accepted === datas.length ? datas : datas.slice(0, accepted);
    const index = state.log.lastIndex() + 1;
    propose(
      state,
      taken.map((data) => ({ type: 'normal' as const, data })),
    );
    return { index, term: state.term, accepted };
  }

  /**
   * Appends a membership change to the leader's log. It takes effect on each replica when that calls
   * {@link applyConfChange}.
   * @throws DwError `not-leader`; `conf-change-refused` when another change is not applied yet or the change does not
   * fit the membership; `conf-change-invalid` when it is too large to be written; `proposal-dropped`.
   */
  proposeConfChange(change: ConfChange): Proposed {
    const state = this.#state;
    if (state.role !== 'leader') throw notLeader(state.id, state.leader);
    const dropped = proposalObstacle(state);
    if (dropped !== undefined) throw proposalDropped(state.id, dropped);
    const refused = confChangeObstacle(state, change);
    if (refused !== undefined) throw confChangeRefused(state.id, refused);
    propose(state, [{ type: 'conf-change', data: encodeConfChange(change) }]);
    return { index: state.log.lastIndex(), term: state.term };
  }

  /**
   * Takes on the membership that a `conf-change` entry asks for. Call it when the entry is applied, in order, before
   * the answer to its page is stepped in; undefined says that the entry is to mean nothing. A change that makes no
   * sense changes nothing. `index` is the entry's: give it wherever a snapshot can be taken on while entries are still
   * being applied, for a change that the snapshot holds already must not be made again. Returns the membership from here on: what a snapshot at this entry must hold.
   */
  applyConfChange(change: ConfChange | undefined, index?: number): ConfState {
    if (change !== undefined) applyConfChange(this.#state, change, index);
    return this.#state.tracker.confState();
  }

  /**
   * A follower forgets who leads, so that it may vote at once: for whoever knows better that the leader is gone. It does
   * not where leases are in use, because a vote would break the promise that they rest on.
   */
  forgetLeader(): void {
    this.step(makeMessage({ type: 'forget-leader', from: this.id, to: this.id }));
  }

  /**
   * Asks for a linearizable read. A {@link Ready.reads} with this context follows, unless leadership is lost first: on
   * a change of {@link Ready.soft} away from leader, and of term, every read that is still waiting has failed. One
   * request may stand for many reads. In `lease` mode the answer is there at once while the leader holds its lease (call
   * {@link setTime} first); otherwise, and in `safe` mode always, a quorum is asked.
   * @throws DwError `not-leader`; `read-index-dropped` when too many wait.
   */
  readIndex(context: string, mode?: ReadMode): void {
    const state = this.#state;
    if (state.role !== 'leader') throw notLeader(state.id, state.leader);
    const read = { from: state.id, context, mode: mode ?? state.config.readOnly ?? 'safe' };
    if (!takeRead(state, read)) throw readIndexDropped(state.id, maxPendingReads);
  }

  /** Stands for election now (with a pre-vote first if that is configured). Ignored where it makes no sense. */
  campaign(): void {
    hup(this.#state, this.#state.config.preVote ? 'pre-election' : 'election');
  }

  /**
   * Hands leadership to a voter. Until that is done, or given up after an election timeout, proposals are dropped.
   * @throws DwError `not-leader`; `transfer-refused` when `to` is no voter.
   */
  transferLeadership(to: NodeId): void {
    const state = this.#state;
    if (state.role !== 'leader') throw notLeader(state.id, state.leader);
    const target = state.tracker.progress.get(to);
    if (target === undefined) throw transferRefused(state.id, to, 'it is no member of this group');
    if (!state.tracker.config.voters.has(to)) throw transferRefused(state.id, to, 'it has no vote');
    if (target.isWitness) throw transferRefused(state.id, to, 'a witness holds no state');
    startTransfer(state, target);
  }

  /** Gives up leadership: for a leader that knows that it cannot do its work (a disk that stalls, a shutdown). */
  stepDown(): void {
    const state = this.#state;
    if (state.role === 'leader') state.becomeFollower(state.term, undefined);
  }

  /** Whether {@link ready} has anything to say. */
  hasReady(): boolean {
    return this.#ready.hasReady();
  }

  /** Everything that is to be done since the last call. It counts as taken on: handle it whole, in order. */
  ready(): Ready {
    return this.#ready.ready();
  }

  /** A message to this peer was not delivered. */
  reportUnreachable(id: NodeId): void {
    const member = this.#state.tracker.progress.get(id);
    if (this.isLeader && member !== undefined && id !== this.#state.id) handleUnreachable(member);
  }

  /**
   * The snapshot that a `snapshot` message announced was delivered to this peer, or was not. Every such message must be
   * reported in the end: until then, or until the peer acknowledges it, the peer is sent no entries.
   */
  reportSnapshot(id: NodeId, ok: boolean): void {
    const member = this.#state.tracker.progress.get(id);
    if (this.isLeader && member !== undefined) handleSnapshotStatus(member, ok);
  }

  /**
   * Changes the election timeout; the present wait gets a new deadline.
   * @throws DwError `raft-config-invalid` unless it is above the heartbeat's.
   */
  setElectionTicks(ticks: number): void {
    checkTicks(ticks, this.#state.heartbeatTicks);
    this.#state.electionTicks = ticks;
    this.#state.redrawElectionTimeout();
  }

  /**
   * Changes the time between heartbeats.
   * @throws DwError `raft-config-invalid` unless it is below the election timeout.
   */
  setHeartbeatTicks(ticks: number): void {
    checkTicks(this.#state.electionTicks, ticks);
    this.#state.heartbeatTicks = ticks;
  }

  /** A picture of the replica. Allocates; not for hot paths. */
  status(): RaftStatus {
    return statusOf(this.#state);
  }
}
