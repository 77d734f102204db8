// The connections of this node to one peer: one for the control lane, and up to `maxConnectionsPerPeer` - 1 for bulk,
// opened when they are needed, closed when nobody uses them. All belong to one incarnation of the peer.
// The pool lives as long as its control connection; when that ends, everything ends.

import type { TransportLane } from '@datawarehouse/sdk';
import type { CloseReason } from '../connection/close-reason.js';
import type { Connection } from '../connection/connection.js';
import type { LivenessBounds } from '../connection/liveness.js';
import type { TransportSettings } from '../limits.js';
import { slotOfChannel, slotOfRequest } from './slot-policy.js';

/** What a pool needs from its owner. */
export interface PoolOptions {
  readonly control: Connection;
  readonly settings: () => TransportSettings;
  /** Starts to open the bulk connection of a slot (1 and up). */
  readonly dialBulk: (slot: number) => Connection;
}

/** The connections to one peer. */
export class ConnectionPool {
  readonly control: Connection;
  /** By slot - 1. */
  private readonly bulk: (Connection | undefined)[] = [];
  /** Connections of slots that a lowered limit has taken away; they finish what they carry. */
  private readonly retiring = new Set<Connection>();

  constructor(private readonly options: PoolOptions) {
    this.control = options.control;
  }

  /** Connections that are open or opening. */
  get size(): number {
    return 1 + this.bulk.filter((connection) => connection !== undefined).length + this.retiring.size;
  }

  /** Connections that carry something now. */
  get busy(): number {
    return this.all().filter((connection) => connection.queuedBytes > 0 || connection.pendingRequests > 0)
      .length;
  }

  /** The connection for a message or request in a lane; a bulk one is opened if need be, or validated after a rest. */
  connectionFor(lane: TransportLane, kind: 'message' | 'request', channel: string): Connection {
    if (lane === 'control') return this.control;
    const { maxConnectionsPerPeer, heartbeatIntervalMs } = this.options.settings();
    const slots = maxConnectionsPerPeer - 1;
    this.bulk.length = Math.max(this.bulk.length, slots);
    const index =
      kind === 'message'
        ? slotOfChannel(channel, slots)
        : slotOfRequest(Array.from({ length: slots }, (_, slot) => this.bulk[slot]));
    let connection = this.bulk[index];
    if (connection === undefined) {
      connection = this.options.dialBulk(index + 1);
      this.bulk[index] = connection;
    } else if (connection.pendingRequests === 0) {
      connection.validate(heartbeatIntervalMs);
    }
    return connection;
  }

  /** Forgets a bulk connection that was closed. */
  removed(connection: Connection): void {
    this.retiring.delete(connection);
    const index = this.bulk.indexOf(connection);
    if (index >= 0) this.bulk[index] = undefined;
  }

  /** The regular look at every connection. */
  tick(now: number, bounds: LivenessBounds): void {
    const { maxConnectionsPerPeer, idleConnectionTimeoutMs } = this.options.settings();
    this.retireFrom(maxConnectionsPerPeer - 1);
    this.control.tick(bounds);
    for (const connection of [...this.bulk, ...this.retiring]) {
      if (connection === undefined) continue;
      if (!connection.tick(bounds)) continue;
      if (this.retiring.has(connection)) connection.end('retired');
      else if (now - connection.lastUsedAt >= idleConnectionTimeoutMs) connection.end('idle');
    }
  }

  /** Every connection, the control one first. */
  all(): readonly Connection[] {
    return [this.control, ...this.bulk.filter((connection) => connection !== undefined), ...this.retiring];
  }

  /** Closes every connection at once. */
  close(reason: CloseReason): void {
    for (const connection of this.all()) connection.close(reason);
  }

  /** Takes the connections of slots past the limit out of use. A channel that moves begins its order anew, as after a reconnect. */
  private retireFrom(slots: number): void {
    for (let index = slots; index < this.bulk.length; index++) {
      const connection = this.bulk[index];
      if (connection !== undefined) this.retiring.add(connection);
    }
    if (this.bulk.length > slots) this.bulk.length = slots;
  }
}
