// One connection of a client, at the node. Reads frames, hands requests to the runner, and gathers the answers of a turn
// into one write. Every answer is of bounded size and every queue has a bound: a client that sends without reading is
// not read from, and one that asks for values that it does not take is refused.

import type { Duplex } from 'node:stream';
import type { DwError, TimerHandle } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { ClientRequest, FrameKind, ListedKey, ServerWelcome } from '@datawarehouse/sdk/client-protocol';
import {
  AnswerFrame,
  CLIENT_PROTOCOL_VERSION,
  FRAME_CUT_BYTES,
  FrameParser,
  MAX_HANDSHAKE_BYTES,
  emptyFrame,
  jsonFrame,
  protocolViolated,
  readHello,
  readRequests,
  writeChanges,
  writeDeleted,
  writeError,
  writeListed,
} from '@datawarehouse/sdk/client-protocol';
import type { StoredValue } from './client-backend.js';
import type { ClientPortLimits } from './client-port-limits.js';
import {
  clientClusterMismatch,
  clientPortOverloaded,
  clientUnauthorized,
  clientVersionUnsupported,
} from './errors.js';
import type { Replies, RequestRunner } from './request-runner.js';
import type { ChangeSink } from './watch-stream.js';

/** What all connections of a port share. */
export interface PortLoad {
  /** Requests without an answer. */
  requests: number;
  /** Bytes of frames that are not complete. */
  partialBytes: number;
}

/** What a connection needs of its port. */
export interface ConnectionHost {
  readonly limits: ClientPortLimits;
  readonly load: PortLoad;
  readonly runner: RequestRunner;
  readonly clusterId: string;
  readonly authorize: ((token: string | undefined) => boolean) | undefined;
  now(): number;
  later(ms: number, callback: () => void): TimerHandle;
  welcome(): ServerWelcome;
  /** The connection is over: why it was closed from this side, if it was. */
  closed(connection: ClientConnection, reason: DwError | undefined): void;
}

const PONG = emptyFrame('pong');
const GOODBYE_MS = 1_000;
const NOTHING = (): void => {};

/** A client's connection. */
export class ClientConnection implements Replies {
  /** Time at which anything was heard last. */
  heardAt: number;
  private state: 'greeting' | 'open' | 'closed' = 'greeting';
  private readonly parser: FrameParser;
  /** What gives up each request without an answer, by id. At most `maxInFlight`. */
  private readonly underWay = new Map<number, () => void>();
  /** What lets each watch go on, by id. At most `maxWatches`. */
  private readonly watches = new Map<number, () => void>();
  private frame: AnswerFrame | undefined;
  private frameBytes = 256;
  private scheduled = false;
  /** Bytes of an incomplete frame that the port's load counts for this connection. */
  private accountedBytes = 0;
  private paused = false;
  /** Whether a watch was told to wait; it hears when there is room. */
  private starved = false;

  constructor(
    private readonly socket: Duplex,
    private readonly host: ConnectionHost,
  ) {
    this.heardAt = host.now();
    this.parser = new FrameParser(
      () => (this.state === 'open' ? host.limits.maxFrameBytes : MAX_HANDSHAKE_BYTES),
      (kind, content) => this.receive(kind, content),
    );
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('drain', () => this.resume());
    socket.on('error', NOTHING); // `close` follows, and says all there is to say here.
    socket.on('end', () => this.close());
    socket.on('close', () => this.close());
  }

  /** Whether the hello was accepted. */
  get isOpen(): boolean {
    return this.state === 'open';
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.underWay.size;
  }

  /** Sends a frame that was made elsewhere. */
  send(frame: Buffer): void {
    if (this.state === 'open') this.write(frame);
  }

  /** Ends the connection; with a reason, the client is told it. */
  close(reason?: DwError): void {
    if (this.state === 'closed') return;
    if (reason !== undefined) {
      const { code, message, retryable, retryAfterMs } = reason;
      this.flush();
      this.write(jsonFrame('goodbye', { code, message, retryable, retryAfterMs }));
    }
    this.state = 'closed';
    const { load } = this.host;
    load.partialBytes -= this.accountedBytes;
    load.requests -= this.underWay.size;
    const giveUp = [...this.underWay.values()];
    this.underWay.clear();
    this.watches.clear();
    this.frame = undefined;
    for (const cancel of giveUp) cancel();
    const { socket } = this;
    socket.end(() => socket.destroy());
    // Whoever does not read its goodbye is not waited for.
    const force = this.host.later(GOODBYE_MS, () => socket.destroy());
    socket.once('close', () => force.cancel());
    this.host.closed(this, reason);
  }

  /** Ends the connection without waiting for what was written. */
  destroy(): void {
    this.close();
    this.socket.destroy();
  }

  written(id: number, version: number): void {
    if (this.settle(id)) this.out().written(id, version);
  }

  deleted(id: number, version: number, existed: boolean): void {
    if (this.settle(id)) this.out().add(id, 'ok', (writer) => writeDeleted(writer, version, existed));
  }

  found(id: number, found: StoredValue | undefined): void {
    if (!this.settle(id)) return;
    if (found === undefined) this.out().nothing(id);
    else if (this.hasRoom(id)) this.out().value(id, found.version, found.value);
  }

  listed(id: number, items: readonly ListedKey[]): void {
    if (this.settle(id) && this.hasRoom(id)) this.out().add(id, 'ok', (writer) => writeListed(writer, items));
  }

  refused(id: number, error: DwError): void {
    if (this.settle(id)) this.refuse(id, error);
  }

  watch(id: number): ChangeSink {
    return {
      hasRoom: () => this.takesMore(),
      changed: (changes) => {
        if (this.underWay.has(id)) this.out().add(id, 'event', (writer) => writeChanges(writer, changes));
      },
      ended: (error) => this.refused(id, error),
    };
  }

  pumps(id: number, pump: () => void): void {
    if (this.underWay.has(id)) this.watches.set(id, pump);
  }

  /** Lets the watches go on, or find out that they cannot. */
  pump(): void {
    this.starved = false;
    for (const pump of this.watches.values()) pump();
  }

  /** Whether the client takes what it is sent. */
  private takesMore(): boolean {
    const waiting = this.socket.writableLength + (this.frame?.bytes ?? 0);
    if (this.state === 'open' && waiting < this.host.limits.pauseBytes) return true;
    this.starved = true;
    return false;
  }

  private take(chunk: Buffer): void {
    if (this.state === 'closed') return;
    this.heardAt = this.host.now();
    try {
      this.parser.push(chunk);
      this.account();
    } catch (error) {
      if (!isDwError(error)) throw error;
      this.close(error);
    }
  }

  /** Brings what the port knows of this connection's incomplete frame up to date. */
  private account(): void {
    if (this.state === 'closed') return;
    const { load, limits } = this.host;
    load.partialBytes += this.parser.heldBytes - this.accountedBytes;
    this.accountedBytes = this.parser.heldBytes;
    if (load.partialBytes > limits.maxPartialBytes) {
      throw clientPortOverloaded('bytes of incomplete frames', limits.maxPartialBytes);
    }
  }

  private receive(kind: FrameKind, content: Buffer): void {
    if (this.state === 'closed') return;
    if (this.state === 'greeting') {
      if (kind !== 'hello') throw protocolViolated(`a ${kind} before the hello`);
      this.greet(content);
      return;
    }
    if (kind === 'requests') readRequests(content, (request) => this.begin(request));
    else if (kind === 'ping') this.write(PONG);
    else if (kind === 'goodbye') this.close();
    else throw protocolViolated(`a ${kind} from a client`);
  }

  private greet(content: Buffer): void {
    const { protocol, clusterId, token } = readHello(content);
    const { host } = this;
    if (protocol !== CLIENT_PROTOCOL_VERSION) {
      throw clientVersionUnsupported(protocol, CLIENT_PROTOCOL_VERSION);
    }
    if (host.authorize !== undefined && !host.authorize(token)) throw clientUnauthorized();
    if (clusterId !== undefined && clusterId !== host.clusterId) {
      throw clientClusterMismatch(clusterId, host.clusterId);
    }
    this.state = 'open';
    this.write(jsonFrame('welcome', host.welcome()));
  }

  private begin(request: ClientRequest): void {
    if (this.state !== 'open') return;
    const { id, operation } = request;
    if (operation?.op === 'cancel') {
      this.giveUp(operation.target);
      return;
    }
    if (this.underWay.has(id)) throw protocolViolated(`two requests have the id ${id}`);
    const { limits, load, runner } = this.host;
    if (this.underWay.size >= limits.maxInFlight) {
      this.refuse(id, clientPortOverloaded('requests of one connection', limits.maxInFlight));
      return;
    }
    if (load.requests >= limits.maxRequests) {
      this.refuse(id, clientPortOverloaded('requests', limits.maxRequests));
      return;
    }
    if (operation?.op === 'watch' && this.watches.size >= limits.maxWatches) {
      this.refuse(id, clientPortOverloaded('watches of one connection', limits.maxWatches));
      return;
    }
    this.underWay.set(id, NOTHING);
    load.requests++;
    try {
      const cancel = runner.run(request, this);
      if (cancel !== undefined && this.underWay.has(id)) this.underWay.set(id, cancel);
    } catch (error) {
      if (!isDwError(error)) throw error;
      this.refused(id, error);
    }
  }

  /** The client does not want the answer any more. It gets one all the same if the request cannot be taken back. */
  private giveUp(id: number): void {
    this.underWay.get(id)?.();
  }

  /** Whether the request waits for this answer. */
  private settle(id: number): boolean {
    if (!this.underWay.delete(id)) return false;
    this.watches.delete(id);
    this.host.load.requests--;
    return true;
  }

  private hasRoom(id: number): boolean {
    const { maxBacklogBytes } = this.host.limits;
    if (this.socket.writableLength + (this.frame?.bytes ?? 0) <= maxBacklogBytes) return true;
    this.refuse(id, clientPortOverloaded('bytes that the client has not taken', maxBacklogBytes));
    return false;
  }

  private refuse(id: number, error: DwError): void {
    this.out().add(id, 'error', (writer) => writeError(writer, error));
  }

  /** The frame of this turn's answers. */
  private out(): AnswerFrame {
    if (this.frame !== undefined && this.frame.bytes >= FRAME_CUT_BYTES) this.flush();
    this.frame ??= new AnswerFrame(this.frameBytes);
    if (!this.scheduled) {
      this.scheduled = true;
      // After everything that this turn settles, so that all its answers share a write.
      process.nextTick(() => {
        this.scheduled = false;
        this.flush();
      });
    }
    return this.frame;
  }

  private flush(): void {
    const { frame } = this;
    if (frame === undefined) return;
    this.frame = undefined;
    const bytes = frame.finish();
    // The next frame will be about as long as this one.
    this.frameBytes = Math.min(FRAME_CUT_BYTES, Math.max(256, bytes.length + (bytes.length >> 2)));
    this.write(bytes);
    // What went out at once makes room without a `drain`.
    if (this.starved && !this.paused) setImmediate(() => this.pump());
  }

  private write(bytes: Buffer): void {
    if (this.state === 'closed' || !this.socket.writable) return;
    this.socket.write(bytes);
    if (this.paused || this.socket.writableLength < this.host.limits.pauseBytes) return;
    this.paused = true;
    this.socket.pause();
  }

  private resume(): void {
    if (!this.paused || this.state === 'closed') return;
    this.paused = false;
    this.socket.resume();
    this.pump();
  }
}
