// Which node an operation on a group goes to next: this one, the leader, or somebody who may know better.

import type { DwError, IPeerTransport, PeerState } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { LocalOperations } from './local-operations.js';
import type { GroupPlacement } from './placement.js';

/** Where an operation goes: `undefined` is this node. `relay`: the peer is asked to pass it on to the leader. */
export interface Target {
  readonly peer: string | undefined;
  readonly relay?: boolean;
}

/** What an operation needs. */
export interface RouteOptions {
  /** False for a read, which any replica can serve once the leader has told it how far. */
  readonly needsLeader: boolean;
  /** False for what was relayed here already. Default true. */
  readonly mayRelay?: boolean;
}

const HERE: Target = { peer: undefined };

/** Knows where groups can be reached. */
export class RouteTargets {
  private readonly connected = new Set<string>();
  /** Who led a group that has no replica here, when somebody last told. One entry for each group at most. */
  private readonly hints = new Map<string, string>();

  constructor(
    private readonly engine: MultiRaftEngine,
    private readonly local: LocalOperations,
    transport: IPeerTransport,
  ) {
    for (const peer of transport.peers()) this.peerChanged(peer.id, peer.state);
  }

  /** A peer came or went. */
  peerChanged(peer: string, state: PeerState): void {
    if (state === 'connected') this.connected.add(peer);
    else this.connected.delete(peer);
  }

  /** Where to go at this try (counted from 0); undefined when there is nowhere now. */
  of(placement: GroupPlacement, options: RouteOptions, tries: number): Target | undefined {
    const group = this.engine.group(placement.id);
    if (group === undefined || !this.local.serves(placement.id)) return this.elsewhere(placement, tries);
    if (group.isLeader) return HERE;
    const { leader } = group;
    const { needsLeader, mayRelay = true } = options;
    if (leader !== undefined) {
      if (this.connected.has(leader)) return needsLeader ? { peer: leader } : HERE;
      return mayRelay ? this.relay(placement, leader, tries) : undefined;
    }
    // Most likely an election is under way, and waiting will do. If not, others may know a leader that this node
    // cannot hear.
    return mayRelay && tries % 2 === 1 ? this.relay(placement, undefined, tries) : undefined;
  }

  /** Takes from a failure who leads. */
  learn(placement: GroupPlacement, failure: DwError): void {
    const leaderId = failure.details?.['leaderId'];
    if (typeof leaderId === 'string' && placement.voters.includes(leaderId)) {
      this.hints.set(placement.id, leaderId);
    } else if (failure.code !== 'overloaded') {
      this.hints.delete(placement.id);
    }
  }

  /** A voter that this node can reach, to pass the operation on. */
  private relay({ voters }: GroupPlacement, leader: string | undefined, tries: number): Target | undefined {
    const others = voters.filter((voter) => voter !== leader && this.connected.has(voter));
    const peer = others[tries % Math.max(1, others.length)];
    return peer === undefined ? undefined : { peer, relay: true };
  }

  /** For a group without a replica here: who was said to lead it, or any voter, who will say. */
  private elsewhere({ id, voters }: GroupPlacement, tries: number): Target | undefined {
    const hint = this.hints.get(id);
    if (hint !== undefined && hint !== this.engine.nodeId && tries % 2 === 0) return { peer: hint };
    const others = voters.filter((voter) => voter !== this.engine.nodeId);
    const reachable = others.filter((voter) => this.connected.has(voter));
    const candidates = reachable.length > 0 ? reachable : others;
    const peer = candidates[tries % Math.max(1, candidates.length)];
    return peer === undefined ? undefined : { peer };
  }
}
