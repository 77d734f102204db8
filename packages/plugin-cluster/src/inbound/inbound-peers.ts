// The connections that peers have opened to us. A peer has one for each slot of its pool: a new one in the same slot
// takes the place of the old, and one of a new incarnation takes the place of all, so that their number is bounded
// and a restarted peer never waits for its former connections to time out.

import type { ChannelHandler } from '@datawarehouse/sdk';
import type { CloseReason } from '../connection/close-reason.js';
import type { Connection } from '../connection/connection.js';
import type { LivenessBounds } from '../connection/liveness.js';
import type { QueueBudget } from '../connection/queue-budget.js';
import type { Hello } from '../handshake/hello.js';
import type { TransportEnvironment } from '../transport-environment.js';
import { FrameType } from '../wire/frame.js';
import type { ActiveRequests } from './inbound-session.js';
import { InboundSession } from './inbound-session.js';

interface Inbound {
  readonly connection: Connection;
  readonly session: InboundSession;
}

interface InboundPeer {
  readonly incarnation: string;
  readonly active: ActiveRequests;
  readonly slots: Map<number, Inbound>;
}

/** Told of what peers do. */
export interface InboundEvents {
  /** A peer has opened its control connection: it is there. */
  readonly onContact: (peer: Hello) => void;
  /** A peer said that it leaves. */
  readonly onGoodbye: (peer: Hello) => void;
}

/** Incoming connections by peer. */
export class InboundPeers {
  private readonly peers = new Map<string, InboundPeer>();

  constructor(
    private readonly environment: TransportEnvironment,
    private readonly handlers: ReadonlyMap<string, ChannelHandler>,
    private readonly events: InboundEvents,
  ) {}

  /** Connections of all peers. */
  get size(): number {
    let size = 0;
    for (const peer of this.peers.values()) size += peer.slots.size;
    return size;
  }

  /** Takes a connection whose handshake is over. */
  add(connection: Connection, budget: QueueBudget, hello: Hello): void {
    const peer = this.peerFor(hello);
    peer.slots.get(hello.slot)?.connection.close('replaced');
    const session = new InboundSession({
      environment: this.environment,
      connection,
      budget,
      peer: hello,
      active: peer.active,
      handlers: this.handlers,
      onGoodbye: () => this.events.onGoodbye(hello),
    });
    peer.slots.set(hello.slot, { connection, session });
    // Closing the former connection may have removed the peer with its last slot.
    this.peers.set(hello.nodeId, peer);
    if (hello.slot === 0) this.events.onContact(hello);
  }

  /** Forgets a connection that was closed. */
  removed(connection: Connection, hello: Hello): void {
    const peer = this.peers.get(hello.nodeId);
    const inbound = peer?.slots.get(hello.slot);
    if (peer === undefined || inbound?.connection !== connection) return;
    peer.slots.delete(hello.slot);
    inbound.session.closed();
    if (peer.slots.size === 0) this.peers.delete(hello.nodeId);
  }

  /** The regular look at every connection. */
  tick(bounds: LivenessBounds): void {
    for (const connection of this.all()) connection.tick(bounds);
  }

  /** Says goodbye to every peer and resolves when it was written, and the replies before it, or the peers are gone. */
  async leave(): Promise<void> {
    for (const peer of this.peers.values()) peer.slots.get(0)?.connection.send(FrameType.goodbye, 0, []);
    await Promise.all(this.all().map((connection) => connection.flushed()));
  }

  /** Closes every connection in good order. Resolves when no socket is left. */
  async close(reason: CloseReason): Promise<void> {
    const connections = this.all();
    for (const connection of connections) connection.end(reason);
    await Promise.all(connections.map((connection) => connection.whenGone));
  }

  /** Cuts every connection of a peer that is a member no more. */
  dismiss(nodeId: string): void {
    const connections = [...(this.peers.get(nodeId)?.slots.values() ?? [])].map((slot) => slot.connection);
    for (const connection of connections) connection.close('dismissed');
  }

  private all(): readonly Connection[] {
    return [...this.peers.values()].flatMap((peer) =>
      [...peer.slots.values()].map((inbound) => inbound.connection),
    );
  }

  private peerFor(hello: Hello): InboundPeer {
    const known = this.peers.get(hello.nodeId);
    if (known?.incarnation === hello.incarnation) return known;
    for (const inbound of known?.slots.values() ?? []) inbound.connection.close('superseded');
    const peer: InboundPeer = {
      incarnation: hello.incarnation,
      active: { control: 0, bulk: 0 },
      slots: new Map(),
    };
    this.peers.set(hello.nodeId, peer);
    return peer;
  }
}
