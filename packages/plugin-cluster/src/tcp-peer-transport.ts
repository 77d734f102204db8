// The peer transport over TCP: puts the listener, the links to all peers and the channels' handlers together.
// One timer looks at every connection at the heartbeat interval.

import type {
  ChannelHandler,
  Clock,
  Endpoint,
  IPeerTransport,
  LimitSet,
  Logger,
  PeerRequestOptions,
  PeerState,
  PeerStatus,
  TimerHandle,
  TransportLane,
} from '@datawarehouse/sdk';
import { MAX_CLUSTER_NODES, SystemClock, isDwError } from '@datawarehouse/sdk';
import { assertChannelName } from './connection/channel-names.js';
import {
  channelTaken,
  clusterFull,
  peerQueueFull,
  peerUnknown,
  peerUnreachable,
  transportClosed,
} from './errors.js';
import type { Hello, NodeIdentity } from './handshake/hello.js';
import { InboundPeers } from './inbound/inbound-peers.js';
import { PeerListener } from './inbound/peer-listener.js';
import { livenessBounds, transportLimits } from './limits.js';
import { parsePeerAddress } from './peer-address.js';
import { PeerLink } from './peer/peer-link.js';
import { PoolCache } from './pool/pool-cache.js';
import { Rejections } from './rejections.js';
import type { TlsMaterial } from './tls-material.js';
import type { TransportEnvironment } from './transport-environment.js';
import { settings } from './transport-environment.js';
import type { Payload } from './wire/frame.js';

const DEFAULT_TIMEOUT_MS = 5_000;
/** Callers of `drained` for one lane; more are refused. */
const MAX_ROOM_WAITERS = 1_024;

/** What a transport is made of. */
export interface TcpPeerTransportOptions {
  readonly identity: NodeIdentity;
  /** Where to listen. Port 0 takes any free port. */
  readonly listen: Endpoint;
  /** `host:port` by node id; this node may be among them. */
  readonly peers: Readonly<Record<string, string>>;
  /** Mutual TLS, if given. */
  readonly tls?: TlsMaterial;
  readonly log: Logger;
  /** Default: the clock of the machine. */
  readonly clock?: Clock;
  /** For the jitter of reconnects. Default Math.random. */
  readonly random?: () => number;
}

/** What became known of a peer in its handshake, and what it said since. */
export interface PeerContact {
  /** The peer can be sent to. */
  onConnected?(peer: Hello): void;
  onDisconnected?(peer: string, why: string): void;
  /** The peer, or rather this incarnation of it, said that it leaves the cluster. */
  onGoodbye?(peer: string, incarnation: string): void;
}

/** {@link IPeerTransport} over TCP, or TLS over TCP. */
export class TcpPeerTransport implements IPeerTransport {
  readonly localId: string;
  /** The limits of the subsystem `peer-transport`. */
  readonly limits: LimitSet;
  /** @internal */
  readonly environment: TransportEnvironment;
  private readonly links = new Map<string, PeerLink>();
  private readonly handlers = new Map<string, ChannelHandler>();
  private readonly stateListeners = new Set<(peer: string, state: PeerState) => void>();
  private readonly contactListeners = new Set<PeerContact>();
  /** Links of dismissed peers whose sockets are not gone yet. */
  private readonly dismissing = new Set<Promise<void>>();
  private readonly pools: PoolCache;
  private readonly inbound: InboundPeers;
  private readonly listener: PeerListener;
  private ticking: TimerHandle | undefined;
  private phase: 'new' | 'running' | 'leaving' | 'closed' = 'new';
  private boundPort: number | undefined;

  /** @throws DwError `peer-address-invalid`. */
  constructor(private readonly options: TcpPeerTransportOptions) {
    const { identity, log } = options;
    const clock = options.clock ?? new SystemClock();
    const others = Object.entries(options.peers).filter(([id]) => id !== identity.nodeId);
    this.localId = identity.nodeId;
    this.limits = transportLimits(others.length);
    this.environment = {
      rules: { local: identity, knows: (nodeId) => this.links.has(nodeId) },
      clock,
      random: options.random ?? Math.random,
      log,
      limits: this.limits,
      tls: options.tls,
      rejections: new Rejections(log, clock),
      traffic: { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 },
      drops: { disconnected: 0, queueFull: 0, unhandled: 0, overloaded: 0, handlerFailed: 0 },
      memory: { bytes: 0 },
    };
    this.pools = new PoolCache(settings(this.environment).maxCacheEntries, clock);
    for (const [id, address] of others) this.addLink(id, address);
    this.inbound = new InboundPeers(this.environment, this.handlers, {
      onContact: (peer) => this.links.get(peer.nodeId)?.connect(),
      onGoodbye: ({ nodeId, incarnation }) =>
        this.tell((contact) => contact.onGoodbye?.(nodeId, incarnation)),
    });
    this.listener = new PeerListener(this.environment, this.inbound);
    this.limits.onChanged(({ applied }) => this.limitsChanged(applied));
  }

  /** The port it listens on, once started. */
  get port(): number | undefined {
    return this.boundPort;
  }

  /**
   * Starts to listen and to dial the peers. It does not wait for any of them.
   * @throws DwError `peer-listen-failed`.
   */
  async start(): Promise<void> {
    if (this.phase !== 'new') return;
    this.phase = 'running';
    this.boundPort = await this.listener.listen(this.options.listen);
    if (this.stopped) return;
    this.armTick();
    for (const link of this.links.values()) link.connect();
  }

  /**
   * Makes a node a peer while the transport runs: it is dialled, and may dial. A peer that is known under another
   * address moves to this one: its connections are cut and made anew.
   * @throws DwError `peer-address-invalid`; `cluster-full`.
   */
  admit(id: string, address: string): void {
    if (id === this.localId || this.stopped) return;
    const known = this.links.get(id);
    if (known?.address === address) return;
    parsePeerAddress(id, address);
    if (known !== undefined) this.dismiss(id);
    else if (this.links.size + 2 > MAX_CLUSTER_NODES) throw clusterFull(id, MAX_CLUSTER_NODES);
    const link = this.addLink(id, address);
    this.fitPools();
    if (this.phase === 'running') link.connect();
  }

  /**
   * Makes a peer a stranger: its connections are cut, requests under way to it fail as when it is lost, and it is
   * refused from now on.
   * @returns false when it was none.
   */
  dismiss(id: string): boolean {
    const link = this.links.get(id);
    if (link === undefined) return false;
    // First, so that whoever is told of the loss cannot send to it any more.
    this.links.delete(id);
    this.track(link.dismiss());
    this.inbound.dismiss(id);
    return true;
  }

  peers(): readonly PeerStatus[] {
    return [...this.links.values()].map((link) => link.status());
  }

  send(peer: string, channel: string, payload: Payload, lane: TransportLane = 'control'): boolean {
    const link = this.link(peer);
    const { drops } = this.environment;
    if (lane === 'bulk') this.pools.use(peer);
    const outcome = this.stopped ? 'disconnected' : link.queue(lane, channel, 'message', 0, payload);
    if (typeof outcome !== 'string') return true;
    if (outcome === 'queue-full') drops.queueFull++;
    else drops.disconnected++;
    return false;
  }

  async request(
    peer: string,
    channel: string,
    payload: Payload,
    options: PeerRequestOptions = {},
  ): Promise<Buffer> {
    const link = this.link(peer);
    if (this.stopped) throw transportClosed();
    const { lane = 'control', timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    signal?.throwIfAborted();
    if (lane === 'bulk') this.pools.use(peer);
    const { pending } = link;
    if (pending.count(lane) >= settings(this.environment).maxConcurrentOperations) {
      this.environment.drops.queueFull++;
      throw peerQueueFull(peer, 'too many requests to it are under way');
    }
    const correlation = pending.nextCorrelation();
    const connection = link.queue(lane, channel, 'request', correlation, payload);
    if (connection === 'queue-full') {
      this.environment.drops.queueFull++;
      throw peerQueueFull(peer, `its ${lane} queue is full`);
    }
    if (connection === 'disconnected') {
      this.environment.drops.disconnected++;
      throw peerUnreachable(peer, link.failure);
    }
    return new Promise<Buffer>((resolve, reject) => {
      const deadline = this.environment.clock.now() + timeoutMs;
      const position = connection.lastPosition;
      pending.add(correlation, {
        connection,
        lane,
        channel,
        position,
        timeoutMs,
        deadline,
        resolve,
        reject,
        signal,
      });
    });
  }

  drained(peer: string, lane: TransportLane, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const link = this.link(peer);
      signal?.throwIfAborted();
      if (this.stopped || !link.isConnected) throw peerUnreachable(peer, link.failure);
      const budget = link.budgets[lane];
      if (budget.hasRoom) {
        resolve();
        return;
      }
      if (budget.waiting >= MAX_ROOM_WAITERS) throw peerQueueFull(peer, 'too many callers wait for room');
      const onAbort = (): void => {
        waiting[Symbol.dispose]();
        reject(signal?.reason as Error);
      };
      const settle = (done: () => void): void => {
        signal?.removeEventListener('abort', onAbort);
        done();
      };
      const waiting = budget.awaitRoom({
        onRoom: () => settle(resolve),
        onLost: (error) => settle(() => reject(error)),
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  handle(channel: string, handler: ChannelHandler): Disposable {
    assertChannelName(channel);
    if (this.handlers.has(channel)) throw channelTaken(channel);
    this.handlers.set(channel, handler);
    return {
      [Symbol.dispose]: () => {
        if (this.handlers.get(channel) === handler) this.handlers.delete(channel);
      },
    };
  }

  onPeerStateChanged(listener: (peer: string, state: PeerState) => void): Disposable {
    // Wrapped, so that a listener that is given twice is told twice and taken away once.
    const own = (peer: string, state: PeerState): void => listener(peer, state);
    this.stateListeners.add(own);
    return { [Symbol.dispose]: () => void this.stateListeners.delete(own) };
  }

  /** As {@link onPeerStateChanged}, with what the handshake told. */
  onContact(contact: PeerContact): Disposable {
    const own = { ...contact };
    this.contactListeners.add(own);
    return { [Symbol.dispose]: () => void this.contactListeners.delete(own) };
  }

  /** @internal For metrics: the links, what is open, and what waits. */
  inspect() {
    return { links: this.links, pools: this.pools, inbound: this.inbound, listener: this.listener } as const;
  }

  /**
   * Takes no new messages, tells the peers goodbye, and writes what is queued, for `flushMs` at most.
   */
  async leave(flushMs: number): Promise<void> {
    if (this.phase === 'closed' || this.phase === 'leaving') return;
    this.phase = 'leaving';
    const written = [...this.links.values()].map((link) => link.leave());
    await this.within(flushMs, [...written, this.inbound.leave()]);
  }

  /** Closes everything. Resolves when no socket and no timer is left. */
  async close(): Promise<void> {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.ticking?.cancel();
    this.listener.stop();
    await Promise.all([
      ...[...this.links.values()].map((link) => link.close()),
      this.inbound.close('shutdown'),
      ...this.dismissing,
    ]);
    this.pools.clear();
  }

  private addLink(id: string, address: string): PeerLink {
    const endpoint = parsePeerAddress(id, address);
    const link = new PeerLink(id, address, endpoint, this.environment, this.linkEvents());
    this.links.set(id, link);
    return link;
  }

  /** Until its sockets are gone, `close` waits for them. */
  private track(dismissed: Promise<void>): void {
    const gone = dismissed.finally(() => this.dismissing.delete(gone));
    this.dismissing.add(gone);
  }

  /** No peer's pool may be evicted for want of room only because there are more peers than at the start. */
  private fitPools(): void {
    this.pools.resize(Math.max(settings(this.environment).maxCacheEntries, this.links.size));
  }

  private get stopped(): boolean {
    return this.phase === 'leaving' || this.phase === 'closed';
  }

  private link(peer: string): PeerLink {
    const link = this.links.get(peer);
    if (link === undefined) throw peerUnknown(peer, [...this.links.keys()]);
    return link;
  }

  private linkEvents() {
    return {
      onConnected: (link: PeerLink, pool: NonNullable<PeerLink['pool']>, peer: Hello): void => {
        this.pools.put(link.id, pool);
        this.environment.log.info({ peer: link.id, endpoint: link.address }, 'peer connected');
        this.tell((contact) => contact.onConnected?.(peer));
        this.announce(link.id, 'connected');
      },
      onDisconnected: (link: PeerLink, why: string): void => {
        this.pools.remove(link.id);
        this.environment.log.warn({ peer: link.id, endpoint: link.address, why }, 'peer disconnected');
        this.tell((contact) => contact.onDisconnected?.(link.id, why));
        this.announce(link.id, 'disconnected');
      },
      onGoodbye: (link: PeerLink, incarnation: string): void =>
        this.tell((contact) => contact.onGoodbye?.(link.id, incarnation)),
    };
  }

  private announce(peer: string, state: PeerState): void {
    for (const listener of this.stateListeners) this.isolated(() => listener(peer, state));
  }

  private tell(what: (contact: PeerContact) => void): void {
    for (const contact of this.contactListeners) this.isolated(() => what(contact));
  }

  /** A listener that throws harms neither the others nor the connection. */
  private isolated(call: () => void): void {
    try {
      call();
    } catch (err) {
      this.environment.log.error({ err, code: isDwError(err) ? err.code : undefined }, 'peer listener threw');
    }
  }

  private limitsChanged(applied: Readonly<Record<string, number>>): void {
    if (applied['maxCacheEntries'] !== undefined) this.fitPools();
    if (applied['heartbeatIntervalMs'] !== undefined && this.ticking !== undefined) this.armTick();
  }

  private armTick(): void {
    this.ticking?.cancel();
    this.ticking = this.environment.clock.setInterval(
      () => this.tick(),
      settings(this.environment).heartbeatIntervalMs,
    );
  }

  private tick(): void {
    const bounds = livenessBounds(settings(this.environment));
    const now = this.environment.clock.now();
    for (const link of this.links.values()) link.tick(now, bounds);
    this.inbound.tick(bounds);
  }

  private async within(milliseconds: number, work: readonly Promise<unknown>[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = this.environment.clock.setTimeout(resolve, milliseconds);
      Promise.all(work).then(() => {
        timer.cancel();
        resolve();
      }, reject);
    });
  }
}
