// Tells other nodes when a breaker of this one opens or closes, and lets theirs be heard here. A breaker that opens on one
// node opens on all, so that each need not find out for itself; one that closes there only lets a probe through here.
//
// The bus is this process's own, so changes cross nodes on a channel of the peer transport, to each peer from the node
// where they began and never onward: what was applied from another node is told on the local bus and to nobody else.
// Messages may be lost. A break ends by itself, so nothing is wrong for longer than that; and when two nodes connect, or
// a queue was full, what is open is told again.

import type {
  Clock,
  IMessageBus,
  IPeerTransport,
  Logger,
  ResilienceEvent,
  ResilienceListener,
  TimerHandle,
} from '@datawarehouse/sdk';
import { CircuitBreakerStateChanged, errorMessage, isDwError } from '@datawarehouse/sdk';
import type { CircuitState } from '../engine/events.js';
import type { BreakerId, CircuitMessage, CircuitNotice } from './circuit-notice.js';
import { MAX_NOTICES, decodeCircuitMessage, encodeCircuitMessage } from './circuit-notice.js';
import type { Stamp } from './stamp-book.js';
import { StampBook } from './stamp-book.js';

/** Channel of notices between nodes. */
export const CIRCUIT_CHANNEL = 'resilience.circuit';
/** How long a peer whose queue was full is left alone. */
const RETRY_MS = 1_000;
/** Refused messages are logged once in this time; all are counted. */
const WARN_EVERY_MS = 60_000;

/** A breaker as sharing sees it. */
export interface ShareableBreaker {
  /** Whether it is to be shared at all. */
  readonly shared: boolean;
  state(now: number): CircuitState;
  /** Until a probe may be made. */
  remainingMs(now: number): number;
  /** @returns whether its state has changed. */
  applyRemote(
    state: 'open' | 'closed',
    change: { readonly reason: string; readonly breakMs?: number },
  ): boolean;
}

/** The breakers of this node. */
export interface ShareableBreakers {
  /**
   * The breaker; undefined when there is no such policy, it has no such breaker, or the key has no state.
   * @param make Make the key's state if there is none, as far as there is room.
   */
  find(id: BreakerId, make: boolean): ShareableBreaker | undefined;
}

/** What {@link CircuitSharing} is made of. */
export interface CircuitSharingOptions {
  readonly nodeId: string;
  readonly events: { listen(listener: ResilienceListener): Disposable };
  readonly breakers: ShareableBreakers;
  readonly bus: Pick<IMessageBus, 'publish'>;
  /** Left out on a node that has no peers: changes go to the bus alone. */
  readonly transport?: IPeerTransport | undefined;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

/** What was counted, and is now. */
export interface SharingCounters {
  readonly sent: number;
  /** Not taken by the transport; told again later. */
  readonly unsent: number;
  readonly received: number;
  /** Changes of other nodes that changed a breaker here. */
  readonly applied: number;
  /** Older than what was known. */
  readonly stale: number;
  /** Malformed, too far ahead, or one for which there is no room. */
  readonly refused: number;
  /** Of the refused, those whose stamp was further ahead than an honest one can be. */
  readonly ahead: number;
  /** Stamps that are kept. */
  readonly stamps: number;
}

/** Shares breakers between nodes from when it is made until it is disposed of. */
export class CircuitSharing implements Disposable {
  private readonly book: StampBook;
  private readonly disposables: Disposable[];
  /** Peers that may have missed something; introduced again in a moment. */
  private readonly behind = new Set<string>();
  private retry: TimerHandle | undefined;
  private warnedAt: number | undefined;
  private readonly counts = { sent: 0, unsent: 0, received: 0, applied: 0, stale: 0, refused: 0, ahead: 0 };

  constructor(private readonly options: CircuitSharingOptions) {
    const { nodeId, events, transport } = options;
    this.book = new StampBook(nodeId);
    this.disposables = [events.listen((event) => this.changed(event))];
    if (transport === undefined) return;
    this.disposables.push(
      transport.handle(CIRCUIT_CHANNEL, { onMessage: (from, payload) => this.heard(from, payload) }),
      transport.onPeerStateChanged((peer, state) => {
        if (state === 'connected') this.introduce(peer);
      }),
    );
    for (const peer of transport.peers()) if (peer.state === 'connected') this.introduce(peer.id);
  }

  counters(): SharingCounters {
    return { ...this.counts, stamps: this.book.size };
  }

  [Symbol.dispose](): void {
    this.retry?.cancel();
    this.behind.clear();
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
  }

  /** A breaker of this node has changed. */
  private changed(event: ResilienceEvent): void {
    if (event.kind !== 'circuit-changed') return;
    const id: BreakerId = { policy: event.policy, strategy: event.strategy, key: event.key };
    const isOpen = event.current !== 'closed';
    let stamp: Stamp | undefined;
    if (event.source === 'remote') {
      this.book.mark(id, isOpen);
      stamp = this.book.find(id);
    } else stamp = this.book.next(id, isOpen);
    this.announce(event, stamp);
    if (event.source === 'remote' || stamp === undefined) return;
    if (event.current !== 'open' && event.current !== 'closed') return;
    if (this.options.breakers.find(id, false)?.shared !== true) return;
    const { current: state, reason, breakMs = 0 } = event;
    this.tellAll({ ...id, state, lamport: stamp.lamport, breakMs, reason });
  }

  private announce(
    event: Extract<ResilienceEvent, { kind: 'circuit-changed' }>,
    stamp: Stamp | undefined,
  ): void {
    const { policy, key, strategy, previous, current, reason, source, breakMs } = event;
    this.options.bus.publish(CircuitBreakerStateChanged, {
      policy,
      key,
      previousState: previous,
      newState: current,
      reason,
      strategy,
      source,
      ...(breakMs === undefined ? {} : { breakMs }),
      ...(stamp === undefined ? {} : { lamport: stamp.lamport, nodeId: stamp.node }),
    });
  }

  private tellAll(notice: CircuitNotice): void {
    const { transport } = this.options;
    if (transport === undefined) return;
    const payload = encodeCircuitMessage({ kind: 'notices', notices: [notice] });
    for (const { id, state } of transport.peers()) {
      // Who is not connected is told what is open when it is.
      if (state === 'connected' && !this.send(id, payload)) this.later(id);
    }
  }

  /** A peer has connected: it learns how high stamps have come, and what is open here. */
  private introduce(peer: string): void {
    const hello = encodeCircuitMessage({ kind: 'hello', highest: this.book.highest });
    const notices = this.openNow();
    const told =
      this.send(peer, hello) &&
      (notices.length === 0 || this.send(peer, encodeCircuitMessage({ kind: 'notices', notices })));
    if (told) this.behind.delete(peer);
    else this.later(peer);
  }

  /** What is open by a change of this node. More than fit in a message are left to their peers to find out. */
  private openNow(): readonly CircuitNotice[] {
    const now = this.options.clock.now();
    const notices: CircuitNotice[] = [];
    for (const stamp of this.book.ownOpen()) {
      if (notices.length === MAX_NOTICES) break;
      const breaker = this.options.breakers.find(stamp, false);
      if (breaker?.shared !== true || breaker.state(now) !== 'open') continue;
      const { policy, strategy, key, lamport } = stamp;
      const breakMs = breaker.remainingMs(now);
      notices.push({ policy, strategy, key, lamport, state: 'open', breakMs, reason: 'it is open there' });
    }
    return notices;
  }

  private send(peer: string, payload: Uint8Array): boolean {
    const taken = this.trySend(peer, payload);
    if (taken) this.counts.sent++;
    else this.counts.unsent++;
    return taken;
  }

  private trySend(peer: string, payload: Uint8Array): boolean {
    try {
      return this.options.transport?.send(peer, CIRCUIT_CHANNEL, payload) ?? false;
    } catch (error) {
      // A member that was dismissed meanwhile. One that comes again connects, and is told then.
      if (isDwError(error, 'peer-unknown') || isDwError(error, 'frame-too-large')) return true;
      throw error;
    }
  }

  private later(peer: string): void {
    this.behind.add(peer);
    this.retry ??= this.options.clock.setTimeout(() => {
      this.retry = undefined;
      const peers = this.options.transport?.peers() ?? [];
      const waiting = peers.filter(({ id, state }) => state === 'connected' && this.behind.has(id));
      this.behind.clear();
      for (const { id } of waiting) this.introduce(id);
    }, RETRY_MS);
  }

  private heard(from: string, payload: Buffer): void {
    this.counts.received++;
    let message: CircuitMessage;
    try {
      message = decodeCircuitMessage(payload);
    } catch (error) {
      if (!isDwError(error, 'frame-malformed') && !isDwError(error, 'circuit-notice-malformed')) throw error;
      this.refuse(from, errorMessage(error));
      return;
    }
    if (message.kind === 'notices') {
      for (const notice of message.notices) this.take(from, notice);
    } else if (!this.book.raise(message.highest, this.options.clock.now())) {
      this.refuseAhead(from, message.highest);
    }
  }

  private take(from: string, notice: CircuitNotice): void {
    const { book, counts } = this;
    if (!book.isNews(notice, notice.lamport, from)) {
      counts.stale++;
      // Its stamps are behind what another told of this breaker: it hears how high they have come, or nothing that it
      // tells of the breaker would be news here.
      if (notice.lamport < (book.find(notice)?.lamport ?? 0)) this.later(from);
      return;
    }
    const { breakers, clock } = this.options;
    const breaker = breakers.find(notice, notice.state === 'open');
    // What is not here, or is not shared, leaves no trace: a peer cannot fill the book with names.
    if (breaker?.shared !== true) return;
    const now = clock.now();
    const isOpen = notice.state === 'open' || breaker.state(now) !== 'closed';
    const verdict = book.accept(notice, notice.lamport, from, isOpen, now);
    if (verdict === 'ahead') this.refuseAhead(from, notice.lamport);
    if (verdict === 'full') this.refuse(from, 'there are too many open breakers to remember one more');
    if (verdict !== 'kept') return;
    const reason = `node ${from}: ${notice.reason}`;
    const change = notice.state === 'open' ? { reason, breakMs: notice.breakMs } : { reason };
    if (breaker.applyRemote(notice.state, change)) counts.applied++;
  }

  private refuseAhead(from: string, stamp: number): void {
    this.counts.ahead++;
    this.refuse(
      from,
      `its stamp ${stamp} is further ahead of ${this.book.highest} than an honest one can be`,
    );
  }

  private refuse(from: string, reason: string): void {
    this.counts.refused++;
    const now = this.options.clock.now();
    if (this.warnedAt !== undefined && now - this.warnedAt < WARN_EVERY_MS) return;
    this.warnedAt = now;
    this.options.log.warn({ peer: from, reason }, 'refused a notice of circuit breakers from a peer');
  }
}
