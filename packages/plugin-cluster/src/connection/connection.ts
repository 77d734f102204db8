// One connection: frames in, frames out, and a heartbeat, over any duplex stream. It knows nothing of peers, pools or
// requests. Both sides ping, so that each judges the other by its own limits.
// Invariant: at most one write and one ping are under way. Everything that was queued is released from the budget
// exactly once: when it was written, or when the connection closes.

import type { Duplex } from 'node:stream';
import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import type { FrameHandler } from '../wire/frame-parser.js';
import { FrameParser } from '../wire/frame-parser.js';
import type { WriteBatch } from '../wire/frame-queue.js';
import { FrameQueue, recycle } from '../wire/frame-queue.js';
import type { FrameType as FrameTypeNumber, Payload } from '../wire/frame.js';
import { EMPTY, FrameType } from '../wire/frame.js';
import type { CloseReason } from './close-reason.js';
import { OutgoingChannels } from './channel-names.js';
import type { LivenessBounds, LivenessVerdict } from './liveness.js';
import { Liveness } from './liveness.js';
import type { QueueBudget } from './queue-budget.js';

/** Bytes of one write at most, so that a slow link shows progress between stall checks. */
const MAX_WRITE_BYTES = 1024 * 1024;
/** How long a socket that was ended waits for the other side. */
const LINGER_MS = 1_000;
const NO_FRAMES: FrameHandler = () => false;

/** Traffic counters, shared by all connections of a transport. */
export interface TrafficCounters {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
}

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly socket: Duplex;
  readonly clock: Clock;
  readonly budget: QueueBudget;
  readonly traffic: TrafficCounters;
  /** Largest payload in bytes until the handshake is over. */
  readonly maxPayload: number;
}

/** Frames over a stream. */
export class Connection {
  /** Takes frames that are not heartbeats. */
  onFrame: FrameHandler = NO_FRAMES;
  /** Called once. `cause` is the socket's error, if that ended it. */
  onClosed: (reason: CloseReason, cause?: Error) => void = () => {};
  /** Called with the round-trip time of each ping. */
  onRoundTrip: (milliseconds: number) => void = () => {};
  /** Called whenever queued bytes were written. */
  onWritten: () => void = () => {};
  /** When frames of a channel last went out, or a reply was awaited; exact to one tick (Clock.now). */
  lastUsedAt: number;
  /** When a ping was last answered (Clock.now). */
  lastPongAt: number;
  /** Requests that wait for their reply on this connection. */
  pendingRequests = 0;
  /** Where in the outgoing stream the frame of the last {@link sendOn} starts. */
  lastPosition = 0;
  /** Largest payload in bytes that the other side takes. */
  maxPeerPayload = 0;

  private readonly queue = new FrameQueue();
  private readonly channels = new OutgoingChannels();
  private readonly parser: FrameParser;
  private readonly liveness = new Liveness();
  private readonly socket: Duplex;
  private readonly clock: Clock;
  private closedFor: CloseReason | undefined;
  /** Frames wait until this is false: during the handshake, and while an idle connection is validated. */
  private held = true;
  private paused = false;
  private established = false;
  /** Whether it was used since the last look. */
  private used = false;
  private writing: WriteBatch | undefined;
  private flushScheduled = false;
  private bytesIn = 0;
  private bytesWritten = 0;
  private bytesHanded = 0;
  private pingSequence = 0;
  private pingSentAt: number | undefined;
  private whenFlushed: (() => void) | undefined;
  private lingering: TimerHandle | undefined;
  private readonly goneSignal = newSignal();

  constructor(private readonly options: ConnectionOptions) {
    this.socket = options.socket;
    this.clock = options.clock;
    this.lastUsedAt = this.lastPongAt = options.clock.now();
    this.parser = new FrameParser(options.maxPayload, this.handleFrame);
    this.socket.on('data', this.receive);
    this.socket.on('error', (error: Error) => this.close('socket-error', error));
    this.socket.on('end', () => this.close('ended'));
    this.socket.on('close', this.gone);
  }

  /** Resolves when the socket is closed and holds nothing any more. */
  get whenGone(): Promise<void> {
    return this.goneSignal.promise;
  }

  /** Whether it can still be used, now or once the handshake is over. */
  get isOpen(): boolean {
    return this.closedFor === undefined;
  }

  /** Whether the handshake is over. */
  get isEstablished(): boolean {
    return this.established && this.closedFor === undefined;
  }

  /** Bytes that wait or are being written. */
  get queuedBytes(): number {
    return this.queue.bytes + (this.writing?.bytes ?? 0);
  }

  /** Position in the outgoing stream from which nothing was handed to the socket yet. */
  get handedBytes(): number {
    return this.bytesHanded;
  }

  /** Ends the handshake: frames flow, and larger ones are accepted. */
  establish(maxPayload: number, maxPeerPayload: number): void {
    this.parser.maxPayload = maxPayload;
    this.maxPeerPayload = maxPeerPayload;
    this.established = true;
    this.lastUsedAt = this.lastPongAt = this.clock.now();
    this.release();
  }

  /** Writes a frame of the handshake, ahead of everything that waits. */
  writeHandshake(type: FrameTypeNumber, payload: Uint8Array): void {
    if (this.closedFor !== undefined) return;
    const queue = new FrameQueue();
    queue.append(type, 0, 0, payload);
    const batch = queue.take(Infinity);
    for (const buffer of batch?.buffers ?? []) this.socket.write(buffer);
    this.options.traffic.framesOut++;
  }

  /**
   * Queues a frame of a channel; the frames of a turn are written together.
   * @returns false when the connection is closed.
   * @throws DwError `channel-invalid`, `channel-limit`.
   */
  sendOn(channel: string, type: FrameTypeNumber, correlation: number, payload: Payload): boolean {
    if (this.closedFor !== undefined) return false;
    this.lastPosition = this.queue.appended;
    let number = this.channels.numberOf(channel);
    if (number === undefined) {
      number = this.channels.bind(channel);
      this.append(FrameType.bind, number, 0, Buffer.from(channel, 'latin1'));
    }
    this.append(type, number, correlation, payload);
    this.used = true;
    return true;
  }

  /** Queues a frame that belongs to no channel. @returns false when the connection is closed. */
  send(type: FrameTypeNumber, correlation: number, payload: Payload): boolean {
    if (this.closedFor !== undefined) return false;
    this.append(type, 0, correlation, payload);
    return true;
  }

  /** Holds everything back until a ping was answered, if none was within `maxAgeMs`. Only for an idle connection. */
  validate(maxAgeMs: number): void {
    if (!this.isEstablished || this.held || this.queuedBytes > 0) return;
    if (this.clock.now() - this.lastPongAt <= maxAgeMs) return;
    this.held = true;
    this.ping();
  }

  /**
   * One regular look: closes the connection when the other side is gone or stalls, and pings it otherwise.
   * @returns whether it carries nothing and no reply is awaited, apart from that ping.
   */
  tick(bounds: LivenessBounds): boolean {
    if (!this.isEstablished) return false;
    const rests = this.queuedBytes === 0 && this.pendingRequests === 0;
    if (this.used || this.pendingRequests > 0) this.lastUsedAt = this.clock.now();
    this.used = false;
    const verdict: LivenessVerdict = this.liveness.look(
      {
        bytesIn: this.bytesIn,
        bytesWritten: this.bytesWritten,
        writing: this.writing !== undefined,
        insideFrame: this.parser.insideFrame,
        framesIn: this.parser.frames,
        paused: this.paused,
      },
      bounds,
    );
    if (verdict !== 'alive') {
      this.close(verdict);
      return false;
    }
    this.parser.dropSpare();
    this.ping();
    return rests;
  }

  /** To be called within {@link onFrame}: the payload is not used after it, so that its memory may hold the next one. */
  lendPayload(): void {
    this.parser.lendPayload();
  }

  /** Stops or resumes taking frames: backpressure towards the other side. */
  pauseReading(paused: boolean): void {
    this.paused = paused;
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  /** Resolves when everything queued was written, or the connection closed. */
  flushed(): Promise<void> {
    if (this.closedFor !== undefined || this.queuedBytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const earlier = this.whenFlushed;
      this.whenFlushed = () => {
        earlier?.();
        resolve();
      };
    });
  }

  /**
   * Closes in good order: what was handed to the socket still arrives, since the socket is torn down only once the
   * other side has seen the end, or after a second.
   */
  end(reason: CloseReason): void {
    if (this.closedFor !== undefined) return;
    this.lingering = this.clock.setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.close(reason);
  }

  /** Closes at once. What waits is dropped. Calling it again does nothing. */
  close(reason: CloseReason, cause?: Error): void {
    if (this.closedFor !== undefined) return;
    this.closedFor = reason;
    this.onFrame = NO_FRAMES;
    const unwritten = this.writing;
    this.writing = undefined;
    const frames = this.queue.frames + (unwritten?.frames ?? 0);
    const bytes = this.queue.bytes + (unwritten?.bytes ?? 0);
    this.queue.clear();
    if (this.lingering === undefined) this.socket.destroy();
    else this.socket.end();
    this.whenFlushed?.();
    this.onClosed(reason, cause);
    // Last: who waits for room must first hear that the peer is lost, if it is.
    this.options.budget.release(frames, bytes);
  }

  private append(type: FrameTypeNumber, channel: number, correlation: number, payload: Payload): void {
    this.options.budget.take(this.queue.append(type, channel, correlation, payload));
    if (this.flushScheduled || this.held || this.writing !== undefined) return;
    this.flushScheduled = true;
    // After all promises that are settled now: the answers to everything that one read brought share a write.
    process.nextTick(this.flush);
  }

  private readonly flush = (): void => {
    this.flushScheduled = false;
    if (this.held || this.writing !== undefined || this.closedFor !== undefined) return;
    const batch = this.queue.take(MAX_WRITE_BYTES);
    if (batch === undefined) return;
    this.writing = batch;
    this.bytesHanded += batch.bytes;
    const last = batch.buffers.pop();
    if (batch.buffers.length > 0) this.socket.cork();
    for (const buffer of batch.buffers) this.socket.write(buffer);
    this.socket.write(last ?? EMPTY, (error) => this.wrote(batch, error ?? undefined));
    if (batch.buffers.length > 0) this.socket.uncork();
  };

  private wrote(batch: WriteBatch, error: Error | undefined): void {
    if (this.closedFor !== undefined) return;
    if (error !== undefined) {
      this.close('socket-error', error);
      return;
    }
    this.writing = undefined;
    this.bytesWritten += batch.bytes;
    this.options.traffic.bytesOut += batch.bytes;
    this.options.traffic.framesOut += batch.frames;
    recycle(batch);
    this.options.budget.release(batch.frames, batch.bytes);
    this.onWritten();
    if (this.queue.bytes > 0) this.flush();
    else {
      const done = this.whenFlushed;
      this.whenFlushed = undefined;
      done?.();
    }
  }

  private release(): void {
    this.held = false;
    if (this.queue.bytes > 0) this.flush();
  }

  private ping(): void {
    if (this.pingSentAt !== undefined || this.closedFor !== undefined) return;
    this.pingSentAt = this.clock.now();
    this.pingSequence++;
    this.append(FrameType.ping, 0, this.pingSequence, EMPTY);
    // A held connection is held for this very ping; nothing else is queued when it begins.
    const held = this.held;
    this.held = false;
    this.flush();
    this.held = held;
  }

  private readonly gone = (): void => {
    this.lingering?.cancel();
    this.close('ended');
    this.goneSignal.resolve();
  };

  private readonly receive = (chunk: Buffer): void => {
    if (this.closedFor !== undefined) return;
    this.bytesIn += chunk.length;
    this.options.traffic.bytesIn += chunk.length;
    const framesBefore = this.parser.frames;
    const violation = this.parser.push(chunk);
    this.options.traffic.framesIn += this.parser.frames - framesBefore;
    if (violation !== undefined) this.close(violation);
  };

  private readonly handleFrame: FrameHandler = (type, channel, correlation, payload) => {
    if (this.closedFor !== undefined) return false;
    if (type === FrameType.ping && this.established) {
      this.append(FrameType.pong, 0, correlation, EMPTY);
      return true;
    }
    if (type === FrameType.pong && this.established) {
      this.takePong(correlation);
      return true;
    }
    return this.onFrame(type, channel, correlation, payload) && this.closedFor === undefined;
  };

  private takePong(sequence: number): void {
    if (this.pingSentAt === undefined || sequence !== this.pingSequence) return;
    const now = this.clock.now();
    this.onRoundTrip(now - this.pingSentAt);
    this.pingSentAt = undefined;
    this.lastPongAt = now;
    if (this.held) this.release();
  }
}

function newSignal(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
