// One node's end of a memory network: sends, requests with correlation and timeouts, and channel handlers.

import type { DwError } from '../errors/index.js';
import type {
  ChannelHandler,
  IPeerTransport,
  PeerRequestOptions,
  PeerState,
  PeerStatus,
  TransportLane,
} from '../network/index.js';
import {
  channelTaken,
  channelUnknown,
  frameTooLarge,
  overTheWire,
  peerDisconnected,
  peerQueueFull,
  peerTimeout,
  peerUnreachable,
} from './errors.js';
import type { Frame } from './memory-link.js';
import type { MemoryNetwork } from './memory-network.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** A request that waits for its answer. */
interface PendingRequest {
  readonly peer: string;
  settle(outcome: { readonly reply: Buffer } | { readonly error: unknown }): void;
}

/** An {@link IPeerTransport} whose peers live in the same process. Made by {@link MemoryNetwork.transport}. */
export class MemoryTransport implements IPeerTransport {
  private readonly handlers = new Map<string, ChannelHandler>();
  private readonly listeners = new Set<(peer: string, state: PeerState) => void>();
  private readonly requests = new Map<number, PendingRequest>();
  /** Requests of peers that are being answered, by peer and id. */
  private readonly serving = new Map<string, { readonly from: string; readonly abort: AbortController }>();
  private nextRequestId = 1;

  /** @internal Use {@link MemoryNetwork.transport}. */
  constructor(
    readonly localId: string,
    private readonly network: MemoryNetwork,
  ) {}

  peers(): readonly PeerStatus[] {
    return this.network.peersOf(this.localId).map((id) => ({
      id,
      endpoint: `memory:${id}`,
      state: this.network.isConnected(this.localId, id) ? 'connected' : 'disconnected',
      rtt: this.network.rttOf(this.localId, id),
    }));
  }

  send(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    lane: TransportLane = 'control',
  ): boolean {
    const link = this.network.link(this.localId, peer, lane);
    const bytes = this.joined(payload);
    if (!this.network.isConnected(this.localId, peer)) return false;
    return this.network.enqueue(link, { kind: 'message', channel, payload: bytes });
  }

  async request(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    options: PeerRequestOptions = {},
  ): Promise<Buffer> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, lane = 'control' } = options;
    const link = this.network.link(this.localId, peer, lane);
    const bytes = this.joined(payload);
    signal?.throwIfAborted();
    if (!this.network.isConnected(this.localId, peer)) throw peerUnreachable(this.localId, peer);
    const id = this.nextRequestId++;
    if (!this.network.enqueue(link, { kind: 'request', channel, payload: bytes, id })) {
      throw peerQueueFull(this.localId, peer, lane);
    }
    return new Promise((resolve, reject) => {
      const giveUp = (error: unknown): void => {
        request.settle({ error });
        this.post(peer, lane, { kind: 'cancel', id });
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const timer = this.network.clock.setTimeout(
        () => giveUp(peerTimeout(this.localId, peer, channel, timeoutMs)),
        timeoutMs,
      );
      const request: PendingRequest = {
        peer,
        settle: (outcome) => {
          this.requests.delete(id);
          timer.cancel();
          signal?.removeEventListener('abort', onAbort);
          if ('reply' in outcome) resolve(outcome.reply);
          else reject(outcome.error);
        },
      };
      this.requests.set(id, request);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  async drained(peer: string, lane: TransportLane, signal?: AbortSignal): Promise<void> {
    const link = this.network.link(this.localId, peer, lane);
    if (!this.network.isConnected(this.localId, peer)) throw peerUnreachable(this.localId, peer);
    await link.drained(signal);
  }

  handle(channel: string, handler: ChannelHandler): Disposable {
    if (this.handlers.has(channel)) throw channelTaken(this.localId, channel);
    this.handlers.set(channel, handler);
    return {
      [Symbol.dispose]: () => {
        if (this.handlers.get(channel) === handler) this.handlers.delete(channel);
      },
    };
  }

  onPeerStateChanged(listener: (peer: string, state: PeerState) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  /** Leaves the network at once, as a crash does: peers see a lost connection. Calling it again does nothing. */
  close(): void {
    this.network.remove(this);
    for (const peer of this.network.peersOf(this.localId)) this.dropPeer(peer);
    this.handlers.clear();
    this.listeners.clear();
  }

  /** Handlers, listeners and requests that are still there, for leak checks. */
  leftovers(): { readonly handlers: number; readonly listeners: number; readonly requests: number } {
    return { handlers: this.handlers.size, listeners: this.listeners.size, requests: this.requests.size };
  }

  /** @internal For {@link MemoryNetwork}. */
  receive(from: string, lane: TransportLane, frame: Frame): void {
    switch (frame.kind) {
      case 'message':
        return this.receiveMessage(from, frame.channel, frame.payload);
      case 'request':
        return this.serve(from, lane, frame.channel, frame.payload, frame.id);
      case 'cancel':
        return this.stopServing(servingKey(from, frame.id));
      case 'reply':
        return this.requests.get(frame.id)?.settle({ reply: frame.payload });
      case 'error':
        return this.requests.get(frame.id)?.settle({ error: frame.error });
    }
  }

  /** @internal For {@link MemoryNetwork}. */
  peerChanged(peer: string, state: PeerState): void {
    if (state === 'disconnected') this.dropPeer(peer);
    for (const listener of this.listeners) listener(peer, state);
  }

  private receiveMessage(from: string, channel: string, payload: Buffer): void {
    const handler = this.handlers.get(channel);
    if (handler?.onMessage === undefined) return this.network.countLost();
    try {
      handler.onMessage(from, payload);
    } finally {
      // The contract lends the bytes for the call only. A handler that keeps them must see it here, not in production.
      payload.fill(0xdd);
    }
  }

  private serve(from: string, lane: TransportLane, channel: string, payload: Buffer, id: number): void {
    const key = servingKey(from, id);
    const answer = (frame: Frame): void => {
      if (this.serving.delete(key)) this.post(from, lane, frame);
    };
    const fail = (error: DwError): void => answer({ kind: 'error', id, error });
    const abort = new AbortController();
    this.serving.set(key, { from, abort });
    const handler = this.handlers.get(channel);
    if (handler?.onRequest === undefined) return fail(channelUnknown(this.localId, channel));
    let reply: Promise<Uint8Array | readonly Uint8Array[]>;
    try {
      reply = handler.onRequest(from, payload, abort.signal);
    } catch (thrown) {
      return fail(overTheWire(thrown));
    } finally {
      if (handler.borrowsPayloads === true) payload.fill(0xdd);
    }
    reply
      .then((data) => answer({ kind: 'reply', id, payload: this.joined(data) }))
      .catch((thrown: unknown) => fail(overTheWire(thrown)));
  }

  /** Sends what nobody waits for: lost when the peer is gone or the queue is full, as on a real connection. */
  private post(peer: string, lane: TransportLane, frame: Frame): void {
    const reachable = this.network.isConnected(this.localId, peer);
    if (!reachable || !this.network.enqueue(this.network.link(this.localId, peer, lane), frame)) {
      this.network.countLost();
    }
  }

  private dropPeer(peer: string): void {
    for (const request of this.requests.values()) {
      if (request.peer === peer) request.settle({ error: peerDisconnected(this.localId, peer) });
    }
    for (const [key, { from }] of this.serving) if (from === peer) this.stopServing(key);
  }

  /** The caller has gone: tells the handler, and forgets the request so that a late answer goes nowhere. */
  private stopServing(key: string): void {
    const served = this.serving.get(key);
    this.serving.delete(key);
    served?.abort.abort();
  }

  private joined(payload: Uint8Array | readonly Uint8Array[]): Buffer {
    const parts = payload instanceof Uint8Array ? [payload] : payload;
    const bytes = Buffer.concat(parts);
    if (bytes.length > this.network.maxFrameBytes)
      throw frameTooLarge(bytes.length, this.network.maxFrameBytes);
    return bytes;
  }
}

function servingKey(from: string, id: number): string {
  return `${id} ${from}`;
}
