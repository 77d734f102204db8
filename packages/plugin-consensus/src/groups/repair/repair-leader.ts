// Brings back the replicas of nodes that lost or damaged them: at the leader of each group, one at a time, at a bounded
// rate. The node goes out of the group first, so that nothing counts on what it has forgotten and the leader forgets what
// it had; it gets an empty replica, learns until it has the log, and is then again what it was.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { membersOf } from '../../engine/group-conf.js';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import type { ConfState, NodeId } from '../../raft/types.js';
import { commitChange } from '../members/conf-proposals.js';
import { memberNotCaughtUp, memberRetiring } from '../members/member-errors.js';
import type { MemberChanges } from '../members/member-changes.js';
import type { ReplicaClient } from '../replicas/replica-client.js';
import type { FormerRole, ReportReplicas } from '../replicas/replica-messages.js';

/** Repairs at once from this node. */
const MAX_REPAIRS = 2;
/** After a repair of a group that failed, the next try at that group. */
const RETRY_MS = 10_000;

/** What it works with. */
export interface RepairLeaderOptions {
  readonly engine: MultiRaftEngine;
  readonly changes: MemberChanges;
  readonly client: ReplicaClient;
  /** Whether a node is being retired or is gone: its voters are replaced, and nothing is brought back to it. */
  readonly isLeaving: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Repairs members of the groups that are led from here. */
export class RepairLeader {
  /** Replicas brought back since the start. */
  repaired = 0;
  private readonly notBefore = new Map<string, number>();
  private running = 0;

  constructor(private readonly options: RepairLeaderOptions) {}

  /**
   * A node says what it has.
   * @returns the groups in which, as far as this node knows, it should be something that it is not.
   */
  report(from: NodeId, report: ReportReplicas): readonly string[] {
    const pending: string[] = [];
    for (const group of this.options.engine.all()) {
      const role = roleOf(group.conf, from);
      const wanted = report.notes[group.id] ?? role;
      const lost =
        role !== undefined && (!report.held.includes(group.id) || report.damaged.includes(group.id));
      if (wanted === undefined || (!lost && wanted === role)) continue;
      pending.push(group.id);
      if (group.isLeader && !this.options.isLeaving(from)) this.begin(group, from, wanted, lost);
    }
    return pending;
  }

  private begin(group: RaftGroup, node: NodeId, role: FormerRole, lost: boolean): void {
    const { clock, changes, log } = this.options;
    const key = `${group.id} ${node}`;
    if (this.running >= MAX_REPAIRS || changes.busy(group.id)) return;
    if (clock.now() < (this.notBefore.get(key) ?? 0)) return;
    this.running++;
    log.warn({ group: group.id, node, role, lost }, 'a member lost its replica: bringing it back');
    changes
      .exclusively(group.id, () => this.bringBack(group, node, role, lost))
      .then(
        () => {
          this.repaired++;
          this.notBefore.delete(key);
          log.info({ group: group.id, node, role }, 'brought a member back');
        },
        (error: unknown) => {
          this.notBefore.set(key, clock.now() + RETRY_MS);
          log.warn(
            { group: group.id, node, reason: errorMessage(error) },
            'could not bring a member back yet',
          );
        },
      )
      .finally(() => {
        this.running--;
      });
  }

  private async bringBack(group: RaftGroup, node: NodeId, role: FormerRole, lost: boolean): Promise<void> {
    const { client, changes, clock } = this.options;
    if (lost) {
      await client.ask(node, { kind: 'note', groupId: group.id, role });
      await commitChange(group, clock, [{ type: 'remove', nodeId: node }]);
    }
    const present = roleOf(group.conf, node);
    // Only a node that is no member gets an empty replica: the leader counts on nothing of it now.
    if (present === undefined) {
      this.refuseLeaving(group, node);
      await changes.openReplica(group, node);
      const type = role === 'witness' ? 'add-witness' : 'add-learner';
      await commitChange(group, clock, [{ type, nodeId: node }]);
    }
    if (role !== 'voter' || roleOf(group.conf, node) === 'voter') return;
    const failed = await changes.caughtUp(group, [node]);
    for (const [, why] of failed) throw memberNotCaughtUp(group.id, [node], why);
    this.refuseLeaving(group, node);
    await commitChange(group, clock, [{ type: 'add-voter', nodeId: node }]);
  }

  /** Each step may have taken long. @throws DwError `member-retiring`. */
  private refuseLeaving(group: RaftGroup, node: NodeId): void {
    if (this.options.isLeaving(node)) throw memberRetiring(group.id, node);
  }
}

/** What a node is in a group; undefined when it is no member. */
export function roleOf(conf: ConfState, node: NodeId): FormerRole | undefined {
  if (!membersOf(conf).includes(node)) return undefined;
  if (conf.witnesses.includes(node)) return 'witness';
  return conf.voters.includes(node) || conf.votersOutgoing.includes(node) ? 'voter' : 'learner';
}
