// The engine of a node: one loop that drives all its groups. A turn takes in what came since the last one, lets each
// group hand out what its core wants, sends one frame to each peer, issues one write to the disk for all groups, and
// applies committed entries for a few milliseconds. It never waits: the disk, the network and the state machine call
// for another turn when they have something.
//
// What peers send is stepped at once and not queued; their entries are bounded by the bytes that wait for the disk.
// What clients want is bounded by the proposal budget and the pending reads. Neither can fill the other's place.

import { randomBytes } from 'node:crypto';
import type { Clock, DwError, Logger, TimerHandle } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import {
  draining,
  engineNotRunning,
  groupUnknown,
  snapshotTransferFailed,
  storageUnusable,
} from '../errors.js';
import { type GroupPlacement, bootstrapConf } from '../groups/placement.js';
import { makeMessage } from '../raft/message.js';
import type { ConfState, Message, Snapshot, SnapshotMetadata, StorageAppend } from '../raft/types.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';
import type { SnapshotShape } from '../storage/snapshot-format.js';
import type { GroupStorage, SnapshotSink } from '../storage/types.js';
import type { AppendJob } from './disk-writer.js';
import { DiskWriter } from './disk-writer.js';
import { START_ELECTION_TIMEOUT_MS, nextElectionTimeoutMs, ticksFor } from './election-timeout.js';
import type { EngineLimits } from './engine-limits.js';
import type { EngineOptions } from './engine-options.js';
import { LatencyHistogram } from './latency-histogram.js';
import { Leadership, handOverAll } from './leadership.js';
import { hasMachine, machineOf } from './known-machines.js';
import { OPEN_GATE, type PeerGate } from './peer-gate.js';
import { PeerOutbox, RAFT_CHANNEL } from './peer-outbox.js';
import { ProposalBudget } from './proposal.js';
import type { GroupHost } from './group-host.js';
import { RaftGroup } from './raft-group.js';
import { RaftInbox } from './raft-inbox.js';
import { Replicas } from './replicas.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { SnapshotSender } from './snapshot-sender.js';
import { SNAPSHOT_CHANNEL } from './snapshot-transfer.js';
import { TickSource } from './tick-source.js';

/** Ms of applying in one turn. */
const APPLY_SLICE_MS = 4;
const SWEEP_MS = 100;
/** A node without groups looks around this often. */
const MAX_TICKS = 50;
/** How often the election timeout follows the round-trip times. */
const RETUNE_MS = 30_000;
/** Bytes that one leader proposes ahead of what is applied. */
const MAX_UNCOMMITTED_BYTES = 64 * 1024 * 1_024;
/** Election timeouts for which a node that stops tries to hand its leadership over. */
const DRAIN_TIMEOUTS = 3;
const PAUSE_MS = 10;
/** Codes that say that a group's own files are damaged. */
const DAMAGE = new Set(['raft-group-damaged', 'raft-log-damaged', 'snapshot-damaged']);

/** Drives the Raft groups of one node. */
export class MultiRaftEngine implements GroupHost {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly budget = new ProposalBudget();
  readonly commitLatency = new LatencyHistogram();
  readonly disk: DiskWriter<RaftGroup>;
  private readonly replicas: Replicas;
  private readonly inbox: RaftInbox;
  private readonly leadership: Leadership;
  private readonly gate: PeerGate;
  private dirty = new Set<RaftGroup>();
  private readonly outbox: PeerOutbox;
  private readonly tickSource: TickSource;
  private readonly sender: SnapshotSender;
  private readonly receiver: SnapshotReceiver;
  private readonly disposables: Disposable[] = [];
  private scheduled: TimerHandle | undefined;
  private state: 'new' | 'running' | 'draining' | 'stopped' = 'new';
  private storageFailure: DwError | undefined;
  private timeoutMs = START_ELECTION_TIMEOUT_MS;
  private proposalIds = 0;
  private nextSweep = 0;
  private nextRetune = 0;

  constructor(private readonly options: EngineOptions) {
    const { nodeId, transport, storage, clock, log } = options;
    this.nodeId = nodeId;
    this.incarnation = options.incarnation ?? randomBytes(9).toString('base64url');
    this.clock = clock;
    this.log = log;
    this.gate = options.gate ?? OPEN_GATE;
    this.replicas = new Replicas(storage, {
      load: (id, machine, groupStorage) => this.load(id, machine, groupStorage),
      opened: (group) => this.groupOpened(group),
      closed: (group) => this.groupClosed(group),
    });
    this.inbox = new RaftInbox(nodeId, log, (id, message) => this.replicas.get(id)?.step(message));
    this.leadership = new Leadership(nodeId, transport, this.gate);
    this.outbox = new PeerOutbox(transport, (peer, id) => this.replicas.get(id)?.reportUnreachable(peer));
    this.tickSource = new TickSource(clock, () => this.tick());
    this.sender = new SnapshotSender(transport, log, clock, options.limits, (id, peer, ok) => {
      this.replicas.get(id)?.reportSnapshot(peer, ok);
    });
    this.receiver = new SnapshotReceiver(
      {
        receive: (id, metadata, shape) => this.receiveSnapshot(id, metadata, shape),
        deliver: (id, from, term, snapshot) => this.deliverSnapshot(id, from, term, snapshot),
      },
      clock,
    );
    const failed = (error: unknown): void => this.storageFailed(error);
    this.disk = new DiskWriter(storage, clock, (jobs) => this.durable(jobs), failed);
    storage.onFailed(failed);
  }

  get limits(): EngineLimits {
    return this.options.limits();
  }

  get refusal(): DwError | undefined {
    if (this.storageFailure !== undefined) return this.storageFailure;
    if (this.state === 'running') return undefined;
    return this.state === 'draining' ? draining() : engineNotRunning();
  }

  get diskBusy(): boolean {
    return this.disk.depth >= this.limits.maxInflightWrites;
  }

  get diskFull(): boolean {
    return this.disk.bytes > this.limits.maxMemoryBytes;
  }

  get electionTimeoutMs(): number {
    return this.timeoutMs;
  }

  get ticks(): number {
    return this.tickSource.passed;
  }

  /** Why the storage failed; undefined while it works. */
  get failure(): DwError | undefined {
    return this.storageFailure;
  }

  /** Counters for operators. */
  get counters() {
    return {
      lostFrames: this.outbox.lost,
      appendsSent: this.outbox.appends,
      malformedFrames: this.inbox.malformedFrames,
      stalls: this.tickSource.stalls,
      snapshotsSent: this.sender.sent,
      snapshotBytesSent: this.sender.bytes,
      snapshotTransfers: this.sender.transfers + this.receiver.size,
      diskWrites: this.disk.writes,
    };
  }

  /** The groups that have a replica here. */
  all(): readonly RaftGroup[] {
    return this.replicas.all();
  }

  /** A group that has a replica here. */
  group(id: string): RaftGroup | undefined {
    return this.replicas.get(id);
  }

  /**
   * Opens the groups that have a replica here and begins to work. Voters that the storage knows win over the placement.
   * @throws DwError of the storage or of a damaged snapshot.
   */
  async start(placements: readonly GroupPlacement[]): Promise<void> {
    const known = new Set(this.options.storage.groupIds);
    for (const placement of placements) {
      if (!placement.voters.includes(this.nodeId) && !known.has(placement.id)) continue;
      if (hasMachine(this.options.machines, placement.machine)) await this.openOrLeave(placement);
      else this.log.warn({ group: placement.id }, 'the group waits for its state machine to be registered');
    }
    this.listen();
    this.state = 'running';
    this.nextRetune = this.clock.now() + RETUNE_MS;
    this.tickSource.start();
    for (const group of this.replicas.all()) this.wake(group);
    this.leadership.campaignWherePreferred();
  }

  /** Opens a group with the members that the disk knows, else with those of the placement. Open already: no-op. */
  async openPlaced({ id, voters, preferredLeader, machine }: GroupPlacement): Promise<RaftGroup> {
    const group = await this.openGroup(id, bootstrapConf(voters), machine);
    const known = group.storage.initialState().conf.voters;
    if (known.toSorted().join() !== voters.join()) {
      const fields = { group: id, voters: known, configured: voters };
      this.log.warn(fields, 'the voters on disk are not those of the configuration; those on disk count');
    }
    if (preferredLeader === this.nodeId && group.leader === undefined) {
      this.leadership.prefer(group);
      if (this.state === 'running') this.leadership.campaignWherePreferred();
    }
    return group;
  }

  /**
   * Opens a group on what the disk holds of it; if that is nothing, with these members at index 0. Open already: no-op.
   * @throws DwError of the storage or of a damaged snapshot; `state-machine-unknown`.
   */
  openGroup(id: string, bootstrap: ConfState, machine: string = KEY_VALUE_MACHINE): Promise<RaftGroup> {
    return this.replicas.open(id, bootstrap, machine);
  }

  /** Stops a group and leaves its files. Whoever waits for it is told. Not open: no-op. */
  closeGroup(id: string): Promise<void> {
    return this.replicas.close(id);
  }

  /** Stops a group and removes all that this node has of it: log, snapshots, term and vote. */
  destroyGroup(id: string): Promise<void> {
    return this.replicas.destroy(id);
  }

  /** Puts an empty replica in the place of one that is damaged or not to be believed. */
  replaceGroup(id: string, bootstrap: ConfState, machine: string): Promise<RaftGroup> {
    return this.replicas.replace(id, bootstrap, machine);
  }

  /** Stops a replica, lets `between` change what its disk holds, and opens it again. */
  reopenGroup(id: string, machine: string, between: () => Promise<void>): Promise<RaftGroup> {
    return this.replicas.reopen(id, machine, between);
  }

  /** Takes no new work, hands leadership over, and resolves when what was taken is settled or `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'draining';
    while (!signal.aborted && this.budget.count > 0) await this.pause();
    const until = this.clock.now() + DRAIN_TIMEOUTS * this.timeoutMs;
    while (!signal.aborted && this.clock.now() < until && handOverAll(this.all())) await this.pause();
  }

  /** Stops everything, fails who waits, and writes what was left for later. Does not close the storage. */
  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.tickSource.stop();
    this.sender.stop();
    this.receiver.stop();
    for (const disposable of this.disposables.splice(0).toReversed()) disposable[Symbol.dispose]();
    this.scheduled?.cancel();
    for (const group of this.replicas.all()) group.stop(engineNotRunning(), 'the node stopped');
    await Promise.all(this.replicas.all().map((group) => group.snapshots.close()));
    const writes = this.disk.takeLazy();
    if (writes.length === 0 || this.options.storage.status.state !== 'open') return;
    await this.options.storage.write(writes).catch((error: unknown) => {
      // Commit indexes only: the group finds them again.
      this.log.warn({ reason: errorMessage(error) }, 'could not write the last commit indexes');
    });
  }

  /** A peer takes this node's messages from now on, and this node the peer's. */
  peerAgreed(): void {
    this.leadership.campaignWherePreferred();
  }

  tickAt(tick: number): void {
    this.tickSource.at(tick);
  }

  nextProposalId(): number {
    return ++this.proposalIds;
  }

  wake(group: RaftGroup): void {
    this.dirty.add(group);
    // What ends after `stop` has nothing left to set off, and the clock takes no timers any more.
    if (this.state === 'stopped') return;
    this.scheduled ??= this.clock.setImmediate(() => this.turn());
  }

  send(group: RaftGroup, message: Message): void {
    if (message.type !== 'snapshot') {
      this.outbox.add(group.id, message);
      return;
    }
    const { to: peer, term } = message;
    // By the leader's own members: the snapshot may be from before the witness was added.
    const metadataOnly = group.raft.conf.witnesses.includes(peer);
    if (!group.snapshots.covers(message.to)) {
      // A node takes no snapshot of a membership that it is not part of.
      void group.snapshots.renewFor(message.to);
      return;
    }
    group.snapshots.readyFor(peer, metadataOnly, () => {
      this.sender.start({ groupId: group.id, peer, term, storage: group.storage, metadataOnly });
    });
  }

  lowestSnapshotSent(group: RaftGroup): number | undefined {
    return this.sender.lowestIndex(group.id);
  }

  write(group: RaftGroup, append: StorageAppend): void {
    this.disk.add({ group, append });
  }

  leaderChanged(group: RaftGroup): void {
    this.leadership.settled(group);
    // A leader that was lost without need shows that round trips have become longer: do not wait to believe it.
    if (group.leader === undefined) this.followRoundTrips();
    this.log.info({ group: group.id, leader: group.leader, term: group.term }, 'leader changed');
    this.options.onLeaderChanged?.(group);
  }

  membersChanged(group: RaftGroup): void {
    this.options.onMembersChanged?.(group);
  }

  groupFailed(group: RaftGroup, error: unknown): void {
    this.log.error(
      { group: group.id, reason: errorMessage(error), error },
      'the group failed and stands still',
    );
    this.options.onLeaderChanged?.(group);
  }

  /** Opens a group, unless its files are damaged: that is its own affair, and the others serve. */
  private async openOrLeave(placement: GroupPlacement): Promise<void> {
    try {
      await this.openPlaced(placement);
    } catch (error) {
      if (!isDwError(error) || !DAMAGE.has(error.code)) throw error;
      this.log.error({ group: placement.id, reason: error.message }, 'a damaged replica stays closed');
    }
  }

  private load(id: string, machine: string, storage: GroupStorage): Promise<RaftGroup> {
    return RaftGroup.open(id, this, storage, {
      ...ticksFor(this.timeoutMs),
      random: this.options.random ?? Math.random,
      maxUncommittedBytes: MAX_UNCOMMITTED_BYTES,
      voteFloor: this.options.voteFloor?.(id) ?? 0,
      machine: machineOf(this.options.machines, machine),
    });
  }

  private groupOpened(group: RaftGroup): void {
    // The election timeout may have changed while the state was being loaded.
    const { electionTicks, heartbeatTicks } = ticksFor(this.timeoutMs);
    group.setTicks(electionTicks, heartbeatTicks);
    if (this.state === 'running') this.wake(group);
    this.options.onReplicasChanged?.(group, 'opened');
  }

  private groupClosed(group: RaftGroup): void {
    this.leadership.settled(group);
    this.dirty.delete(group);
    this.disk.forget(group);
    this.sender.stop(group.id);
    this.receiver.stop(group.id);
    group.close();
    this.options.onReplicasChanged?.(group, 'closed');
    this.options.onLeaderChanged?.(group);
  }

  private turn(): void {
    this.scheduled?.cancel();
    this.scheduled = undefined;
    if (this.state === 'stopped' || this.storageFailure !== undefined) return;
    const now = this.clock.now();
    const { dirty } = this;
    if (dirty.size > 0) this.dirty = new Set();
    for (const group of dirty) group.turn(now);
    // First to the peers, so that their disks work while ours does.
    this.outbox.flush();
    this.disk.flush();
    this.applySome(now);
    if (this.outbox.holds) this.tickSource.at(0);
    this.tickSource.at(this.ticks + this.disk.ticksToStall(this.timeoutMs));
  }

  /** Appends are on disk. */
  private durable(jobs: readonly AppendJob<RaftGroup>[]): void {
    // A replica that was closed hears of nothing, and least of all the one that took its place.
    for (const { group, append } of jobs) if (this.replicas.get(group.id) === group) group.durable(append);
    // A turn that comes at once anyway sends the answers with what it has itself: one frame to a peer instead of two.
    if (this.scheduled === undefined) this.outbox.flush();
    if (this.outbox.holds) this.tickSource.at(0);
  }

  private applySome(now: number): void {
    const busy = this.replicas.all().filter((group) => group.hasApplies);
    let until = now;
    for (const group of busy) {
      until += APPLY_SLICE_MS / busy.length;
      if (group.apply(until)) this.wake(group);
    }
  }

  /** Does what is due. @returns in how many ticks there is more to do. */
  private tick(): number {
    const { ticks } = this;
    const stalled = this.disk.stalledMs > this.timeoutMs;
    for (const group of this.replicas.all()) if (stalled || group.due <= ticks) group.tick(stalled);
    this.outbox.release();
    this.sweep(this.clock.now());
    // What the tick brought goes out with it, and not a turn of the event loop later.
    this.turn();
    if (stalled || this.outbox.holds) return 1;
    let next = Math.min(MAX_TICKS, this.disk.ticksToStall(this.timeoutMs));
    for (const group of this.replicas.all()) next = Math.min(next, group.due - ticks);
    return next;
  }

  private sweep(now: number): void {
    if (now < this.nextSweep) return;
    this.nextSweep = now + SWEEP_MS;
    for (const group of this.replicas.all()) group.sweep(now);
    this.receiver.sweep();
    this.sender.sweep();
    if (now >= this.nextRetune) this.retune(now);
  }

  private retune(now: number): void {
    this.nextRetune = now + RETUNE_MS;
    this.commitLatency.rotate();
    this.followRoundTrips();
  }

  /** Adopts the election timeout that limits and round-trip times ask for now. */
  followRoundTrips(): void {
    const next = nextElectionTimeoutMs(this.options.transport.peers(), this.limits);
    if (next === this.timeoutMs) return;
    this.timeoutMs = next;
    const { electionTicks, heartbeatTicks } = ticksFor(next);
    for (const group of this.replicas.all()) group.setTicks(electionTicks, heartbeatTicks);
  }

  private listen(): void {
    const { transport } = this.options;
    this.disposables.push(
      transport.handle(RAFT_CHANNEL, {
        borrowsPayloads: true,
        onMessage: (from, payload) => {
          if (this.state === 'stopped' || this.storageFailure !== undefined) return;
          const quiet = this.scheduled === undefined;
          if (!this.gate.accepts(from) || !this.inbox.receive(from, payload)) return;
          // Heartbeats are all that came: waiting for more would cost more than the answer.
          if (quiet && this.dirty.size > 0) this.turn();
        },
      }),
      transport.handle(SNAPSHOT_CHANNEL, {
        borrowsPayloads: true,
        onRequest: async (from, payload) => {
          if (!this.gate.accepts(from)) throw snapshotTransferFailed('its sender has not introduced itself');
          return this.receiver.onRequest(from, payload);
        },
      }),
      transport.onPeerStateChanged(() => this.leadership.campaignWherePreferred()),
    );
  }

  private receiveSnapshot(
    id: string,
    metadata: SnapshotMetadata,
    shape: SnapshotShape,
  ): Promise<SnapshotSink> {
    const group = this.replicas.get(id);
    return group === undefined
      ? Promise.reject(groupUnknown(id))
      : group.storage.receiveSnapshot(metadata, shape);
  }

  private deliverSnapshot(id: string, from: string, term: number, snapshot: Snapshot): void {
    this.replicas.get(id)?.step(makeMessage({ type: 'snapshot', from, to: this.nodeId, term, snapshot }));
  }

  private storageFailed(error: unknown): void {
    if (this.storageFailure !== undefined || this.state === 'stopped') return;
    this.storageFailure = storageUnusable(error);
    this.log.error(
      { reason: errorMessage(error) },
      'the storage failed: this node takes part in nothing any more',
    );
    this.tickSource.stop();
    for (const group of this.replicas.all()) {
      group.stop(this.storageFailure, 'the storage of its leader failed');
      this.options.onLeaderChanged?.(group);
    }
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimeout(resolve, PAUSE_MS);
    });
  }
}
