// A node that does what a test tells it to: it speaks the protocol, remembers what it was asked, and answers by a script.

import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { ClientOperation, ClientRequest, ClusterTopology } from '@datawarehouse/sdk/client-protocol';
import {
  AnswerFrame,
  DwError,
  FrameParser,
  emptyFrame,
  jsonFrame,
  readHello,
  readRequests,
  writeChanges,
  writeDeleted,
  writeError,
  writeListed,
} from '@datawarehouse/sdk/client-protocol';
import type { WatchedChange } from '@datawarehouse/sdk/client-protocol';

/** What a script makes of a request: how to answer; undefined leaves it without an answer. */
export type Script = (request: Asked) => ((answers: AnswerFrame, id: number) => void) | undefined;

/** A request as a node got it. */
export interface Asked extends ClientRequest {
  readonly operation: ClientOperation;
  readonly from: Socket;
}

/** Answers a put, or the opening of a session. */
export const number =
  (value: number) =>
  (answers: AnswerFrame, id: number): void =>
    answers.written(id, value);

/** Answers a get. */
export const value =
  (version: number, text: string) =>
  (answers: AnswerFrame, id: number): void =>
    answers.value(id, version, Buffer.from(text));

/** Answers a get of a key that is not there. */
export const nothing = (answers: AnswerFrame, id: number): void => answers.nothing(id);

/** Refuses. */
export const refuse =
  (
    code: string,
    options: { retryable?: boolean; retryAfterMs?: number; details?: Record<string, unknown> } = {},
  ) =>
  (answers: AnswerFrame, id: number): void =>
    answers.add(id, 'error', (writer) =>
      writeError(writer, new DwError({ code, message: code, ...options })),
    );

/** Serves everything in the plainest way: one version for each write, one session. */
export function plain(): Script {
  let version = 0;
  return ({ operation }) => {
    switch (operation.op) {
      case 'get':
        return value(1, `value of ${operation.key}`);
      case 'delete':
        return (answers, id) => answers.add(id, 'ok', (writer) => writeDeleted(writer, ++version, true));
      case 'list':
        return (answers, id) => answers.add(id, 'ok', (writer) => writeListed(writer, []));
      case 'open-session':
        return number(100);
      case 'put':
      case 'close-session':
        return number(++version);
      case 'watch':
      case 'cancel':
        return undefined;
    }
  };
}

/** A scripted node. */
export class FakeNode {
  readonly asked: Asked[] = [];
  /** Requests of each frame. */
  readonly frames: number[] = [];
  readonly hellos: { readonly token?: string }[] = [];
  /** What it says that it takes. */
  limits = { maxInFlight: 4_096, maxValueBytes: 1_000 };
  /** Pings that were answered. */
  pongs = 0;
  /** Answers pings. */
  alive = true;
  script: Script = plain();
  topology: ClusterTopology;
  /** Sent instead of a welcome. */
  goodbye: { code: string; message: string; retryable: boolean } | undefined;
  readonly endpoint: string;
  private readonly sockets = new Set<Socket>();
  private readonly changed = new Set<() => void>();

  private constructor(
    readonly id: string,
    private readonly server: Server,
  ) {
    this.endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.topology = { groups: [{ id: 'g', term: 1, leader: id }], clients: { [id]: this.endpoint } };
    server.on('connection', (socket) => this.accept(socket));
  }

  static async start(id = 'n1'): Promise<FakeNode> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new FakeNode(id, server);
  }

  /** Operations of a kind that it was asked for. */
  operations<Op extends ClientOperation['op']>(op: Op): Extract<ClientOperation, { readonly op: Op }>[] {
    return this.asked
      .map(({ operation }) => operation)
      .filter((operation): operation is Extract<ClientOperation, { readonly op: Op }> => operation.op === op);
  }

  /** Tells all clients who leads. */
  announce(topology: ClusterTopology): void {
    this.topology = topology;
    for (const socket of this.sockets) socket.write(jsonFrame('topology', topology));
  }

  /** Tells a watch something. */
  tell({ id, from }: Asked, through: number, ...changes: readonly WatchedChange[]): void {
    const frame = new AnswerFrame();
    frame.add(id, 'event', (writer) => writeChanges(writer, { through, changes }));
    from.write(frame.finish());
  }

  /** Answers a request that was left without. */
  answer({ id, from }: Asked, write: (answers: AnswerFrame, id: number) => void): void {
    const frame = new AnswerFrame();
    write(frame, id);
    from.write(frame.finish());
  }

  /** Reads nothing more, or goes on reading. */
  read(wanted: boolean): void {
    for (const socket of this.sockets) {
      if (wanted) socket.resume();
      else socket.pause();
    }
  }

  /** Breaks all connections. */
  drop(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Waits until something makes this true. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.changed.delete(wake);
          resolve();
        };
        this.changed.add(wake);
      });
    }
  }

  async stop(): Promise<void> {
    this.drop();
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    const parser = new FrameParser(
      () => 16_000_000,
      (kind, content) => {
        if (kind === 'hello') this.welcome(socket, content);
        else if (kind === 'ping' && this.alive) {
          this.pongs++;
          socket.write(emptyFrame('pong'));
        } else if (kind === 'requests') this.serve(socket, content);
      },
    );
    socket.on('data', (chunk: Buffer) => {
      parser.push(chunk);
      for (const wake of this.changed) wake();
    });
  }

  private welcome(socket: Socket, content: Buffer): void {
    this.hellos.push(readHello(content));
    if (this.goodbye !== undefined) {
      socket.end(jsonFrame('goodbye', this.goodbye));
      return;
    }
    const limits = { maxFrameBytes: 8_000_000, idleMs: 60_000, ...this.limits };
    const { id, topology } = this;
    socket.write(jsonFrame('welcome', { protocol: 1, nodeId: id, clusterId: 'c', ...limits, topology }));
  }

  private serve(socket: Socket, content: Buffer): void {
    const answers = new AnswerFrame();
    const before = answers.bytes;
    let count = 0;
    readRequests(content, (request) => {
      count++;
      const asked = { ...request, operation: request.operation as ClientOperation, from: socket };
      this.asked.push(asked);
      this.script(asked)?.(answers, request.id);
    });
    this.frames.push(count);
    if (answers.bytes > before && !socket.destroyed) socket.write(answers.finish());
  }
}
