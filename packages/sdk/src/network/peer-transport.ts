// The contract between a protocol and the network: messages to named peers, on channels, in two lanes.

import type { ServiceToken } from '../plugin/service-token.js';
import { createToken } from '../plugin/service-token.js';

/**
 * Which queue and connection a message travels on.
 * - `control`: small and urgent (votes, heartbeats, appends, replies)
 * - `bulk`: large transfers (snapshots, content). Never delays `control`.
 */
export type TransportLane = 'control' | 'bulk';

/** Round-trip times to a peer over the recent window, in milliseconds. */
export interface RttStatistics {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly latestMs: number;
}

/** Whether a peer can be reached now. */
export type PeerState = 'connected' | 'disconnected';

/** A peer as the transport sees it. */
export interface PeerStatus {
  readonly id: string;
  /** `host:port` of its peer listener. */
  readonly endpoint: string;
  readonly state: PeerState;
  readonly rtt: RttStatistics | undefined;
}

/** Receives what peers send on one channel. */
export interface ChannelHandler {
  /**
   * Says that nothing of a payload is used once `onMessage` or `onRequest` has returned (returned, not settled): neither
   * by the handler nor in its reply. Then the transport may put the next frame into the same memory, which spares a
   * handler of many large payloads much collecting of garbage. Default false.
   */
  readonly borrowsPayloads?: boolean;
  /**
   * A one-way message. Called in the order the peer sent them on this channel and lane. `payload` is valid only
   * during the call: copy what outlives it.
   */
  onMessage?(from: string, payload: Buffer): void;
  /**
   * A request; what it resolves with is the reply. A DwError that it throws reaches the caller with its code. `payload`
   * may be kept, unless the handler {@link borrowsPayloads}.
   */
  onRequest?(from: string, payload: Buffer, signal: AbortSignal): Promise<Uint8Array | readonly Uint8Array[]>;
}

/** Options of {@link IPeerTransport.request}. */
export interface PeerRequestOptions {
  /** Milliseconds to wait for the reply; default 5 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Default `control`. */
  readonly lane?: TransportLane;
}

/** Sends messages to the other nodes of the cluster and receives theirs. */
export interface IPeerTransport {
  /** This node's id. */
  readonly localId: string;
  /** All other nodes that are configured. */
  peers(): readonly PeerStatus[];
  /**
   * Sends a one-way message: at most once, in order for each channel and lane while the connection holds. Messages
   * of one turn of the event loop are written together. The payload is copied: its memory may be used again at once.
   * @returns false when it was not accepted: the peer is not connected or its queue is full. It is then counted and
   * gone; the caller's protocol must cope.
   * @throws DwError `peer-unknown`, `frame-too-large`.
   */
  send(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    lane?: TransportLane,
  ): boolean;
  /**
   * Sends a request and resolves with the reply.
   * @throws DwError `peer-unknown`; `peer-unreachable` or `peer-queue-full` (retryable: it was certainly not
   * delivered); `peer-timeout` or `peer-disconnected` (it may have been handled); the error the peer answered with.
   */
  request(
    peer: string,
    channel: string,
    payload: Uint8Array | readonly Uint8Array[],
    options?: PeerRequestOptions,
  ): Promise<Buffer>;
  /**
   * Resolves when the lane to the peer has room again after `send` returned false for a full queue.
   * @throws DwError `peer-unreachable` when it disconnects meanwhile; the signal's reason.
   */
  drained(peer: string, lane: TransportLane, signal?: AbortSignal): Promise<void>;
  /** Receives a channel's messages. @throws DwError `channel-taken` when another handler has it. */
  handle(channel: string, handler: ChannelHandler): Disposable;
  /** Told when a peer connects or disconnects. */
  onPeerStateChanged(listener: (peer: string, state: PeerState) => void): Disposable;
}

/** The peer transport of this node. */
export const PEER_TRANSPORT: ServiceToken<IPeerTransport> = createToken<IPeerTransport>('dw.peer-transport');
