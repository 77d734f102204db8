// One Raft group on this node: its core, its log, its state, and those who wait for it. It does no I/O of its own: what
// the core wants sent and written it hands to its host, which does that for all groups of the node at once.

import type { DwError, RaftGroupStatus } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { groupClosed, groupFailed, notLeader, overloaded, requestAborted } from '../errors.js';
import { makeMessage } from '../raft/message.js';
import type { RaftCore } from '../raft/raft-core.js';
import type { ConfChange, ConfState, Entry, Message, ReadMode, StorageAppend } from '../raft/types.js';
import { GroupState } from '../state/group-state.js';
import type { GroupStorage } from '../storage/types.js';
import { admitChange, admitProposal } from './admission.js';
import { Applier } from './applier.js';
import { DiskStall } from './disk-stall.js';
import type { EntryKind } from './entry-envelope.js';
import { GroupConf } from './group-conf.js';
import { makeCore } from './group-core.js';
import type { GroupHost, GroupOptions } from './group-host.js';
import { GroupTicks } from './group-ticks.js';
import { GroupSnapshots, restoreState } from './group-snapshots.js';
import { bestSuccessor } from './leadership.js';
import { PendingProposals } from './pending-proposals.js';
import type { Proposal, ProposalResult } from './proposal.js';
import { ReadRounds } from './read-rounds.js';
import { SnapshotInstall } from './snapshot-install.js';

/** Readies taken in one turn; what is left comes in the next. */
const MAX_READIES = 8;
const MIN_READ_RETRY_MS = 100;

/** One group. */
export class RaftGroup {
  /** Name of the state machine that the group runs. */
  readonly machine: string;
  readonly pending: PendingProposals;
  readonly reads: ReadRounds;
  readonly snapshots: GroupSnapshots;
  /** Leaders seen since the start; the first one counts. */
  elections = 0;
  /** Messages of peers that were dropped because the disk has too much to do. */
  droppedAppends = 0;
  private readonly applier: Applier;
  private readonly members: GroupConf;
  private readonly install: SnapshotInstall;
  private knownLeader: string | undefined;
  private wasLeader = false;
  private failure: DwError | undefined;
  private stopped: DwError | undefined;
  private readonly stall: DiskStall;
  private readonly ticks: GroupTicks;

  /** Loads the state from the newest snapshot and starts the core. @throws DwError `snapshot-damaged`, `raft-…`. */
  static async open(
    id: string,
    host: GroupHost,
    storage: GroupStorage,
    options: GroupOptions,
  ): Promise<RaftGroup> {
    const state = new GroupState(options.machine.create(id));
    await state.open();
    const applied = storage.snapshot() === undefined ? 0 : await restoreState(storage, state, host.clock);
    return new RaftGroup(id, host, storage, state, applied, options);
  }

  private readonly core: RaftCore;

  private constructor(
    readonly id: string,
    private readonly host: GroupHost,
    readonly storage: GroupStorage,
    readonly state: GroupState,
    applied: number,
    options: GroupOptions,
  ) {
    this.pending = new PendingProposals(id, host.budget);
    this.reads = new ReadRounds(id, host.incarnation);
    this.core = makeCore(id, host, storage, applied, options);
    this.ticks = new GroupTicks(this.core, host);
    this.machine = options.machine.name;
    this.members = new GroupConf(storage.initialState().conf);
    this.applier = new Applier(
      id,
      state,
      this.pending,
      this.reads,
      host.clock,
      applied,
      (response) => this.core.step(response),
      (entry) => this.changeConf(entry),
    );
    this.install = new SnapshotInstall(
      (index) => this.installSnapshot(index),
      (append) => this.release(append),
      (error) => this.fail(error),
    );
    this.stall = new DiskStall(id, host.log);
    this.snapshots = new GroupSnapshots(this, host, () => this.failure !== undefined);
  }

  /** The members at the last entry applied. */
  get conf(): ConfState {
    return this.members.state;
  }

  get lastApplied(): number {
    return this.applier.lastApplied;
  }

  /** Term, commit index and members as the core sees them. Allocates. */
  get raft(): ReturnType<RaftCore['status']> {
    return this.core.status();
  }

  /** Ms for which this leader may answer reads alone, by the clock as it is now; 0 when it may not. */
  get leaseMs(): number {
    return this.isLeader ? this.core.leaseMsAt(this.host.clock.now()) : 0;
  }

  /** The tick at which {@link tick} has something to do. */
  get due(): number {
    return this.failure === undefined ? this.ticks.due : Infinity;
  }

  get isLeader(): boolean {
    return this.failure === undefined && this.core.isLeader;
  }

  get leader(): string | undefined {
    return this.failure === undefined ? this.core.leader : undefined;
  }

  get term(): number {
    return this.core.term;
  }

  /** Why the group stands still; undefined while it runs. */
  get failed(): DwError | undefined {
    return this.failure;
  }

  /** Why nothing is applied here any more: the group failed, was closed, or its node stops. */
  get ended(): DwError | undefined {
    return this.failure ?? this.stopped;
  }

  /** Whether there are entries to apply. */
  get hasApplies(): boolean {
    return this.applier.hasWork;
  }

  /**
   * Takes a proposal at the leader.
   * @param done Called exactly once, later.
   * @throws DwError `not-leader`, `overloaded`, `draining`, `group-failed`, `storage-failed`: it did not happen.
   */
  submit(
    kind: EntryKind,
    data: Uint8Array,
    deadline: number,
    done: (result: ProposalResult) => void,
  ): Proposal {
    this.checkRunning();
    if (!this.core.isLeader) throw notLeader(this.id, this.core.leader);
    const proposal = admitProposal(this.host, kind, data, deadline, done);
    this.pending.add(proposal);
    this.host.wake(this);
    return proposal;
  }

  /**
   * Proposes a membership change at the leader. It is settled like any other proposal: by the entry that is committed at
   * its index.
   * @throws DwError as {@link submit}; `conf-change-refused` while another one is under way or when it makes no sense;
   * `proposal-dropped`.
   */
  changeMembers(change: ConfChange, deadline: number, done: (result: ProposalResult) => void): Proposal {
    this.checkRunning();
    const { index, term } = this.core.proposeConfChange(change);
    const proposal = admitChange(this.host, deadline, done);
    this.pending.addAppended(proposal, index, term);
    this.host.wake(this);
    return proposal;
  }

  /** Stops waiting for a proposal: taken back if it is not in the log, else its outcome is unknown. */
  abandon(proposal: Proposal): void {
    this.pending.abandon(proposal, requestAborted());
  }

  /**
   * Calls `done` once the state may be read linearizably.
   * @param mode `safe`: a quorum confirms that the leader leads. `lease`: its lease does while it holds one.
   * @throws DwError `overloaded`, `draining`, `group-failed`, `storage-failed`.
   */
  read(deadline: number, done: (error: DwError | undefined) => void, mode: ReadMode = 'safe'): void {
    this.checkRunning();
    if (this.reads.size >= this.host.limits.maxPendingReads)
      throw overloaded('reads', 'maxPendingReads', 250);
    this.reads.add({ mode, deadline, done });
    this.host.wake(this);
  }

  /** Takes a message from a peer. */
  step(message: Message): void {
    if (message.type === 'append' && message.entries.length > 0 && this.host.diskFull) {
      // Raft copes with a lost append; a queue without end is what nobody copes with.
      this.droppedAppends++;
      return;
    }
    this.guard(() => {
      this.core.setTime(this.host.clock.now());
      this.ticks.catchUp();
      this.core.step(message);
    });
    this.wakeIfWanted();
  }

  /** Lets time pass. A node whose disk stalls must not stand for elections that it cannot win. */
  tick(diskStalled: boolean): void {
    this.guard(() => {
      if (diskStalled && !this.core.isLeader) {
        this.ticks.skip();
        return;
      }
      this.core.setTime(this.host.clock.now());
      this.ticks.run();
      const { clock, electionTimeoutMs } = this.host;
      if (this.core.isLeader && diskStalled) {
        this.stall.leave(this.core, () => this.bestSuccessor(), clock.now(), electionTimeoutMs);
      } else this.stall.over();
    });
    this.wakeIfWanted();
    this.plan();
  }

  /** Tells when entries were applied, and when the group stands still. The listener must not throw. */
  onApplied(listener: () => void): Disposable {
    return this.applier.onApplied(listener);
  }

  /** Puts an entry into the log that changes nothing, so that there is a later index than the present one. */
  proposeNothing(): void {
    if (this.failure !== undefined || !this.core.isLeader) return;
    try {
      this.core.proposeBatch([new Uint8Array(0)]);
    } catch (error) {
      // Too much is uncommitted: another entry is on its way as it is.
      if (!isDwError(error, 'proposal-dropped')) this.fail(error);
    }
    this.host.wake(this);
  }

  /** Stands for election, unless somebody leads. */
  campaign(): void {
    if (this.failure !== undefined || this.core.leader !== undefined) return;
    this.guard(() => {
      // A node that does not know the time helps nobody to lead, itself included.
      this.core.setTime(this.host.clock.now());
      this.core.campaign();
    });
    this.host.wake(this);
  }

  /** Hands leadership over. @throws DwError `not-leader`, `transfer-refused`. */
  transfer(to: string): void {
    this.core.transferLeadership(to);
    this.host.wake(this);
  }

  /** The voter to hand leadership to: one that follows, that was heard of lately, and whose log is the furthest. */
  bestSuccessor(): string | undefined {
    return bestSuccessor(this.core.status());
  }

  /** Follows a new election timeout. */
  setTicks(electionTicks: number, heartbeatTicks: number): void {
    if (this.failure !== undefined) return;
    this.ticks.setLengths(electionTicks, heartbeatTicks);
    this.plan();
  }

  reportUnreachable(peer: string): void {
    if (this.failure === undefined) this.guard(() => this.core.reportUnreachable(peer));
  }

  reportSnapshot(peer: string, ok: boolean): void {
    if (this.failure !== undefined) return;
    this.guard(() => this.core.reportSnapshot(peer, ok));
    this.host.wake(this);
  }

  /** The group's part of a turn: takes in what waits and hands out what the core wants done. */
  turn(now: number): void {
    this.guard(() => {
      this.core.setTime(now);
      this.ticks.catchUp();
      this.appendProposals();
      if (this.reads.wantsRound)
        this.reads.startRound(now, (context, mode) => this.askReadIndex(context, mode));
      for (let n = 0; n < MAX_READIES && this.core.hasReady(); n++) this.takeReady();
    });
    if (this.failure === undefined && this.core.hasReady()) this.host.wake(this);
    this.plan();
  }

  /** Applies entries until the clock passes `until`. @returns whether more are there. */
  apply(until: number): boolean {
    let more = false;
    this.guard(() => {
      more = this.applier.run(until);
    });
    this.wakeIfWanted();
    this.plan();
    return more;
  }

  /** An append, and all before it, are on disk. */
  durable(append: StorageAppend): void {
    if (this.failure === undefined) this.install.durable(append);
  }

  /** Gives up on what has waited too long, and takes a snapshot when the log has grown. Called a few times a second. */
  sweep(now: number): void {
    this.pending.expire(now);
    this.reads.expire(now);
    this.reads.restart(now - Math.max(MIN_READ_RETRY_MS, this.host.electionTimeoutMs));
    if (this.failure === undefined && !this.install.running) this.snapshots.takeIfDue(this.host.limits);
    if (this.reads.wantsRound) this.host.wake(this);
  }

  /** Fails everybody who waits. Nothing is to be called afterwards. */
  stop(refusal: DwError, why: string): void {
    this.stopped ??= refusal;
    this.pending.stop(refusal, why);
    this.reads.stop(refusal);
    this.applier.stop();
  }

  /** Ends this replica while the node goes on: whoever waits is told, and what comes late does nothing. */
  close(): void {
    this.failure ??= groupClosed(this.id);
    this.stop(this.failure, 'the replica that led was closed');
  }

  /** The group as this node sees it. */
  status(): RaftGroupStatus {
    const { role, leader, term, commit, conf } = this.core.status();
    return {
      id: this.id,
      machine: this.machine,
      ...(this.failure === undefined ? {} : { failure: failureOf(this.failure) }),
      state: role,
      ...(leader === undefined ? {} : { leaderId: leader }),
      term,
      commitIndex: commit,
      lastApplied: this.lastApplied,
      voters: conf.voters,
      learners: conf.learners,
      witnesses: conf.witnesses,
      firstIndex: this.storage.firstIndex(),
      lastIndex: this.storage.lastIndex(),
      stateHash: this.state.stateHash(this.lastApplied),
    };
  }

  /** @throws DwError that says why nothing is taken now. */
  private checkRunning(): void {
    const refusal = this.host.refusal ?? this.failure;
    if (refusal !== undefined) throw refusal;
  }

  private appendProposals(): void {
    if (this.pending.queued === 0) return;
    if (!this.core.isLeader) {
      this.pending.refuseQueued(notLeader(this.id, this.core.leader));
      return;
    }
    if (this.host.diskBusy) return;
    const next = this.pending.next();
    if (next.length === 0) return;
    try {
      const { index, term, accepted } = this.core.proposeBatch(next.map((proposal) => proposal.data));
      this.pending.markAppended(accepted, index, term);
    } catch (error) {
      // Too much is uncommitted, or leadership is being handed over: they wait, and their deadline takes them back.
      if (!isDwError(error, 'proposal-dropped')) throw error;
    }
  }

  private askReadIndex(context: string, mode: ReadMode): boolean {
    if (!this.core.isLeader) {
      if (this.core.leader === undefined) return false;
      const to = this.host.nodeId;
      this.core.step(makeMessage({ type: 'read-index', from: to, to, context }));
      return true;
    }
    try {
      this.core.readIndex(context, mode);
      return true;
    } catch (error) {
      if (isDwError(error, 'read-index-dropped')) return false;
      throw error;
    }
  }

  private takeReady(): void {
    const ready = this.core.ready();
    if (ready.soft !== undefined) this.roleChanged();
    for (const message of ready.messages) this.host.send(this, message);
    if (ready.append !== undefined) this.host.write(this, ready.append);
    if (ready.apply !== undefined) this.applier.push(ready.apply);
    for (const read of ready.reads) this.reads.confirm(read.context, read.index, this.lastApplied);
  }

  private roleChanged(): void {
    const { leader, isLeader } = this.core;
    if (this.wasLeader && !isLeader) {
      const deadline = this.host.clock.now() + 3 * this.host.electionTimeoutMs;
      this.pending.leadershipLost(notLeader(this.id, leader), deadline);
    }
    this.wasLeader = isLeader;
    // Whoever was asked to confirm reads may not be the one to ask any more.
    this.reads.restart(Infinity);
    if (leader === this.knownLeader) return;
    this.knownLeader = leader;
    if (leader !== undefined) this.elections++;
    this.host.leaderChanged(this);
  }

  private changeConf(entry: Entry): void {
    if (!this.members.apply(this.core, entry)) return;
    const { conf } = this;
    // A commit index may be lost, but for this one: after a blackout nobody would know of the change, and a quorum of the
    // former members may be just what the change was made for to do without.
    const { term, vote, commit } = this.core.status();
    const hardState = { term, vote, commit };
    this.host.write(this, { mustSync: true, hardState, entries: [], snapshot: undefined, responses: [] });
    this.host.log.info({ group: this.id, index: entry.index, ...conf }, 'the members changed');
    this.host.membersChanged(this);
  }

  /** Asks for a turn if there is something to do in it: an empty one costs as much as a small write. */
  private wakeIfWanted(): void {
    if (this.failure !== undefined) return;
    if (this.core.hasReady() || this.pending.queued > 0 || this.reads.wantsRound) this.host.wake(this);
  }

  private plan(): void {
    if (this.failure !== undefined) return;
    const turn = this.pending.queued > 0 || this.reads.wantsRound;
    const waits = this.pending.inLog > 0 || this.reads.size > 0;
    this.ticks.plan(turn ? 'turn' : waits ? 'answer' : 'nothing');
  }

  private release(append: StorageAppend): void {
    this.guard(() => {
      for (const response of append.responses) {
        if (response.to === this.host.nodeId) this.core.step(response);
        else this.host.send(this, response);
      }
    });
    // What was sent goes out with the disk's report, or with the tick.
    this.wakeIfWanted();
    this.plan();
  }

  private async installSnapshot(index: number): Promise<void> {
    await this.applier.drained();
    if (this.failure !== undefined || index <= this.lastApplied) return;
    const applied = await restoreState(this.storage, this.state, this.host.clock);
    this.applier.jumpTo(applied);
    if (this.members.become(this.storage.initialState().conf)) this.host.membersChanged(this);
    this.host.log.info({ group: this.id, index: this.lastApplied }, 'installed a snapshot from the leader');
  }

  private guard(work: () => void): void {
    if (this.failure !== undefined) return;
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = groupFailed(this.id, error);
    this.stop(this.failure, 'the group failed on its leader');
    this.host.groupFailed(this, error);
  }
}

/** What stands in a group's status of its failure: the error that caused it, which names the entry. */
function failureOf(failure: DwError): { readonly code: string; readonly message: string } {
  const { code, message } = isDwError(failure.cause) ? failure.cause : failure;
  return { code, message };
}
