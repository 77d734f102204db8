// A peer that a test speaks for byte by byte: real sockets, no manners.

import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { Hello } from '../../packages/plugin-cluster/src/handshake/hello.js';
import { encodeHello } from '../../packages/plugin-cluster/src/handshake/hello.js';
import { identity, until } from '../../packages/plugin-cluster/src/testing.test.kit.js';
import { FrameParser } from '../../packages/plugin-cluster/src/wire/frame-parser.js';
import { FrameQueue } from '../../packages/plugin-cluster/src/wire/frame-queue.js';
import { EMPTY, FrameType } from '../../packages/plugin-cluster/src/wire/frame.js';

/** A frame that was received. */
export interface RawFrame {
  readonly type: number;
  readonly channel: number;
  readonly correlation: number;
  readonly payload: Buffer;
}

/** The bytes of a frame, checksum included. */
export function frameBytes(
  type: FrameType,
  { channel = 0, correlation = 0, payload = EMPTY }: Partial<Omit<RawFrame, 'type'>> = {},
): Buffer {
  const queue = new FrameQueue();
  queue.append(type, channel, correlation, payload);
  return Buffer.concat((queue.take(Infinity)?.buffers ?? []).map((buffer) => Buffer.from(buffer)));
}

/** What a node says of itself to `target`. */
export function helloOf(nodeId: string, target: string, overrides: Partial<Hello> = {}): Buffer {
  return encodeHello({
    ...identity(nodeId),
    target,
    lane: 'control',
    slot: 0,
    maxPayload: 1e6,
    ...overrides,
  });
}

/** One end of a connection. */
export class RawPeer {
  /** What the other side has sent. */
  readonly frames: RawFrame[] = [];
  closed = false;
  /** Called with each frame as it comes. */
  onFrame: (frame: RawFrame) => void = () => {};
  private readonly parser = new FrameParser(1e9, (type, channel, correlation, payload) => {
    const frame = { type, channel, correlation, payload: Buffer.from(payload) };
    this.frames.push(frame);
    this.onFrame(frame);
    return true;
  });

  constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => void this.parser.push(chunk));
    // Being reset is what most of these peers deserve; `closed` tells.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static async connect(port: number | undefined): Promise<RawPeer> {
    const socket = connect({ port: port ?? 0, host: '127.0.0.1', noDelay: true });
    const peer = new RawPeer(socket);
    await once(socket, 'connect');
    return peer;
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  send(type: FrameType, fields: Partial<Omit<RawFrame, 'type'>> = {}): void {
    this.write(frameBytes(type, fields));
  }

  /** Resolves with the first frame of this type. */
  async received(type: FrameType): Promise<RawFrame> {
    await until(() => this.closed || this.frames.some((frame) => frame.type === type));
    const frame = this.frames.find((one) => one.type === type);
    if (frame === undefined) throw new Error(`the connection was closed before a frame of type ${type} came`);
    return frame;
  }

  /** Does what a good peer does: welcomes, answers pings, and sends each request back as its reply. */
  behaveAs(nodeId: string, target: string): void {
    this.onFrame = ({ type, correlation, payload }) => {
      if (type === FrameType.hello) this.send(FrameType.welcome, { payload: helloOf(nodeId, target) });
      else if (type === FrameType.ping) this.send(FrameType.pong, { correlation });
      else if (type === FrameType.request) this.send(FrameType.reply, { correlation, payload });
    };
  }

  /** Resolves when the connection is closed, whoever closed it. */
  async gone(): Promise<void> {
    await until(() => this.closed);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Listens where a node is expected. */
export class RawServer {
  readonly accepted: RawPeer[] = [];

  private constructor(
    private readonly server: Server,
    greet: (peer: RawPeer) => void,
  ) {
    server.on('connection', (socket) => {
      const peer = new RawPeer(socket);
      this.accepted.push(peer);
      greet(peer);
    });
  }

  static async listen(greet: (peer: RawPeer) => void = () => {}): Promise<RawServer> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RawServer(server, greet);
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Resolves with the connection that was accepted as this, counted from 0. */
  async connection(index = 0): Promise<RawPeer> {
    await until(() => this.accepted.length > index);
    const peer = this.accepted[index];
    if (peer === undefined) throw new Error('it was there');
    return peer;
  }

  async close(): Promise<void> {
    for (const peer of this.accepted) peer.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
