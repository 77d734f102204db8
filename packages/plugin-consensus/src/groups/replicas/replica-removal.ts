// How a node learns for sure that it is no member of a group any more, before it destroys its replica: from the leader,
// which confirms with a quorum that it leads and looks at the members after that. A message that says so is only a reason
// to ask: it may be old, and the node may have been added again since.

import type { Clock, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import { membersOf } from '../../engine/group-conf.js';
import type { LocalOperations } from '../local-operations.js';
import type { GroupTurns } from './group-turns.js';
import type { ReplicaClient } from './replica-client.js';
import type { ReplicaRecords } from './replica-records.js';

/** A replica without a leader, or that is no member as far as it knows, asks only after so long: elections come and go. */
const LEADERLESS_MS = 10_000;
const LOOK_MS = 5_000;
/** Peers that are asked in one look. */
const MAX_ASKED = 8;
const CONFIRM_MS = 5_000;

/** What it works with. */
export interface ReplicaRemovalOptions {
  readonly engine: MultiRaftEngine;
  readonly local: LocalOperations;
  readonly client: ReplicaClient;
  readonly records: ReplicaRecords;
  readonly turns: GroupTurns;
  /** Whether a node is about to be a member: it has its replica already. */
  readonly joins: (groupId: string, node: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Destroys replicas that are members of nothing. */
export class ReplicaRemoval {
  private readonly leaderlessSince = new Map<string, number>();
  private readonly asking = new Set<string>();
  private timer: { cancel(): void } | undefined;
  private turn = 0;

  constructor(private readonly options: ReplicaRemovalOptions) {}

  start(): void {
    this.timer = this.options.clock.setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    this.timer?.cancel();
  }

  /** Answers a node that asks whether it is a member. */
  async answer(groupId: string, node: string): Promise<Readonly<Record<string, unknown>>> {
    const { engine, local, clock } = this.options;
    const group = engine.group(groupId);
    if (group === undefined) return { state: 'unknown' };
    if (!group.isLeader) return { state: 'unknown', leader: group.leader };
    await local.confirm(groupId, clock.now() + CONFIRM_MS);
    if (this.options.joins(groupId, node)) return { state: 'joining' };
    const state = membersOf(group.conf).includes(node) ? 'member' : 'removed';
    return { state, index: group.lastApplied };
  }

  /** Somebody says that this node is no member: asks the leader. @returns whether the replica was destroyed. */
  async check(groupId: string, peers: readonly string[]): Promise<boolean> {
    const { engine, records, log, turns } = this.options;
    if (this.asking.has(groupId)) return false;
    this.asking.add(groupId);
    try {
      for (const peer of peers) {
        const index = await this.removedAt(groupId, peer);
        if (index === undefined) continue;
        const destroyed = await turns.run(groupId, async () => {
          const { openedAt } = records.of(groupId);
          // An answer of before this replica was asked for, or of that moment, is not about it.
          if (openedAt > 0 && index <= openedAt) return false;
          if ((engine.group(groupId)?.lastApplied ?? 0) > index) return false;
          log.info({ group: groupId, by: peer, index }, 'no member any more: destroying the replica');
          await engine.destroyGroup(groupId);
          await records.forget(groupId);
          return true;
        });
        if (destroyed) return true;
      }
      return false;
    } finally {
      this.asking.delete(groupId);
    }
  }

  private async removedAt(groupId: string, peer: string): Promise<number | undefined> {
    try {
      const { state, index } = await this.options.client.ask(peer, { kind: 'ask', groupId });
      return state === 'removed' && typeof index === 'number' ? index : undefined;
    } catch (error) {
      this.options.log.debug({ group: groupId, peer, reason: errorMessage(error) }, 'could not ask');
      return undefined;
    }
  }

  private look(): void {
    const { engine, clock, client, log, records } = this.options;
    const now = clock.now();
    const open = new Set(engine.all().map(({ id }) => id));
    for (const id of this.leaderlessSince.keys()) if (!open.has(id)) this.leaderlessSince.delete(id);
    const peers = client.connected();
    for (const group of engine.all()) {
      // One that has seen its own removal hears of no leader again, and holds the last one for the leader for ever. So
      // does one that was opened and then not made a member: where it was one of the first, it takes itself for one.
      const isMember = membersOf(group.conf).includes(engine.nodeId);
      const knowsMembers = group.lastApplied >= records.of(group.id).openedAt;
      if ((group.leader !== undefined && isMember && knowsMembers) || group.failed !== undefined) {
        this.leaderlessSince.delete(group.id);
        continue;
      }
      const since = this.leaderlessSince.get(group.id) ?? now;
      this.leaderlessSince.set(group.id, since);
      if (now - since < LEADERLESS_MS) continue;
      this.turn++;
      const some = peers.map((_, n) => peers[(this.turn + n) % peers.length] as string).slice(0, MAX_ASKED);
      this.check(group.id, some).catch((error: unknown) => {
        log.warn(
          { group: group.id, reason: errorMessage(error) },
          'could not find out whether it is a member',
        );
      });
    }
  }
}
