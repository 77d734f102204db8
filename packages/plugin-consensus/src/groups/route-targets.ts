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
  /** All peers that were ever seen. Bounded by the size of a cluster. */
  private readonly known = new Set<string>();
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
    this.known.add(peer);
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
    return mayRelay && tries % 2 === 1 ? this.relay(placement, undefined, tries >> 1) : undefined;
  }

  /** Takes from a failure who leads. */
  learn({ id }: GroupPlacement, failure: DwError): void {
    const leaderId = failure.details?.['leaderId'];
    // A name that this node does not know leads nowhere.
    if (typeof leaderId === 'string' && this.known.has(leaderId)) this.hints.set(id, leaderId);
    else if (failure.code !== 'overloaded') this.hints.delete(id);
  }

  /** A peer that carried out what only a leader can. */
  succeeded({ id }: GroupPlacement, peer: string): void {
    if (this.hints.get(id) !== peer && this.engine.group(id) === undefined) this.hints.set(id, peer);
  }

  /** Who leads a group, as far as this node knows. */
  leaderHint(id: string): string | undefined {
    return this.engine.group(id)?.leader ?? this.hints.get(id);
  }

  /** A member that this node can reach, to pass the operation on. */
  private relay(placement: GroupPlacement, leader: string | undefined, tries: number): Target | undefined {
    const peer = this.pick(this.candidates(placement, leader), tries);
    return peer === undefined ? undefined : { peer, relay: true };
  }

  /** For a group without a replica here: who was said to lead it, or anybody who may say. */
  private elsewhere(placement: GroupPlacement, tries: number): Target | undefined {
    const hint = this.hints.get(placement.id);
    if (hint !== undefined && hint !== this.engine.nodeId && tries % 2 === 0) return { peer: hint };
    const peer = this.pick(this.candidates(placement, undefined), tries);
    return peer === undefined ? undefined : { peer };
  }

  private pick(candidates: readonly string[], tries: number): string | undefined {
    return candidates[tries % Math.max(1, candidates.length)];
  }

  /**
   * Whom to ask, the likeliest first: the members that the replica here knows, those that the group began with, and then
   * everybody else, because by now all of those may have been replaced. Nodes that cannot be reached only if none can.
   */
  private candidates({ id, voters }: GroupPlacement, not: string | undefined): readonly string[] {
    const members = this.engine.group(id)?.conf.voters ?? [];
    const all = [...new Set([...members, ...voters, ...this.connected])];
    const others = all.filter((peer) => peer !== this.engine.nodeId && peer !== not);
    const reachable = others.filter((peer) => this.connected.has(peer));
    return reachable.length > 0 || not !== undefined ? reachable : others;
  }
}
