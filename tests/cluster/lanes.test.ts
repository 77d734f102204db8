// Lanes over real sockets: bulk does not delay control, what waits is bounded, and order holds in each lane and channel.
// Where a peer must not read, a raw one does not; deadlines pass on a clock that the test turns.

import { FakeClock } from '@datawarehouse/sdk/testing';
import type { TransportLane } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeHello } from '../../packages/plugin-cluster/src/handshake/hello.js';
import { TcpPeerTransport } from '../../packages/plugin-cluster/src/tcp-peer-transport.js';
import {
  connectedTransports,
  freeAddresses,
  transportOptions,
  until,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';
import { FrameType } from '../../packages/plugin-cluster/src/wire/frame.js';
import { RawPeer, RawServer, helloOf } from './raw-peer.js';

const KIBIBYTE = 1024;
const QUEUE_BYTES = 256 * KIBIBYTE;
const HEARTBEAT_MS = 60_000;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function closing(transports: readonly TcpPeerTransport[]): void {
  cleanups.push(async () => {
    await Promise.all(transports.map((transport) => transport.close()));
  });
}

/** The connections that the node has opened to n2, by lane. */
interface Far {
  readonly control: RawPeer;
  bulk: RawPeer | undefined;
}

/** A node n1 whose peer n2 is raw and reads its bulk connections only when it is told to; n3 is a good peer. */
async function nodeWithRawPeer() {
  const clock = new FakeClock();
  const lanes: { control?: RawPeer; bulk?: RawPeer } = {};
  const server = await RawServer.listen((peer) => {
    peer.onFrame = ({ payload }) => {
      const hello = decodeHello(payload);
      if (hello === undefined) throw new Error('the first frame is a hello');
      const { lane, slot } = hello;
      lanes[lane] = peer;
      peer.behaveAs('n2', 'n1');
      peer.send(FrameType.welcome, { payload: helloOf('n2', 'n1', { lane, slot }) });
      if (lane === 'bulk') peer.socket.pause();
    };
  });
  cleanups.push(() => server.close());
  const addresses = await freeAddresses(['n1', 'n3']);
  const peers = { ...addresses, n2: server.address };
  const node = new TcpPeerTransport(transportOptions('n1', peers, { clock }));
  node.limits.apply({ maxLaneQueueBytes: QUEUE_BYTES, heartbeatIntervalMs: HEARTBEAT_MS });
  const good = new TcpPeerTransport(transportOptions('n3', addresses));
  closing([node, good]);
  await good.start();
  await node.start();
  await until(() => node.peers().every(({ state }) => state === 'connected'));
  const { control } = lanes;
  if (control === undefined) throw new Error('it is connected');
  const far: Far = {
    control,
    get bulk() {
      return lanes.bulk;
    },
  };
  return { node, good, clock, far };
}

/** Sends until nothing is taken any more, by the queue or by the buffers of the system. @returns how many were. */
async function fill(node: TcpPeerTransport, lane: TransportLane): Promise<number> {
  const payload = Buffer.alloc(16 * KIBIBYTE);
  let taken = 0;
  for (let refusedTurns = 0; refusedTurns < 50; refusedTurns++) {
    payload.writeUInt32BE(taken);
    while (node.send('n2', 'flood', payload, lane)) {
      payload.writeUInt32BE(++taken);
      refusedTurns = 0;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
  return taken;
}

const messages = (peer: RawPeer | undefined): readonly Buffer[] =>
  (peer?.frames ?? []).filter(({ type }) => type === FrameType.message).map(({ payload }) => payload);

describe('bulk and control', () => {
  it('do not wait for each other: with bulk full and unread, control messages and requests go through', async () => {
    const { node, far } = await nodeWithRawPeer();
    const taken = await fill(node, 'bulk');
    expect(node.send('n2', 'flood', Buffer.alloc(1), 'bulk')).toBe(false);
    const events: string[] = [];
    const drained = node.drained('n2', 'bulk').then(() => void events.push('drained'));
    for (let i = 0; i < 1_000; i++) expect(node.send('n2', 'raft', Buffer.from(`${i}`))).toBe(true);
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, i) => node.request('n2', 'raft', Buffer.from(`${i}`))),
    );
    expect(replies.map(String)).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
    expect(messages(far.control).map(String)).toEqual(Array.from({ length: 1_000 }, (_, i) => `${i}`));
    await expect(
      node.request('n2', 'flood', [], { lane: 'bulk' }),
      'a request is refused as well',
    ).rejects.toMatchObject({ code: 'peer-queue-full', retryable: true });
    // Bulk stands as it stood: full, unread, and within its bound by less than a frame.
    expect([messages(far.bulk).length, events]).toEqual([0, []]);
    expect(node.inspect().links.get('n2')?.budgets.bulk.bytes).toBeLessThan(QUEUE_BYTES + 17 * KIBIBYTE);
    expect(node.environment.drops.queueFull).toBeGreaterThan(0);

    far.bulk?.socket.resume();
    await drained;
    expect(node.send('n2', 'flood', Buffer.from('last'), 'bulk')).toBe(true);
    await until(() => messages(far.bulk).length === taken + 1);
    const numbers = messages(far.bulk)
      .slice(0, -1)
      .map((payload) => payload.readUInt32BE());
    expect(numbers).toEqual(Array.from({ length: taken }, (_, i) => i));
  });

  it('keep the order of each channel in each lane, over many messages', async () => {
    const [a, b] = await connectedTransports(['n1', 'n2']);
    if (a === undefined || b === undefined) throw new Error('two were asked for');
    closing([a, b]);
    a.limits.apply({ maxLaneQueueBytes: QUEUE_BYTES });
    const channels = ['raft', 'wal', 'files', 'bus'];
    const lanes = ['control', 'bulk'] as const;
    const each = 4_000;
    const next = new Map<string, number>();
    let [got, outOfOrder] = [0, 0];
    for (const channel of channels) {
      b.handle(channel, {
        onMessage: (_from, payload) => {
          const lane = `${channel}/${payload[0]}`;
          if (payload.readUInt32BE(1) !== (next.get(lane) ?? 0)) outOfOrder++;
          next.set(lane, payload.readUInt32BE(1) + 1);
          got++;
        },
      });
    }
    const sendAll = async (channel: string, lane: TransportLane): Promise<void> => {
      for (let i = 0; i < each; i++) {
        // Sizes from a few bytes to two kibibytes, some of them split over reads.
        const payload = Buffer.alloc(5 + ((i * 97) % 2_048));
        payload[0] = lanes.indexOf(lane);
        payload.writeUInt32BE(i, 1);
        while (!a.send('n2', channel, payload, lane)) await a.drained('n2', lane);
      }
    };
    await Promise.all(channels.flatMap((channel) => lanes.map((lane) => sendAll(channel, lane))));
    await until(() => got === each * channels.length * lanes.length);
    expect(outOfOrder).toBe(0);
    expect(a.environment.memory.bytes).toBe(0);
  });
});

describe('a peer that stops reading', () => {
  it('costs no more than its bound, is cut off, and does not hold up the others', async () => {
    const { node, good, clock, far } = await nodeWithRawPeer();
    let atGood = 0;
    good.handle('raft', { onMessage: () => void atGood++, onRequest: async () => Buffer.from('yes') });
    far.control.socket.pause();
    await fill(node, 'control');
    expect(node.environment.memory.bytes).toBeLessThan(QUEUE_BYTES + 17 * KIBIBYTE);
    const waiting = node.drained('n2', 'control').catch((error: unknown) => error);
    let sent = 0;
    for (let look = 0; look < 4 && node.environment.rejections.total === 0; look++) {
      // It still sends, so that it is not its silence that ends it.
      const { framesIn } = node.environment.traffic;
      far.control.send(FrameType.ping, { correlation: look });
      await until(() => node.environment.traffic.framesIn > framesIn);
      for (let i = 0; i < 100; i++) expect(node.send('n3', 'raft', Buffer.from('x'))).toBe(true);
      sent += 100;
      expect(String(await node.request('n3', 'raft', []))).toBe('yes');
      clock.advance(HEARTBEAT_MS);
    }
    expect(await waiting).toMatchObject({ code: 'peer-unreachable' });
    expect(Object.fromEntries(node.environment.rejections.counts())).toEqual({ 'write-stalled': 1 });
    expect([atGood, sent]).toEqual([300, 300]);
    expect(node.inspect().links.get('n2')?.budgets.control.bytes).toBe(0);
  });

  it('fails who waits for room in any lane when the connection is lost, or when this node stops', async () => {
    for (const end of ['lost', 'stopped'] as const) {
      const { node, far } = await nodeWithRawPeer();
      await fill(node, 'bulk');
      const waiting = node.drained('n2', 'bulk').catch((error: unknown) => error);
      if (end === 'lost') far.control.destroy();
      else {
        const closed = node.close();
        far.bulk?.destroy();
        await closed;
      }
      expect(await waiting).toMatchObject({ code: 'peer-unreachable' });
    }
  });

  it('fails what was asked of it: as perhaps handled what it may have seen, as undelivered what it cannot', async () => {
    const { node, clock, far } = await nodeWithRawPeer();
    far.control.socket.pause();
    const seen = node.request('n2', 'raft', []).catch((error: unknown) => error);
    await until(() => node.environment.memory.bytes === 0);
    await fill(node, 'control');
    node.limits.apply({ maxLaneQueueBytes: 2 * QUEUE_BYTES });
    const unseen = node.request('n2', 'raft', [], { timeoutMs: 1e9 }).catch((error: unknown) => error);
    far.control.destroy();
    expect(await seen).toMatchObject({ code: 'peer-disconnected', retryable: false });
    expect(await unseen).toMatchObject({ code: 'peer-unreachable', retryable: true });
    expect(clock.pendingTimers().length).toBeLessThan(4);
  });

  it('of its replies is not read from either, keeps its connection while it reads slowly, and gets them all', async () => {
    const { node, clock } = await nodeWithRawPeer();
    // Ten looks without a byte written are allowed, but only two of silence.
    node.limits.apply({ writeStallTimeoutMs: 10 * HEARTBEAT_MS });
    let handled = 0;
    node.handle('large', {
      onRequest: async () => {
        handled++;
        return Buffer.alloc(16 * KIBIBYTE);
      },
    });
    const asker = await RawPeer.connect(node.port);
    cleanups.push(() => asker.destroy());
    asker.send(FrameType.hello, { payload: helloOf('n2', 'n1') });
    await asker.received(FrameType.welcome);
    asker.socket.pause();
    const total = 3_000;
    asker.send(FrameType.bind, { channel: 1, payload: Buffer.from('large') });
    for (let i = 1; i <= total; i++) {
      asker.send(FrameType.request, { channel: 1, correlation: i, payload: Buffer.alloc(4 * KIBIBYTE) });
    }
    let [before, still] = [-1, 0];
    await until(() => {
      still = handled === before && handled > 0 ? still + 1 : 0;
      before = handled;
      return still === 50;
    });
    expect(handled).toBeLessThan(total);
    // One chunk of requests may have come in together when the bound was reached.
    expect(node.environment.memory.bytes).toBeLessThan(QUEUE_BYTES + 64 * 16 * KIBIBYTE);
    for (let look = 0; look < 5; look++) {
      for (const peer of ['n2', 'n3']) await node.request(peer, 'none', []).catch(() => {});
      clock.advance(HEARTBEAT_MS);
    }
    expect(asker.closed).toBe(false);
    asker.socket.resume();
    await until(
      () => asker.closed || asker.frames.filter(({ type }) => type === FrameType.reply).length === total,
    );
    expect(asker.closed).toBe(false);
    expect(handled).toBe(total);
  });
});
