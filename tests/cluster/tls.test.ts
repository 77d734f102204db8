// Mutual TLS between nodes: who has no certificate of our authority, or one of another node, is not let in; and each is
// counted once, by what was wrong.

import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { TcpPeerTransport } from '../../packages/plugin-cluster/src/tcp-peer-transport.js';
import {
  freeAddresses,
  transportOptions,
  until,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';
import type { TlsMaterial } from '../../packages/plugin-cluster/src/tls-material.js';
import { readTlsMaterial } from '../../packages/plugin-cluster/src/tls-material.js';
import { FrameType } from '../../packages/plugin-cluster/src/wire/frame.js';
import { certificateAuthority } from '../support/self-signed.js';
import type { CertificateAuthority, Certified } from '../support/self-signed.js';
import { RawPeer, helloOf } from './raw-peer.js';

const ours = certificateAuthority('dw test authority');
const theirs = certificateAuthority('another authority');

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function material(certified: Certified, trusted: CertificateAuthority = ours): Promise<TlsMaterial> {
  return readTlsMaterial({ ...certified, ca: trusted.cert });
}

/** Starts n1 and n2 with these certificates, none for plain TCP. */
async function pair(n1: TlsMaterial | undefined, n2: TlsMaterial | undefined, clock?: FakeClock) {
  const peers = await freeAddresses(['n1', 'n2']);
  const make = (id: string, tls: TlsMaterial | undefined): TcpPeerTransport =>
    new TcpPeerTransport(
      transportOptions(id, peers, {
        ...(tls === undefined ? {} : { tls }),
        ...(clock !== undefined && id === 'n1' ? { clock } : {}),
      }),
    );
  const transports = [make('n1', n1), make('n2', n2)] as const;
  cleanups.push(async () => {
    await Promise.all(transports.map((transport) => transport.close()));
  });
  for (const transport of transports) await transport.start();
  return transports;
}

const counted = (transport: TcpPeerTransport): string[] => [
  ...transport.environment.rejections.counts().keys(),
];
const isConnected = (transport: TcpPeerTransport): boolean => transport.peers()[0]?.state === 'connected';

describe('with certificates of one authority', () => {
  it.each([
    ['in their names', ours.issue('node', ['n1']), ours.issue('node', ['other', 'n2'])],
    ['as common names, where there are no other names', ours.issue('n1'), ours.issue('n2')],
  ])('nodes that carry their ids %s talk to each other, in both lanes', async (_where, one, two) => {
    const [n1, n2] = await pair(await material(one), await material(two));
    await until(() => isConnected(n1) && isConnected(n2));
    n2.handle('echo', { onRequest: async (_from, payload) => Buffer.from(payload) });
    const large = Buffer.alloc(3_000_000, 'x');
    expect((await n1.request('n2', 'echo', large)).equals(large)).toBe(true);
    expect((await n1.request('n2', 'echo', large, { lane: 'bulk' })).equals(large)).toBe(true);
    expect([counted(n1), counted(n2)]).toEqual([[], []]);
  });

  it('a node whose certificate is that of another node is refused, though it knows the way', async () => {
    const [n1, n2] = await pair(
      await material(ours.issue('node', ['n1'])),
      await material(ours.issue('n2', ['n3'])),
    );
    // Each meets the other's hello or welcome, and n1 refuses both.
    await until(() => (n1.environment.rejections.counts().get('tls-identity') ?? 0) >= 2);
    expect(counted(n1)).toEqual(['tls-identity']);
    expect(n1.inspect().inbound.size).toBe(0);
    expect([isConnected(n1), isConnected(n2)]).toEqual([false, false]);
  });
});

describe('without a certificate of our authority', () => {
  it('a node is refused whether it dials or is dialled', async () => {
    const [n1, n2] = await pair(
      await material(ours.issue('node', ['n1'])),
      await material(theirs.issue('node', ['n2']), ours),
    );
    await until(() => (n1.environment.rejections.counts().get('tls-failed') ?? 0) >= 2);
    expect(counted(n1)).toEqual(['tls-failed']);
    expect([isConnected(n1), isConnected(n2)]).toEqual([false, false]);
    expect(n1.inspect().inbound.size).toBe(0);
  });

  it('a plain node and one with TLS do not meet, in either direction', async () => {
    const [n1, n2] = await pair(await material(ours.issue('node', ['n1'])), undefined);
    await until(() => counted(n1).includes('tls-failed') && n2.environment.rejections.total > 0);
    expect([isConnected(n1), isConnected(n2)]).toEqual([false, false]);
    expect(n1.inspect().inbound.size + n2.inspect().inbound.size).toBe(0);
  });
});

describe('a listener with TLS', () => {
  /** n1 alone: its only peer does not listen. */
  async function listener() {
    const clock = new FakeClock();
    const [n1, n2] = await pair(
      await material(ours.issue('node', ['n1'])),
      await material(ours.issue('node', ['n2'])),
      clock,
    );
    await until(() => isConnected(n1) && isConnected(n2));
    n1.limits.apply({ heartbeatIntervalMs: 60_000 });
    return { n1, n2, clock };
  }

  it('cuts off plain TCP, and goes on serving its peer', async () => {
    const { n1, n2 } = await listener();
    const peer = await RawPeer.connect(n1.port);
    cleanups.push(() => peer.destroy());
    peer.send(FrameType.hello, { payload: helloOf('n2', 'n1') });
    await peer.gone();
    await until(() => n1.environment.rejections.total > 0);
    expect(Object.fromEntries(n1.environment.rejections.counts())).toEqual({ 'tls-failed': 1 });
    await until(() => n1.inspect().listener.pending === 0);
    expect([isConnected(n1), isConnected(n2)]).toEqual([true, true]);
  });

  it('cuts off who shows no certificate, before it can say who it is', async () => {
    const { n1 } = await listener();
    const socket = connectTls({
      port: n1.port ?? 0,
      host: '127.0.0.1',
      ca: ours.cert,
      checkServerIdentity: () => undefined,
    });
    cleanups.push(() => void socket.destroy());
    const peer = new RawPeer(socket);
    await once(socket, 'secureConnect');
    peer.send(FrameType.hello, { payload: helloOf('n2', 'n1') });
    await peer.gone();
    await until(() => n1.environment.rejections.total > 0);
    expect(peer.frames).toEqual([]);
    expect(counted(n1)).toEqual(['tls-failed']);
    expect(n1.environment.rejections.total).toBe(1);
  });

  it('waits only so long for TLS to begin, and counts that once', async () => {
    const { n1, clock } = await listener();
    const peer = await RawPeer.connect(n1.port);
    cleanups.push(() => peer.destroy());
    await until(() => n1.inspect().listener.pending === 1);
    peer.write(Buffer.from([0x16, 0x03]));
    clock.advance(2_999);
    expect(n1.environment.rejections.total).toBe(0);
    clock.advance(1);
    await peer.gone();
    await until(() => n1.inspect().listener.pending === 0);
    expect(Object.fromEntries(n1.environment.rejections.counts())).toEqual({ 'handshake-timeout': 1 });
  });
});
