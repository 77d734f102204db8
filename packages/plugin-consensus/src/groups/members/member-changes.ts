// Changes the members of a group, at its leader: new nodes get an empty replica, learn until they have the log, and then
// vote, all of them in one step; a leader that is to go hands over first; whoever was removed is told. Each step is safe
// by itself, so a leader that dies in the middle leaves a group that works, and the same request again does the rest.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import { noReplica, notLeader } from '../../errors.js';
import type { NodeId } from '../../raft/types.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { ReplicaRecords } from '../replicas/replica-records.js';
import type { CatchUpState } from './catch-up.js';
import { CatchUp } from './catch-up.js';
import { commitChange, pause, untilSimple } from './conf-proposals.js';
import { memberNotCaughtUp, memberRetiring, membersBusy } from './member-errors.js';
import type { MemberPlan, MemberRequest, MemberView } from './member-request.js';
import { planMembers, viewOf } from './member-request.js';

const POLL_MS = 20;
/** A round as short as this is short enough, however short the election timeout: on a busy machine no round is shorter. */
const ROUND_MS = 1_000;
const HAND_OVER_MS = 10_000;

/** What changes are made with. */
export interface MemberChangesOptions {
  readonly engine: MultiRaftEngine;
  readonly client: ReplicaClient;
  readonly records: ReplicaRecords;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a node is being retired, or was: nothing may count on it any more. */
  readonly isLeaving: (node: NodeId) => boolean;
}

/** How a change ended. */
export type ChangeOutcome =
  | { readonly kind: 'done'; readonly view: MemberView }
  /** All is done but the removal of this leader, which has handed over: the next leader is to be asked for that. */
  | { readonly kind: 'handed-over'; readonly rest: MemberRequest };

/** Changes the members of the groups that are led from here. */
export class MemberChanges {
  /** Groups of which a change is under way. */
  private readonly running = new Set<string>();
  /** Nodes that were let have a replica by the change that is under way, by group: they are about to be members. */
  private readonly joining = new Map<string, Set<NodeId>>();

  constructor(private readonly options: MemberChangesOptions) {}

  /** Whether a change of this group runs here. */
  busy(groupId: string): boolean {
    return this.running.has(groupId);
  }

  /** Whether a node is about to be a member of a group, and must keep its replica. */
  joins(groupId: string, node: NodeId): boolean {
    return this.joining.get(groupId)?.has(node) === true;
  }

  /**
   * Carries a request out, or what is left of it.
   * @throws DwError `no-replica`, `not-leader`, `members-busy`, `members-invalid`, `member-retiring`,
   * `member-not-caught-up`, `outcome-unknown`, and those of the nodes that are to get a replica.
   */
  change(groupId: string, request: MemberRequest): Promise<ChangeOutcome> {
    return this.exclusively(groupId, async (group) => {
      const { clock, client } = this.options;
      await untilSimple(group, clock, clock.now() + HAND_OVER_MS);
      const { nodeId } = this.options.engine;
      const plan = planMembers(groupId, group.conf, request, client.nodes(), nodeId);
      this.refuseLeaving(groupId, request);
      await this.admit(group, plan);
      try {
        this.refuseLeaving(groupId, request);
      } catch (error) {
        await this.takeOut(group, plan);
        throw error;
      }
      if (plan.change.length > 0) await commitChange(group, clock, plan.change);
      const gone = plan.removed.filter((node) => node !== nodeId);
      void this.tellRemoved(group, gone);
      if (!plan.removesLeader) return { kind: 'done', view: viewOf(groupId, group.conf) };
      await this.handOver(group);
      return { kind: 'handed-over', rest: { add: [], addLearners: [], addWitnesses: [], remove: [nodeId] } };
    });
  }

  /** Runs one thing at a time with the members of a group that is led from here. */
  async exclusively<T>(groupId: string, work: (group: RaftGroup) => Promise<T>): Promise<T> {
    const { engine } = this.options;
    const group = engine.group(groupId);
    if (group === undefined) throw noReplica(groupId, engine.nodeId, undefined);
    if (!group.isLeader) throw notLeader(groupId, group.leader);
    if (this.running.has(groupId)) throw membersBusy(groupId);
    this.running.add(groupId);
    try {
      await this.knowsMembers(group);
      return await work(group);
    } finally {
      this.running.delete(groupId);
      this.joining.delete(groupId);
    }
  }

  /**
   * Waits until this leader has applied an entry of its own term, and so every change of members that an earlier leader
   * has committed: by older members, a node that votes could be taken for one that has nothing to lose. The same goes for
   * a change of its own of which it was not told in time how it ended: it must not empty a replica that joins by it.
   */
  private async knowsMembers(group: RaftGroup): Promise<void> {
    const { clock } = this.options;
    const until = clock.now() + HAND_OVER_MS;
    const { lastIndex } = group.raft;
    while (group.lastApplied < lastIndex || group.storage.term(group.lastApplied) !== group.term) {
      if (!group.isLeader) throw notLeader(group.id, group.leader);
      if (clock.now() >= until) throw membersBusy(group.id);
      await pause(clock, POLL_MS);
    }
  }

  /** Lets a node have an empty replica. @throws DwError `not-leader`; of the transport or of the node. */
  async openReplica(group: RaftGroup, node: NodeId): Promise<void> {
    // Whoever leads no more does not know what its successor has made of the node.
    if (!group.isLeader) throw notLeader(group.id, group.leader);
    const { client, records } = this.options;
    const joining = this.joining.get(group.id) ?? new Set();
    this.joining.set(group.id, joining.add(node));
    await client.ask(node, {
      kind: 'open',
      groupId: group.id,
      machine: group.machine,
      bootstrap: group.storage.bootstrap,
      term: group.term,
      index: group.lastApplied,
      // What the node may still have from before, as another kind of member perhaps, is nothing to build on.
      replace: true,
      recovered: records.of(group.id).recovered,
    });
  }

  /** Waits until learners have caught up. @returns those that did not, with the reason. */
  async caughtUp(group: RaftGroup, nodes: readonly NodeId[]): Promise<ReadonlyMap<NodeId, string>> {
    const { clock, engine } = this.options;
    const failed = new Map<NodeId, string>();
    const behind = new Map(
      nodes.map((node) => {
        const { lastIndex } = group.raft;
        return [node, new CatchUp(lastIndex, clock.now(), Math.max(engine.electionTimeoutMs, ROUND_MS))];
      }),
    );
    while (behind.size > 0) {
      if (!group.isLeader) throw notLeader(group.id, group.leader);
      const { progress, lastIndex } = group.raft;
      for (const [node, learner] of behind) {
        const member = progress.find(({ id }) => id === node);
        const seen = member && {
          match: member.match,
          active: member.recentActive,
          snapshot: member.state === 'snapshot',
        };
        const verdict: CatchUpState = learner.observe(seen, lastIndex, clock.now());
        if (verdict.state === 'behind') continue;
        behind.delete(node);
        if (verdict.state === 'given-up') failed.set(node, verdict.why);
      }
      if (behind.size > 0) await pause(clock, POLL_MS);
    }
    return failed;
  }

  /** Opens replicas, adds learners, and waits until those that are to vote have the log. */
  private async admit(group: RaftGroup, plan: MemberPlan): Promise<void> {
    const { clock, log } = this.options;
    await Promise.all(plan.open.map((node) => this.openReplica(group, node)));
    for (const nodeId of plan.learn) await commitChange(group, clock, [{ type: 'add-learner', nodeId }]);
    if (plan.promote.length === 0) return;
    const failed = await this.caughtUp(group, plan.promote);
    const [first] = failed;
    if (first === undefined) return;
    log.warn({ group: group.id, nodes: Object.fromEntries(failed) }, 'learners did not catch up');
    await this.takeOut(group, plan);
    throw memberNotCaughtUp(group.id, [...failed.keys()], first[1]);
  }

  /** Takes those out again who were to vote and have only learned so far. */
  private async takeOut(group: RaftGroup, plan: MemberPlan): Promise<void> {
    const added = plan.promote.filter((node) => plan.learn.includes(node));
    for (const nodeId of added) await commitChange(group, this.options.clock, [{ type: 'remove', nodeId }]);
    this.joining.delete(group.id);
    void this.tellRemoved(group, added);
  }

  /** @throws DwError `member-retiring`. */
  private refuseLeaving(groupId: string, { add, addLearners, addWitnesses }: MemberRequest): void {
    const leaving = [...add, ...addLearners, ...addWitnesses].find(this.options.isLeaving);
    if (leaving !== undefined) throw memberRetiring(groupId, leaving);
  }

  /** Hands leadership to the best of the others. @throws DwError `not-leader` when it went by itself. */
  private async handOver(group: RaftGroup): Promise<void> {
    const { clock } = this.options;
    const until = clock.now() + HAND_OVER_MS;
    for (let next = 0; group.isLeader && clock.now() < until; await pause(clock, POLL_MS)) {
      if (group.raft.transferTarget !== undefined || clock.now() < next) continue;
      const to = group.bestSuccessor();
      if (to === undefined) continue;
      group.transfer(to);
      next = clock.now() + this.options.engine.electionTimeoutMs;
    }
    // Who still leads now has nobody to hand over to; what is left is refused as any request for its removal would be.
    while (group.leader === undefined && clock.now() < until) await pause(clock, POLL_MS);
  }

  /** Tells nodes that they are members no more. They make sure; if they do not hear it, they find out by asking. */
  private async tellRemoved(group: RaftGroup, nodes: readonly NodeId[]): Promise<void> {
    const { client, log } = this.options;
    const index = group.lastApplied;
    await Promise.all(
      nodes.map(async (node) => {
        try {
          await client.ask(node, { kind: 'destroy', groupId: group.id, index });
        } catch (error) {
          log.info({ group: group.id, node, reason: errorMessage(error) }, 'a removed node was not told');
        }
      }),
    );
  }
}
