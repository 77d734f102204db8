// One connection that a peer has opened to us, after its handshake: hands its messages and requests to the channels'
// handlers and sends the replies back on it.
// Replies cannot be refused, so a peer that does not read them is not read from either (reading is paused at the
// queue's bound), and the number of its requests that are handled at once is bounded.

import type { ChannelHandler, TransportLane } from '@datawarehouse/sdk';
import { IncomingChannels } from '../connection/channel-names.js';
import type { RejectReason } from '../connection/close-reason.js';
import type { Connection } from '../connection/connection.js';
import type { QueueBudget } from '../connection/queue-budget.js';
import { channelUnhandled, frameTooLarge, peerQueueFull } from '../errors.js';
import type { Hello } from '../handshake/hello.js';
import type { TransportEnvironment } from '../transport-environment.js';
import { settings } from '../transport-environment.js';
import type { Payload } from '../wire/frame.js';
import { FrameType, payloadBytes } from '../wire/frame.js';
import { encodeError } from '../wire/remote-error.js';

/** Requests of one peer that are being handled, by lane, over all its connections. */
export type ActiveRequests = Record<TransportLane, number>;

/** What a session needs. */
export interface SessionOptions {
  readonly environment: TransportEnvironment;
  readonly connection: Connection;
  readonly budget: QueueBudget;
  readonly peer: Hello;
  readonly active: ActiveRequests;
  readonly handlers: ReadonlyMap<string, ChannelHandler>;
  readonly onGoodbye: () => void;
}

/** The requests of one peer's connection, and what it sends one way. */
export class InboundSession {
  private readonly channels = new IncomingChannels();
  /** By correlation. A handler that takes no signal has the connection's. */
  private readonly requests = new Map<number, AbortController>();
  private readonly gone = new AbortController();
  private readonly connection: Connection;
  private readonly from: string;
  private paused = false;

  constructor(private readonly options: SessionOptions) {
    this.connection = options.connection;
    this.from = options.peer.nodeId;
    this.connection.onFrame = this.take;
  }

  /** The connection is closed: nobody waits for the replies. */
  closed(): void {
    const controllers = new Set(this.requests.values());
    this.requests.clear();
    for (const controller of controllers) controller.abort();
    this.gone.abort();
  }

  private readonly take = (type: number, channel: number, correlation: number, payload: Buffer): boolean => {
    switch (type) {
      case FrameType.message:
        return this.takeMessage(channel, payload);
      case FrameType.request:
        return this.takeRequest(channel, correlation, payload);
      case FrameType.bind:
        return this.channels.bind(channel, payload) || this.cut('bad-channel');
      case FrameType.cancel: {
        const controller = this.requests.get(correlation);
        if (controller !== this.gone) controller?.abort();
        return true;
      }
      case FrameType.goodbye:
        this.options.onGoodbye();
        return true;
      default:
        return this.cut('unexpected-frame');
    }
  };

  private cut(reason: RejectReason): false {
    this.connection.close(reason);
    return false;
  }

  private takeMessage(channel: number, payload: Buffer): boolean {
    const name = this.channels.nameOf(channel);
    if (name === undefined) return this.cut('bad-channel');
    const { drops, log } = this.options.environment;
    const handler = this.options.handlers.get(name);
    if (handler?.onMessage === undefined) {
      drops.unhandled++;
      return true;
    }
    if (handler.borrowsPayloads === true) this.connection.lendPayload();
    try {
      handler.onMessage(this.from, payload);
    } catch (thrown) {
      drops.handlerFailed++;
      log.error({ err: thrown, channel: name, peer: this.from }, 'handler of a peer message failed');
    }
    return true;
  }

  private takeRequest(channel: number, correlation: number, payload: Buffer): boolean {
    const name = this.channels.nameOf(channel);
    if (name === undefined) return this.cut('bad-channel');
    if (this.requests.has(correlation)) return this.cut('duplicate-correlation');
    const { environment, handlers, active, peer } = this.options;
    const local = environment.rules.local.nodeId;
    const handler = handlers.get(name);
    if (handler?.onRequest === undefined) {
      environment.drops.unhandled++;
      this.fail(correlation, name, channelUnhandled(local, name));
      return true;
    }
    if (active[peer.lane] >= settings(environment).maxConcurrentOperations) {
      environment.drops.overloaded++;
      this.fail(correlation, name, peerQueueFull(local, 'too many requests of this peer are being handled'));
      return true;
    }
    active[peer.lane]++;
    if (handler.borrowsPayloads === true) this.connection.lendPayload();
    // A controller costs more than the rest of the call, so that one is made only for a handler that takes a signal.
    const controller = handler.onRequest.length >= 3 ? new AbortController() : this.gone;
    this.requests.set(correlation, controller);
    this.handle(handler, name, correlation, payload, controller.signal);
    return true;
  }

  private handle(
    handler: ChannelHandler,
    channel: string,
    correlation: number,
    payload: Buffer,
    signal: AbortSignal,
  ): void {
    let answer: Promise<Payload> | undefined;
    try {
      answer = handler.onRequest?.(this.from, payload, signal);
    } catch (thrown) {
      this.finish(correlation);
      this.fail(correlation, channel, thrown);
      return;
    }
    Promise.resolve(answer ?? []).then(
      (reply) => {
        if (this.finish(correlation)) this.reply(correlation, channel, reply);
      },
      (thrown: unknown) => {
        if (this.finish(correlation)) this.fail(correlation, channel, thrown);
      },
    );
  }

  /** The handler is done. @returns whether somebody still waits for the answer. */
  private finish(correlation: number): boolean {
    this.options.active[this.options.peer.lane]--;
    return this.requests.delete(correlation);
  }

  private reply(correlation: number, channel: string, payload: Payload): void {
    if (!isPayload(payload)) {
      this.fail(correlation, channel, new TypeError('it answered with something else than bytes'));
      return;
    }
    const bytes = payloadBytes(payload);
    const limit = this.connection.maxPeerPayload;
    if (bytes > limit) this.fail(correlation, channel, frameTooLarge(this.from, bytes, limit));
    else if (this.connection.send(FrameType.reply, correlation, payload)) this.relieve();
  }

  private fail(correlation: number, channel: string, thrown: unknown): void {
    const local = this.options.environment.rules.local.nodeId;
    const error = encodeError(local, channel, thrown);
    if (this.connection.send(FrameType.error, correlation, error)) this.relieve();
  }

  /** Keeps the replies within their bound: reads no more until half of them have gone. */
  private relieve(): void {
    const { budget, environment } = this.options;
    if (budget.bytes > settings(environment).maxMemoryBytes) {
      this.connection.close('reply-queue-full');
      return;
    }
    if (this.paused || budget.hasRoom) return;
    this.paused = true;
    this.connection.pauseReading(true);
    budget.awaitRoom({
      onRoom: () => {
        this.paused = false;
        this.connection.pauseReading(false);
      },
      onLost: () => {},
    });
  }
}

function isPayload(value: unknown): value is Payload {
  if (value instanceof Uint8Array) return true;
  return Array.isArray(value) && value.every((part) => part instanceof Uint8Array);
}
