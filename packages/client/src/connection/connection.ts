// One connection to a node: the hello, requests out, answers in. Requests that are made in one turn of the event loop
// share one frame and one write. It knows nothing of leaders, retries or time-outs of calls.

import type { Duplex } from 'node:stream';
import type {
  AnswerStatus,
  ClientOperation,
  ClusterTopology,
  FrameKind,
  ServerWelcome,
} from '@datawarehouse/sdk/client-protocol';
import {
  CLIENT_PROTOCOL_VERSION,
  FRAME_CUT_BYTES,
  FrameParser,
  MAX_HANDSHAKE_BYTES,
  RequestFrame,
  emptyFrame,
  isDwError,
  jsonFrame,
  protocolViolated,
  readAnswers,
  readGoodbye,
  readTopology,
  readWelcome,
} from '@datawarehouse/sdk/client-protocol';
import { DwClientError, connectionLost } from '../errors.js';

/** Longest body of a frame that a node may send: values of any allowed size fit. */
const MAX_FRAME_BYTES = 64 * 1_024 * 1_024;
/** Bytes that the node has not taken, beyond which no request is added. */
const MAX_BACKLOG_BYTES = 16 * 1_024 * 1_024;
const PING = emptyFrame('ping');
const CLIENT_NAME = '@datawarehouse/client 0.1.0';

/** Who waits for the answers to a request. */
export interface AnswerHandler {
  /** An answer; `body` is valid during the call. After `ok` or `error` nothing more comes. */
  onAnswer(status: AnswerStatus, body: Buffer): void;
  /** The connection was lost before the last answer. */
  onLost(error: DwClientError): void;
}

/** Who hears of a connection. */
export interface ConnectionListener {
  onWelcome(welcome: ServerWelcome): void;
  onTopology(topology: ClusterTopology): void;
  /** The node has taken everything: there is room again. */
  onDrained(): void;
  /** The connection is over. Whoever waited for an answer has been told. */
  onClosed(error: DwClientError): void;
}

/** A connection to a node. */
export class Connection {
  /** Time at which anything was heard last; times come from the caller. */
  heardAt: number;
  private welcome: ServerWelcome | undefined;
  private readonly parser: FrameParser;
  /** Bounded by `maxInFlight` of the node, which its users obey. */
  private readonly waiting = new Map<number, AnswerHandler>();
  private nextId = 1;
  private frame: RequestFrame | undefined;
  private frameBytes = 256;
  private scheduled = false;
  private over = false;

  /** @param socket Connected, or about to be: what is written waits. */
  constructor(
    private readonly socket: Duplex,
    readonly endpoint: string,
    private readonly now: () => number,
    private readonly listener: ConnectionListener,
  ) {
    this.heardAt = now();
    this.parser = new FrameParser(
      () => (this.welcome === undefined ? MAX_HANDSHAKE_BYTES * 16 : MAX_FRAME_BYTES),
      (kind, content) => this.receive(kind, content),
    );
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', (error) => this.close(connectionLost(endpoint, error.message)));
    socket.on('drain', () => listener.onDrained());
    socket.on('close', () => this.close(connectionLost(endpoint, 'the node closed it')));
  }

  /** Requests without their last answer. */
  get inFlight(): number {
    return this.waiting.size;
  }

  /** Whether requests may be made: it is open, and the node takes more. */
  get hasRoom(): boolean {
    if (this.welcome === undefined || this.over || this.waiting.size >= this.welcome.maxInFlight)
      return false;
    return this.socket.writableLength + (this.frame?.bytes ?? 0) < MAX_BACKLOG_BYTES;
  }

  /** What the node said of itself; undefined before that. */
  get node(): ServerWelcome | undefined {
    return this.welcome;
  }

  /** Whether the connection has ended. */
  get isOver(): boolean {
    return this.over;
  }

  /** Sends the hello. */
  greet(token: string | undefined, clusterId: string | undefined): void {
    this.socket.write(
      jsonFrame('hello', { protocol: CLIENT_PROTOCOL_VERSION, client: CLIENT_NAME, token, clusterId }),
    );
  }

  /** Makes a request; only when {@link hasRoom}. It goes out at the end of the turn. @returns its id. */
  request(operation: ClientOperation, timeoutMs: number, relay: boolean, handler: AnswerHandler): number {
    const id = this.nextId++;
    this.waiting.set(id, handler);
    this.out().add(id, timeoutMs, relay, operation);
    return id;
  }

  /** Gives a request up: its handler hears nothing more, and the node is told. */
  cancel(id: number): void {
    if (!this.waiting.delete(id) || this.over) return;
    this.out().add(this.nextId++, 0, false, { op: 'cancel', target: id });
  }

  /** Asks for a sign of life. */
  ping(): void {
    if (!this.over && this.welcome !== undefined) this.socket.write(PING);
  }

  /** Ends the connection; whoever waits is told. */
  close(error: DwClientError): void {
    if (this.over) return;
    this.over = true;
    this.frame = undefined;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    this.socket.destroy();
    for (const handler of waiting) handler.onLost(error);
    this.listener.onClosed(error);
  }

  private out(): RequestFrame {
    if (this.frame !== undefined && this.frame.bytes >= FRAME_CUT_BYTES) this.flush();
    this.frame ??= new RequestFrame(this.frameBytes);
    if (!this.scheduled) {
      this.scheduled = true;
      // After all that this turn's callers ask for, promises that it settles included.
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
    this.frameBytes = Math.min(FRAME_CUT_BYTES, Math.max(256, bytes.length + (bytes.length >> 2)));
    this.socket.write(bytes);
  }

  private take(chunk: Buffer): void {
    if (this.over) return;
    this.heardAt = this.now();
    try {
      this.parser.push(chunk);
    } catch (error) {
      if (!isDwError(error)) throw error;
      this.close(
        new DwClientError({ code: error.code, message: error.message, hint: error.hint, cause: error }),
      );
    }
  }

  private receive(kind: FrameKind, content: Buffer): void {
    if (this.over) return;
    if (kind === 'goodbye') {
      const { code, message, retryable, retryAfterMs } = readGoodbye(content);
      this.close(new DwClientError({ code, message, retryable, retryAfterMs }));
    } else if (this.welcome === undefined) {
      if (kind !== 'welcome') throw protocolViolated(`a ${kind} before the welcome`);
      this.welcome = readWelcome(content);
      this.listener.onWelcome(this.welcome);
    } else if (kind === 'answers') {
      readAnswers(content, ({ id, status, body }) => {
        const handler = this.waiting.get(id);
        // Given up meanwhile.
        if (handler === undefined) return;
        if (status !== 'event') this.waiting.delete(id);
        handler.onAnswer(status, body);
      });
    } else if (kind === 'topology') {
      this.listener.onTopology(readTopology(content));
    } else if (kind !== 'pong') {
      throw protocolViolated(`a ${kind} from a node`);
    }
  }
}
