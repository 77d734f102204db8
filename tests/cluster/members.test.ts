// Peers that become members and cease to be while the nodes run, over real sockets.

import { MAX_CLUSTER_NODES } from '@datawarehouse/sdk';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TcpPeerTransport } from '../../packages/plugin-cluster/src/tcp-peer-transport.js';
import {
  freeAddresses,
  transportOptions,
  until,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';

let addresses: Record<string, string>;
let n1: TcpPeerTransport;
let n2: TcpPeerTransport;
const extra: TcpPeerTransport[] = [];

/** A node that knows nobody yet. */
async function alone(id: string, peers = addresses): Promise<TcpPeerTransport> {
  const transport = new TcpPeerTransport(transportOptions(id, { [id]: peers[id] ?? '' }));
  transport.handle('echo', { onRequest: async (_from, payload) => Buffer.from(payload) });
  // Never answered: what becomes of it when the peer is dismissed is what a test wants to know.
  transport.handle('never', { onRequest: () => new Promise<Uint8Array>(() => {}) });
  await transport.start();
  return transport;
}

function connected(transport: TcpPeerTransport, peer: string): boolean {
  return transport.peers().some(({ id, state }) => id === peer && state === 'connected');
}

function rejects(transport: TcpPeerTransport): number {
  return transport.environment.rejections.counts().get('unknown-node') ?? 0;
}

async function acquainted(): Promise<void> {
  n1.admit('n2', addresses['n2'] ?? '');
  n2.admit('n1', addresses['n1'] ?? '');
  await until(() => connected(n1, 'n2') && connected(n2, 'n1'));
}

beforeEach(async () => {
  addresses = await freeAddresses(['n1', 'n2', 'moved']);
  [n1, n2] = [await alone('n1'), await alone('n2')];
});

afterEach(async () => {
  await Promise.all([n1, n2, ...extra.splice(0)].map((transport) => transport.close()));
});

it('connects nodes that admit each other, in both directions and lanes', async () => {
  const told: string[] = [];
  n1.onPeerStateChanged((peer, state) => told.push(`${peer} ${state}`));
  await acquainted();
  expect((await n1.request('n2', 'echo', Buffer.from('a'))).toString()).toBe('a');
  expect((await n2.request('n1', 'echo', Buffer.from('b'), { lane: 'bulk' })).toString()).toBe('b');
  expect(told).toEqual(['n2 connected']);
});

it('refuses a node that it has not admitted, however much that one believes to be a member', async () => {
  n2.admit('n1', addresses['n1'] ?? '');
  await until(() => rejects(n1) > 0);
  expect(connected(n2, 'n1')).toBe(false);
  expect(n1.inspect().inbound.size).toBe(0);
  // Admitted later, it gets in by itself.
  n1.admit('n2', addresses['n2'] ?? '');
  await until(() => connected(n2, 'n1') && connected(n1, 'n2'));
});

it('makes a dismissed peer a stranger: its requests fail, its connections close, and it is refused', async () => {
  await acquainted();
  const told: string[] = [];
  n1.onPeerStateChanged((peer, state) => told.push(`${peer} ${state}`));
  const control = n1.request('n2', 'never', []).catch((error: unknown) => error);
  const bulk = n1.request('n2', 'never', [], { lane: 'bulk' }).catch((error: unknown) => error);
  await n1.request('n2', 'echo', []);
  await n1.request('n2', 'echo', [], { lane: 'bulk' });
  expect(n1.dismiss('n2')).toBe(true);
  expect(await control).toMatchObject({ code: 'peer-disconnected' });
  // Which of its bulk connections had been written to does not matter: it fails with one of the two.
  expect(await bulk).toMatchObject({ code: expect.stringMatching(/^peer-(disconnected|unreachable)$/) });
  expect(told).toEqual(['n2 disconnected']);
  expect(n1.peers()).toEqual([]);
  expect(() => n1.send('n2', 'echo', [])).toThrow(expect.objectContaining({ code: 'peer-unknown' }));
  await until(() => rejects(n1) > 0 && n1.inspect().inbound.size === 0);
  expect(connected(n2, 'n1')).toBe(false);
  expect(n1.dismiss('n2')).toBe(false);
});

it('takes a dismissed peer back when it is admitted again', async () => {
  await acquainted();
  n1.dismiss('n2');
  n1.admit('n2', addresses['n2'] ?? '');
  await until(() => connected(n1, 'n2'));
  expect((await n1.request('n2', 'echo', Buffer.from('again'))).toString()).toBe('again');
});

it('dials a member at its new address once it has moved', async () => {
  await acquainted();
  await n2.close();
  const moved = new TcpPeerTransport(
    transportOptions('n2', { n2: addresses['moved'] ?? '', n1: addresses['n1'] ?? '' }),
  );
  extra.push(moved);
  await moved.start();
  n1.admit('n2', addresses['moved'] ?? '');
  await until(() => connected(n1, 'n2') && connected(moved, 'n1'));
  expect(n1.peers().map(({ endpoint }) => endpoint)).toEqual([addresses['moved']]);
});

it('admits no more than a cluster can have, and no address that is none', async () => {
  expect(() => n1.admit('n2', 'nowhere')).toThrow(expect.objectContaining({ code: 'peer-address-invalid' }));
  expect(n1.peers()).toEqual([]);
  // Nobody listens there; dialling is what is bounded here, not reaching.
  for (let n = 2; n <= MAX_CLUSTER_NODES; n++) n1.admit(`m${n}`, '127.0.0.1:1');
  expect(() => n1.admit('n2', addresses['n2'] ?? '')).toThrow(
    expect.objectContaining({ code: 'cluster-full' }),
  );
  expect(n1.peers()).toHaveLength(MAX_CLUSTER_NODES - 1);
});
