// One life's end of the simulated network: sends, requests with their answers and time limits, and channel handlers.

import type {
  ChannelHandler,
  IPeerTransport,
  PeerRequestOptions,
  PeerState,
  PeerStatus,
  TransportLane,
} from '@datawarehouse/sdk';
import { DwError, errorMessage, isDwError } from '@datawarehouse/sdk';
import type { Owner } from './scheduler.js';
import type { SimNetwork } from './sim-network.js';

const DEFAULT_TIMEOUT_MS = 5_000;
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** What travels. */
export type Frame =
  | { readonly kind: 'message'; readonly channel: string; readonly payload: Buffer }
  | { readonly kind: 'request'; readonly channel: string; readonly payload: Buffer; readonly id: number }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'reply'; readonly payload: Buffer; readonly id: number }
  | { readonly kind: 'error'; readonly error: DwError; readonly id: number };

interface Pending {
  readonly peer: string;
  settle(outcome: { readonly reply: Buffer } | { readonly error: unknown }): void;
}

/** An {@link IPeerTransport} in a simulation. */
export class SimTransport implements IPeerTransport {
  private readonly handlers = new Map<string, ChannelHandler>();
  private readonly listeners = new Set<(peer: string, state: PeerState) => void>();
  private readonly requests = new Map<number, Pending>();
  private readonly serving = new Map<string, { readonly from: string; readonly abort: AbortController }>();
  private nextId = 1;

  constructor(
    readonly localId: string,
    readonly owner: Owner,
    private readonly network: SimNetwork,
    /** Whom this node takes for a member. */
    readonly knows: (peer: string) => boolean,
  ) {}

  peers(): readonly PeerStatus[] {
    const members = this.network.others(this.localId).filter((id) => this.knows(id));
    return members.map((id) => ({
      id,
      endpoint: `sim:${id}`,
      state: this.network.isConnected(this.localId, id) ? 'connected' : 'disconnected',
      rtt: this.network.rtt(this.localId, id),
    }));
  }

  send(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    lane: TransportLane = 'control',
  ): boolean {
    this.check(peer);
    const bytes = joined(payload);
    if (!this.network.isConnected(this.localId, peer)) return false;
    return this.network.carry(this, peer, lane, { kind: 'message', channel, payload: bytes });
  }

  async request(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    options: PeerRequestOptions = {},
  ): Promise<Buffer> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, lane = 'control' } = options;
    this.check(peer);
    const bytes = joined(payload);
    signal?.throwIfAborted();
    if (!this.network.isConnected(this.localId, peer)) throw failure('peer-unreachable', peer);
    const id = this.nextId++;
    if (!this.network.carry(this, peer, lane, { kind: 'request', channel, payload: bytes, id })) {
      throw failure('peer-queue-full', peer);
    }
    return new Promise((resolve, reject) => {
      const giveUp = (error: unknown): void => {
        request.settle({ error });
        this.post(peer, lane, { kind: 'cancel', id });
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const timer = this.network.scheduler.schedule(this.owner, timeoutMs, 'request timeout', () =>
        giveUp(failure('peer-timeout', peer)),
      );
      const request: Pending = {
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

  async drained(peer: string, _lane: TransportLane, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.network.isConnected(this.localId, peer)) throw failure('peer-unreachable', peer);
    await this.network.scheduler.sleep(this.owner, 5, 'drained');
  }

  handle(channel: string, handler: ChannelHandler): Disposable {
    if (this.handlers.has(channel)) throw failure('channel-taken', channel);
    this.handlers.set(channel, handler);
    return { [Symbol.dispose]: () => void this.handlers.delete(channel) };
  }

  onPeerStateChanged(listener: (peer: string, state: PeerState) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  /** For the network. */
  receive(from: string, lane: TransportLane, frame: Frame): void {
    switch (frame.kind) {
      case 'message': {
        this.handlers.get(frame.channel)?.onMessage?.(from, frame.payload);
        // The contract lends the bytes for the call only: whoever keeps them shall notice.
        frame.payload.fill(0xdd);
        return;
      }
      case 'request':
        return this.serve(from, lane, frame.channel, frame.payload, frame.id);
      case 'cancel':
        return this.stopServing(`${frame.id} ${from}`);
      case 'reply':
        return this.requests.get(frame.id)?.settle({ reply: frame.payload });
      case 'error':
        return this.requests.get(frame.id)?.settle({ error: frame.error });
    }
  }

  /** For the network. */
  peerChanged(peer: string, state: PeerState): void {
    if (state === 'disconnected') {
      for (const request of this.requests.values()) {
        if (request.peer === peer) request.settle({ error: failure('peer-disconnected', peer) });
      }
      for (const [key, { from }] of this.serving) if (from === peer) this.stopServing(key);
    }
    for (const listener of this.listeners) listener(peer, state);
  }

  private serve(from: string, lane: TransportLane, channel: string, payload: Buffer, id: number): void {
    const key = `${id} ${from}`;
    const answer = (frame: Frame): void => {
      if (this.serving.delete(key)) this.post(from, lane, frame);
    };
    const fail = (thrown: unknown): void => answer({ kind: 'error', id, error: overTheWire(thrown) });
    const abort = new AbortController();
    this.serving.set(key, { from, abort });
    const handler = this.handlers.get(channel);
    if (handler?.onRequest === undefined) return fail(failure('channel-unknown', channel));
    const reply = handler.onRequest(from, payload, abort.signal);
    if (handler.borrowsPayloads === true) payload.fill(0xdd);
    reply.then(
      (data) => answer({ kind: 'reply', id, payload: joined(data) }),
      (thrown: unknown) => fail(thrown),
    );
  }

  private post(peer: string, lane: TransportLane, frame: Frame): void {
    if (this.network.isConnected(this.localId, peer)) this.network.carry(this, peer, lane, frame);
  }

  private stopServing(key: string): void {
    const served = this.serving.get(key);
    this.serving.delete(key);
    served?.abort.abort();
  }

  private check(peer: string): void {
    if (!this.network.nodes.includes(peer) || !this.knows(peer)) throw failure('peer-unknown', peer);
  }
}

function joined(payload: Uint8Array | readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(payload instanceof Uint8Array ? [payload] : payload);
  if (bytes.length > MAX_FRAME_BYTES) throw failure('frame-too-large', `${bytes.length} bytes`);
  return bytes;
}

function failure(code: string, what: string): DwError {
  return new DwError({ code, message: `${code}: ${what}`, retryable: true, status: 503 });
}

function overTheWire(thrown: unknown): DwError {
  return isDwError(thrown) ? thrown : failure('peer-handler-failed', errorMessage(thrown));
}
