// Where leadership of this node's groups should go: on a new cluster to each group's preferred node, and away from a node
// that is about to stop.

import type { IPeerTransport } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { RaftStatus } from '../raft/status.js';
import type { PeerGate } from './peer-gate.js';
import type { RaftGroup } from './raft-group.js';

/** Moves leadership to and from this node. */
export class Leadership {
  /** Groups in which this node stands first, until each has had a leader. */
  private readonly preferred = new Set<RaftGroup>();

  constructor(
    private readonly nodeId: string,
    private readonly transport: IPeerTransport,
    private readonly gate: PeerGate,
  ) {}

  /** This node should lead this group first. */
  prefer(group: RaftGroup): void {
    this.preferred.add(group);
  }

  /** The group has, or had, a leader, or is gone. */
  settled(group: RaftGroup): void {
    this.preferred.delete(group);
  }

  /** On a new cluster each group's preferred node stands first, as soon as a majority can hear it. */
  campaignWherePreferred(): void {
    if (this.preferred.size === 0) return;
    const heard = (id: string, state: string): boolean => state === 'connected' && this.gate.agrees(id);
    const peers = this.transport.peers().filter(({ id, state }) => heard(id, state));
    const connected = new Set([this.nodeId, ...peers.map((peer) => peer.id)]);
    for (const group of this.preferred) {
      const { voters } = group.raft.conf;
      const inReach = voters.filter((voter) => connected.has(voter)).length;
      if (inReach * 2 > voters.length) group.campaign();
    }
  }
}

/**
 * Begins to hand over the leadership of all groups that are led from here while another node could lead them.
 * @returns whether there was one.
 */
export function handOverAll(groups: readonly RaftGroup[]): boolean {
  if (!groups.some((group) => group.isLeader && group.raft.conf.voters.length > 1)) return false;
  for (const group of groups) handOver(group);
  return true;
}

/** Begins to hand leadership over, if the group is led from here and somebody can take it. */
function handOver(group: RaftGroup): void {
  if (!group.isLeader || group.raft.transferTarget !== undefined) return;
  const to = group.bestSuccessor();
  if (to === undefined) return;
  try {
    group.transfer(to);
  } catch (error) {
    // It lost leadership in this moment, which is what was wanted.
    if (!isDwError(error)) throw error;
  }
}

/** The voter to hand leadership to: one that has data, follows, was heard of lately, and whose log is the furthest. */
export function bestSuccessor({ id: self, progress, conf }: RaftStatus): string | undefined {
  const rank = (member: (typeof progress)[number]): number =>
    (member.state === 'replicate' ? 2 : 0) + (member.recentActive ? 1 : 0);
  return progress
    .filter(({ id, match }) => id !== self && match > 0 && conf.voters.includes(id))
    .filter(({ isWitness }) => !isWitness)
    .toSorted((a, b) => rank(b) - rank(a) || b.match - a.match)[0]?.id;
}
