// This node's side of one peer: keeps a pool of connections to it, dials again when it is lost, and sends.
//
// Who dials: each node dials every other and uses its own connections for its own messages and requests; a reply goes
// back on the connection of its request. So no two nodes must agree who dials, and a peer counts as connected when we
// can send to it, whether or not it can dial us.

import type { Endpoint, PeerStatus, RttStatistics, TimerHandle, TransportLane } from '@datawarehouse/sdk';
import type { CloseReason } from '../connection/close-reason.js';
import type { Connection } from '../connection/connection.js';
import type { LivenessBounds } from '../connection/liveness.js';
import type { QueueBudget } from '../connection/queue-budget.js';
import { frameTooLarge, peerUnreachable } from '../errors.js';
import type { Hello } from '../handshake/hello.js';
import { maxPayloadOf } from '../limits.js';
import { Backoff } from '../pool/backoff.js';
import { ConnectionPool } from '../pool/connection-pool.js';
import { dial } from '../pool/dialer.js';
import type { TransportEnvironment } from '../transport-environment.js';
import { laneBudget, settings } from '../transport-environment.js';
import { decodeError } from '../wire/remote-error.js';
import type { Payload } from '../wire/frame.js';
import { FrameType, payloadBytes } from '../wire/frame.js';
import { PendingRequests } from './pending-requests.js';
import { RttWindow } from './rtt-window.js';

/** Told of what happens to a peer. */
export interface PeerLinkEvents {
  readonly onConnected: (link: PeerLink, pool: ConnectionPool, peer: Hello) => void;
  readonly onDisconnected: (link: PeerLink, why: string) => void;
  /** The peer said that it leaves. */
  readonly onGoodbye: (link: PeerLink, incarnation: string) => void;
}

type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'dialling'; readonly connection: Connection }
  | {
      readonly kind: 'connected';
      readonly pool: ConnectionPool;
      readonly since: number;
      readonly incarnation: string;
    }
  | { readonly kind: 'waiting'; readonly timer: TimerHandle }
  | { readonly kind: 'closed' };

/** Why a message was not taken. */
export type SendRefusal = 'disconnected' | 'queue-full';

/** One peer. */
export class PeerLink {
  readonly pending: PendingRequests;
  readonly budgets: Readonly<Record<TransportLane, QueueBudget>>;
  private readonly rtt = new RttWindow();
  private readonly backoff: Backoff;
  private state: LinkState = { kind: 'idle' };
  private lastFailure = 'not dialled yet';

  constructor(
    readonly id: string,
    readonly address: string,
    private readonly endpoint: Endpoint,
    private readonly environment: TransportEnvironment,
    private readonly events: PeerLinkEvents,
  ) {
    this.pending = new PendingRequests(id, environment.clock);
    this.budgets = { control: laneBudget(environment), bulk: laneBudget(environment) };
    this.backoff = new Backoff({ random: environment.random });
  }

  get isConnected(): boolean {
    return this.state.kind === 'connected';
  }

  /** The pool, while connected. */
  get pool(): ConnectionPool | undefined {
    return this.state.kind === 'connected' ? this.state.pool : undefined;
  }

  status(): PeerStatus {
    const state = this.isConnected ? 'connected' : 'disconnected';
    return { id: this.id, endpoint: this.address, state, rtt: this.rttStatistics() };
  }

  rttStatistics(): RttStatistics | undefined {
    return this.rtt.statistics();
  }

  /** Dials now, unless it is connected, dialling or closed. Called at the start and when the peer has dialled us. */
  connect(): void {
    const { state } = this;
    if (state.kind !== 'idle' && state.kind !== 'waiting') return;
    if (state.kind === 'waiting') state.timer.cancel();
    const connection = dial(this.environment, {
      peer: this.id,
      endpoint: this.endpoint,
      lane: 'control',
      slot: 0,
      budget: this.budgets.control,
      onEstablished: (established, welcome) => this.controlEstablished(established, welcome),
      onClosed: (closed, reason, why) => this.controlClosed(closed, reason, why),
    });
    this.state = { kind: 'dialling', connection };
  }

  /**
   * Queues a message or request.
   * @returns the connection it went on, or why it was not taken.
   * @throws DwError `frame-too-large`, `channel-invalid`, `channel-limit`.
   */
  queue(
    lane: TransportLane,
    channel: string,
    kind: 'message' | 'request',
    correlation: number,
    payload: Payload,
  ): Connection | SendRefusal {
    if (this.state.kind !== 'connected') return 'disconnected';
    const bytes = payloadBytes(payload);
    const limit = maxPayloadOf(settings(this.environment), lane);
    if (bytes > limit) throw frameTooLarge(this.id, bytes, limit);
    if (!this.budgets[lane].hasRoom) return 'queue-full';
    const connection = this.state.pool.connectionFor(lane, kind, channel);
    if (connection.isEstablished && bytes > connection.maxPeerPayload) {
      throw frameTooLarge(this.id, bytes, connection.maxPeerPayload);
    }
    return connection.sendOn(channel, FrameType[kind], correlation, payload) ? connection : 'disconnected';
  }

  /** Why it is not connected, for people. */
  get failure(): string {
    return this.lastFailure;
  }

  /** The regular look at its connections. */
  tick(now: number, bounds: LivenessBounds): void {
    if (this.state.kind !== 'connected') return;
    this.state.pool.tick(now, bounds);
    this.budgets.control.recheck();
    this.budgets.bulk.recheck();
  }

  /** Says goodbye and resolves when everything queued was written or the connections are gone. */
  async leave(): Promise<void> {
    if (this.state.kind !== 'connected') return;
    const { pool } = this.state;
    pool.control.send(FrameType.goodbye, 0, []);
    await Promise.all(pool.all().map((connection) => connection.flushed()));
  }

  /** Closes every connection in good order and never dials again. Resolves when no socket is left. */
  close(): Promise<void> {
    return this.end('this node is stopping', (connection) => connection.end('shutdown'));
  }

  /**
   * The peer is a member no more: cuts every connection at once and never dials again. Requests under way fail as when
   * the peer is lost. Resolves when no socket is left.
   */
  dismiss(): Promise<void> {
    return this.end('it is a member of the cluster no more', (connection) => connection.close('dismissed'));
  }

  private async end(why: string, cut: (connection: Connection) => void): Promise<void> {
    const { state } = this;
    this.state = { kind: 'closed' };
    const connections =
      state.kind === 'connected' ? state.pool.all() : state.kind === 'dialling' ? [state.connection] : [];
    if (state.kind === 'waiting') state.timer.cancel();
    this.lastFailure = why;
    this.loseRoom(why);
    for (const connection of connections) {
      if (state.kind === 'connected') cut(connection);
      else connection.close('shutdown');
    }
    if (state.kind === 'connected') this.events.onDisconnected(this, why);
    this.pending.close();
    await Promise.all(connections.map((connection) => connection.whenGone));
  }

  private controlEstablished(connection: Connection, welcome: Hello): void {
    if (this.state.kind !== 'dialling') return;
    const pool = new ConnectionPool({
      control: connection,
      settings: () => settings(this.environment),
      dialBulk: (slot) => this.dialBulk(slot, welcome.incarnation),
    });
    this.state = {
      kind: 'connected',
      pool,
      since: this.environment.clock.now(),
      incarnation: welcome.incarnation,
    };
    this.lastFailure = '';
    connection.onFrame = this.frameHandler(connection);
    connection.onRoundTrip = (milliseconds) => this.rtt.add(milliseconds);
    this.events.onConnected(this, pool, welcome);
  }

  private controlClosed(connection: Connection, reason: CloseReason, why: string): void {
    const { state } = this;
    this.pending.connectionLost(connection, why);
    if (state.kind === 'connected' && state.pool.control === connection) {
      this.backoff.connectionEnded(this.environment.clock.now() - state.since);
      this.state = { kind: 'idle' };
      this.lastFailure = why;
      this.loseRoom(why);
      state.pool.close('pool-closed');
      this.dialLater();
      this.events.onDisconnected(this, why);
    } else if (state.kind === 'dialling' && state.connection === connection) {
      this.state = { kind: 'idle' };
      this.lastFailure = why;
      this.environment.log.debug({ peer: this.id, reason, why }, 'peer could not be dialled');
      this.dialLater();
    }
  }

  /** Before the connections are closed: what they drop makes room, but not to this peer. */
  private loseRoom(why: string): void {
    const error = peerUnreachable(this.id, why);
    this.budgets.control.lose(error);
    this.budgets.bulk.lose(error);
  }

  private dialLater(): void {
    const timer = this.environment.clock.setTimeout(() => this.connect(), this.backoff.next());
    this.state = { kind: 'waiting', timer };
  }

  private dialBulk(slot: number, incarnation: string): Connection {
    return dial(this.environment, {
      peer: this.id,
      endpoint: this.endpoint,
      lane: 'bulk',
      slot,
      budget: this.budgets.bulk,
      onEstablished: (connection, welcome) => {
        // Another incarnation answers: the one that our control connection leads to is gone.
        if (welcome.incarnation !== incarnation) this.pool?.control.close('superseded');
        else connection.onFrame = this.frameHandler(connection);
      },
      onClosed: (connection, _reason, why) => {
        this.pending.connectionLost(connection, why);
        this.pool?.removed(connection);
      },
    });
  }

  private frameHandler(connection: Connection) {
    return (type: number, _channel: number, correlation: number, payload: Buffer): boolean => {
      if (type === FrameType.reply || type === FrameType.error) {
        if (!this.pending.hasUsed(correlation)) {
          connection.close('unknown-correlation');
          return false;
        }
        const request = this.pending.take(correlation, connection);
        if (type === FrameType.error) request?.reject(decodeError(this.id, payload));
        // Copied, so that a small reply which is kept does not keep the whole chunk it came in.
        else request?.resolve(Buffer.from(payload));
        connection.lendPayload();
        return true;
      }
      if (type === FrameType.goodbye) {
        if (this.state.kind === 'connected') this.events.onGoodbye(this, this.state.incarnation);
        return true;
      }
      connection.close('unexpected-frame');
      return false;
    };
  }
}
