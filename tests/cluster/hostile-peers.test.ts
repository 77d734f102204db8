// What strangers and misbehaving peers can do to a node over real sockets: each is cut off and counted by what it did,
// and the node goes on serving its good peer on the very connections that it had before.
// The node's clock stands still unless a test turns it, so that no deadline depends on the machine.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Hello } from '../../packages/plugin-cluster/src/handshake/hello.js';
import { TcpPeerTransport } from '../../packages/plugin-cluster/src/tcp-peer-transport.js';
import {
  freeAddresses,
  transportOptions,
  until,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';
import { FrameType, Offset } from '../../packages/plugin-cluster/src/wire/frame.js';
import { RawPeer, RawServer, frameBytes, helloOf } from './raw-peer.js';

/** Far apart, so that a test can let a deadline pass without a heartbeat. */
const HEARTBEAT_MS = 60_000;

let clock: FakeClock;
/** The node that is attacked. */
let node: TcpPeerTransport;
/** Its good peer, n2. */
let good: TcpPeerTransport;
/** Listens in the place of n3, and behaves unless a test says otherwise. */
let server: RawServer;
let disconnects: number;
const raw: RawPeer[] = [];

async function start(n3: 'good' | 'of the test'): Promise<void> {
  clock = new FakeClock();
  server = await RawServer.listen((peer) => {
    if (n3 === 'good') peer.behaveAs('n3', 'n1');
  });
  const addresses = await freeAddresses(['n1', 'n2']);
  const peers = { ...addresses, n3: server.address };
  node = new TcpPeerTransport(transportOptions('n1', peers, { clock, random: () => 0.5 }));
  node.limits.apply({ heartbeatIntervalMs: HEARTBEAT_MS });
  good = new TcpPeerTransport(transportOptions('n2', addresses));
  for (const one of [node, good]) {
    one.handle('echo', { onRequest: async (_from, payload) => Buffer.from(payload) });
  }
  await good.start();
  await node.start();
  await until(
    () =>
      node.peers().every(({ id, state }) => state === 'connected' || (id === 'n3' && n3 !== 'good')) &&
      good.peers()[0]?.state === 'connected' &&
      node.inspect().inbound.size === 1,
  );
  disconnects = 0;
  good.onPeerStateChanged(() => void disconnects++);
  node.onPeerStateChanged((peer) => void (peer === 'n2' && disconnects++));
}

afterEach(async () => {
  for (const peer of raw.splice(0)) peer.destroy();
  await server.close();
  await Promise.all([node.close(), good.close()]);
  expect(clock.pendingTimers()).toEqual([]);
  expect(node.environment.memory.bytes).toBe(0);
});

async function stranger(): Promise<RawPeer> {
  const peer = await RawPeer.connect(node.port);
  raw.push(peer);
  return peer;
}

/** Somebody who has shaken hands as n3. */
async function admitted(overrides: Partial<Hello> = {}): Promise<RawPeer> {
  const peer = await stranger();
  peer.send(FrameType.hello, { payload: helloOf('n3', 'n1', overrides) });
  await peer.received(FrameType.welcome);
  return peer;
}

function rejects(): Record<string, number> {
  return Object.fromEntries(node.environment.rejections.counts());
}

/** The good peer and the node still talk to each other, and never had to connect again. */
async function expectServing(): Promise<void> {
  const [there, back] = [Buffer.from('there'), Buffer.from('back')];
  expect(await good.request('n1', 'echo', there)).toEqual(there);
  for (const { id, state } of node.peers()) {
    if (state === 'connected') expect(await node.request(id, 'echo', back)).toEqual(back);
  }
  expect(disconnects).toBe(0);
}

/** The connection is closed, was counted once, for this reason, and nothing is left of it. */
async function expectCut(peer: RawPeer, reason: string): Promise<void> {
  await peer.gone();
  await until(() => node.environment.rejections.total > 0);
  expect(rejects()).toEqual({ [reason]: 1 });
  await until(() => node.inspect().inbound.size === 1 && node.inspect().listener.pending === 0);
  await expectServing();
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value;
  return bytes;
}

function tooLong(length: number): Buffer {
  const bytes = frameBytes(FrameType.message);
  bytes.writeUInt32BE(length, Offset.length);
  return bytes;
}

const hello = (): Buffer => frameBytes(FrameType.hello, { payload: helloOf('n3', 'n1') });
const garbage = Buffer.from('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n');

describe('a stranger', () => {
  beforeEach(() => start('good'));

  it.each([
    ['bad-magic', () => garbage],
    ['bad-version', () => changed(hello(), 3, 2)],
    ['bad-flags', () => changed(hello(), Offset.flags, 1)],
    ['unknown-frame-type', () => changed(hello(), Offset.type, 99)],
    ['bad-checksum', () => changed(hello(), 40, 0)],
    ['frame-too-large', () => tooLong(4_097)],
  ])('is cut off for %s', async (reason, bytes) => {
    const peer = await stranger();
    peer.write(bytes());
    await expectCut(peer, reason);
  });

  it.each([
    ['malformed-hello', () => frameBytes(FrameType.hello, { payload: Buffer.from('{"nodeId":') })],
    ['malformed-hello', () => frameBytes(FrameType.hello, { payload: helloOf('n3', 'n1', { slot: 1 }) })],
    ['unexpected-frame', () => frameBytes(FrameType.request, { channel: 1, correlation: 1 })],
    ['unexpected-frame', () => frameBytes(FrameType.ping, { correlation: 1 })],
    [
      'wrong-cluster',
      () => frameBytes(FrameType.hello, { payload: helloOf('n3', 'n1', { clusterId: 'x' }) }),
    ],
    ['unknown-node', () => frameBytes(FrameType.hello, { payload: helloOf('n9', 'n1') })],
    ['self', () => frameBytes(FrameType.hello, { payload: helloOf('n1', 'n1') })],
    ['wrong-target', () => frameBytes(FrameType.hello, { payload: helloOf('n3', 'n2') })],
  ])('is refused for %s, and told so', async (reason, bytes) => {
    const peer = await stranger();
    peer.write(bytes());
    expect((await peer.received(FrameType.refuse)).payload.toString()).toBe(reason);
    await expectCut(peer, reason);
  });

  it('has only so long for the handshake, however busily it drips', async () => {
    const peer = await stranger();
    await until(() => node.inspect().listener.pending === 1);
    for (let i = 0; i < 10; i++) {
      const { bytesIn } = node.environment.traffic;
      peer.write(hello().subarray(i, i + 1));
      await until(() => node.environment.traffic.bytesIn > bytesIn);
      if (i < 9) clock.advance(300);
    }
    clock.advance(299);
    expect(rejects()).toEqual({});
    expect(peer.closed).toBe(false);
    clock.advance(1);
    await expectCut(peer, 'handshake-timeout');
  });

  it('is counted once when it stays after it was refused', async () => {
    const peer = await stranger();
    peer.socket.pause();
    peer.send(FrameType.hello, { payload: helloOf('n9', 'n1') });
    await until(() => node.environment.rejections.total === 1);
    clock.advance(5_000);
    peer.socket.resume();
    await expectCut(peer, 'unknown-node');
  });

  it('finds no room when too many wait, and takes none away from a peer', async () => {
    node.limits.apply({ maxPendingHandshakes: 2 });
    const waiting = [await stranger(), await stranger()];
    await until(() => node.inspect().listener.pending === 2);
    const third = await stranger();
    await third.gone();
    expect(rejects()).toEqual({ 'too-many-handshakes': 1 });
    await expectServing();
    waiting[0]?.destroy();
    await until(() => node.inspect().listener.pending === 1);
    await admitted();
    await expectServing();
    expect(waiting[1]?.closed).toBe(false);
  });

  it('that leaves without a word is forgotten', async () => {
    const peer = await stranger();
    await until(() => node.inspect().listener.pending === 1);
    peer.destroy();
    await until(() => node.inspect().listener.pending === 0);
    clock.advance(10_000);
    expect(rejects()).toEqual({});
  });
});

describe('a peer after its handshake', () => {
  beforeEach(() => start('good'));

  it.each([
    ['bad-magic', [garbage]],
    ['bad-checksum', [changed(frameBytes(FrameType.goodbye, { payload: Buffer.from('abc') }), 25, 0)]],
    ['frame-too-large', [tooLong(8 * 1024 * 1024 + 1)]],
    ['unexpected-frame', [hello()]],
    ['unexpected-frame', [frameBytes(FrameType.reply, { correlation: 77 })]],
    ['bad-channel', [frameBytes(FrameType.message, { channel: 5 })]],
    ['bad-channel', [frameBytes(FrameType.request, { channel: 5, correlation: 1 })]],
    ['bad-channel', [frameBytes(FrameType.bind, { channel: 1, payload: Buffer.from('no\nname') })]],
    [
      'duplicate-correlation',
      [
        frameBytes(FrameType.bind, { channel: 1, payload: Buffer.from('never') }),
        frameBytes(FrameType.request, { channel: 1, correlation: 9 }),
        frameBytes(FrameType.request, { channel: 1, correlation: 9 }),
      ],
    ],
  ])('is cut off for %s', async (reason, parts) => {
    const aborted: string[] = [];
    node.handle('never', {
      onRequest: (from, _payload, signal) =>
        new Promise<Buffer>(() => signal.addEventListener('abort', () => void aborted.push(from))),
    });
    const peer = await admitted();
    for (const bytes of parts) peer.write(bytes);
    await expectCut(peer, reason);
    expect(aborted).toEqual(reason === 'duplicate-correlation' ? ['n3'] : []);
  });

  it('is given up when it is half-open: there for TCP, but silent', async () => {
    const peer = await admitted();
    for (let look = 0; look < 2; look++) {
      clock.advance(HEARTBEAT_MS);
      // The good peer answers in between, as it does when time passes by itself.
      await expectServing();
    }
    expect(rejects()).toEqual({});
    clock.advance(HEARTBEAT_MS);
    await expectCut(peer, 'silent');
  });

  it('that ends its half of the connection is let go without being counted', async () => {
    const peer = await admitted();
    peer.socket.end();
    await peer.gone();
    await until(() => node.inspect().inbound.size === 1);
    expect(rejects()).toEqual({});
    await expectServing();
  });

  it('has one connection for each slot, however often it connects', async () => {
    const first = await admitted();
    const second = await admitted();
    await first.gone();
    expect(node.inspect().inbound.size).toBe(2);
    const restarted = await admitted({ incarnation: 'n3-second' });
    await second.gone();
    expect(node.inspect().inbound.size).toBe(2);
    expect(restarted.closed).toBe(false);
    expect(rejects()).toEqual({});
  });

  it('that sends random bytes, in any cut, never does more than lose its connection', async () => {
    for (let round = 0; round < 30; round++) {
      const peer = round % 2 === 0 ? await stranger() : await admitted();
      const bytes = Buffer.alloc(24 + round * 50, (round * 37) % 251);
      for (let at = 0; at < bytes.length; at += 1 + ((round * 13) % 40)) {
        peer.write(bytes.subarray(at, at + 1 + ((round * 13) % 40)));
      }
      await peer.gone();
    }
    await until(() => node.environment.rejections.total === 30);
    await expectServing();
  });
});

describe('whom the node dials', () => {
  beforeEach(() => start('of the test'));

  /** The connection that the node opened to n3, after its hello. */
  async function dialled(): Promise<RawPeer> {
    const peer = await server.connection();
    await peer.received(FrameType.hello);
    return peer;
  }

  const welcome = (nodeId: string, overrides: Partial<Hello> = {}): Buffer =>
    frameBytes(FrameType.welcome, { payload: helloOf(nodeId, 'n1', overrides) });

  it.each([
    ['bad-magic', garbage],
    ['wrong-cluster', welcome('n3', { clusterId: 'x' })],
    ['wrong-peer', welcome('n2')],
    ['unknown-node', welcome('n9')],
    ['self', welcome('n1')],
    ['wrong-target', frameBytes(FrameType.welcome, { payload: helloOf('n3', 'n2') })],
    ['malformed-hello', welcome('n3', { slot: 1, lane: 'bulk' })],
    ['malformed-hello', frameBytes(FrameType.welcome, { payload: Buffer.from('{}') })],
    ['frame-too-large', frameBytes(FrameType.welcome, { payload: Buffer.alloc(5_000) })],
    ['unexpected-frame', frameBytes(FrameType.reply, { correlation: 1 })],
  ])('is not taken for n3: %s', async (reason, answer) => {
    const peer = await dialled();
    peer.write(answer);
    await expectCut(peer, reason);
    expect(node.peers().find(({ id }) => id === 'n3')?.state).toBe('disconnected');
  });

  it('has only so long to answer, and is dialled again later', async () => {
    const peer = await dialled();
    clock.advance(3_000);
    await expectCut(peer, 'handshake-timeout');
    clock.advance(5_000);
    const second = await server.connection(1);
    second.write(welcome('n3'));
    await until(() => node.peers().every(({ state }) => state === 'connected'));
  });

  it('is cut off for a reply to a request that was never made', async () => {
    const peer = await dialled();
    peer.write(welcome('n3'));
    await until(() => node.peers().every(({ state }) => state === 'connected'));
    peer.send(FrameType.reply, { correlation: 4_711 });
    await expectCut(peer, 'unknown-correlation');
    expect(node.peers().find(({ id }) => id === 'n3')?.state).toBe('disconnected');
  });

  it('may answer a request that was given up: counted, and nobody is told', async () => {
    const peer = await dialled();
    peer.write(welcome('n3'));
    await until(() => node.peers().every(({ state }) => state === 'connected'));
    const asked = node.request('n3', 'echo', [], { timeoutMs: 100 }).catch((error: unknown) => error);
    const { correlation } = await peer.received(FrameType.request);
    clock.advance(100);
    expect(await asked).toMatchObject({ code: 'peer-timeout' });
    await peer.received(FrameType.cancel);
    for (let i = 0; i < 3; i++) peer.send(FrameType.reply, { correlation });
    const link = node.inspect().links.get('n3');
    await until(() => link?.pending.lateReplies === 3);
    expect(rejects()).toEqual({});
    expect(peer.closed).toBe(false);
    peer.behaveAs('n3', 'n1');
    await expectServing();
  });
});
