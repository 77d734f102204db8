// What becomes of a peer that is a real process: stopped, continued, killed, started again, ended in good order. The
// node under test runs the cluster plugin here, on a clock that the test turns.

import { CLUSTER_DIRECTORY, MembershipChanged, PEER_TRANSPORT } from '@datawarehouse/sdk';
import type { IClusterDirectory, IPeerTransport } from '@datawarehouse/sdk';
import type { TestHost } from '@datawarehouse/sdk/testing';
import { createTestHost } from '@datawarehouse/sdk/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ClusterPlugin } from '../../packages/plugin-cluster/src/cluster-plugin.js';
import { freeAddresses } from '../../packages/plugin-cluster/src/testing.test.kit.js';
import { TestProcess } from '../support/processes.js';

const HEARTBEAT_MS = 500;

let host: TestHost;
let transport: IPeerTransport;
let directory: IClusterDirectory;
let addresses: Record<string, string>;
let member: TestProcess;
let events: string[];

async function startMember(): Promise<void> {
  const order = JSON.stringify({ id: 'n2', peers: addresses });
  member = TestProcess.start('n2', process.execPath, ['tests/cluster/member.mjs', order]);
  await member.until('listening');
}

beforeEach(async () => {
  events = [];
  addresses = await freeAddresses(['n1', 'n2']);
  const [name = '', port = ''] = (addresses['n1'] ?? '').split(':');
  host = await createTestHost(ClusterPlugin, {
    node: {
      nodeId: 'n1',
      clusterId: 'test-cluster',
      peer: { host: name, port: Number(port) },
      peers: addresses,
    },
  });
  host.bus.subscribe(MembershipChanged, ({ payload }) => {
    events.push(`${payload.nodeId} ${payload.action}`);
  });
  const services = [host.service(PEER_TRANSPORT), host.service(CLUSTER_DIRECTORY)] as const;
  if (services[0] === undefined || services[1] === undefined) throw new Error('the plugin provides both');
  [transport, directory] = services;
  await startMember();
});

afterEach(async () => {
  await member.kill();
  await host.stop();
  host.assertNoFailures();
  host.assertNoLeaks();
});

/** Lets heartbeats pass, with turns of the real event loop in between, until the condition holds. */
async function pass(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await host.advance(HEARTBEAT_MS);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

const isConnected = (): boolean => transport.peers()[0]?.state === 'connected';
const n2 = () => directory.node('n2');

async function expectEcho(): Promise<void> {
  expect(String(await transport.request('n2', 'echo', Buffer.from('hello'), { timeoutMs: 1e9 }))).toBe(
    'hello',
  );
}

/** A request that the member has for certain and will not answer. */
async function inFlight(): Promise<{ readonly failure: Promise<unknown> }> {
  const failure = transport
    .request('n2', 'never', [], { timeoutMs: 1e9 })
    .then(() => 'a reply')
    .catch((error: unknown) => error);
  await expectEcho();
  return { failure };
}

it('a process that is stopped is declared disconnected and its requests fail; continued, it is back', async () => {
  await pass(isConnected);
  expect(n2()).toMatchObject({ state: 'alive', pid: member.child.pid, version: '1.2.3' });
  const { failure } = await inFlight();

  member.signal('SIGSTOP');
  await pass(() => !isConnected());
  expect(await failure).toMatchObject({ code: 'peer-disconnected', retryable: false });
  expect(n2()?.state).toBe('suspected');
  expect(transport.send('n2', 'echo', Buffer.from('x'))).toBe(false);
  await expect(transport.request('n2', 'echo', [])).rejects.toMatchObject({ code: 'peer-unreachable' });
  await pass(() => n2()?.state === 'unreachable');
  expect(host.plugin.checkHealthAsync()).toMatchObject({ status: 'degraded' });

  member.signal('SIGCONT');
  await pass(isConnected);
  await expectEcho();
  await pass(() => events.length === 3);
  expect(events).toEqual(['n2 joined', 'n2 suspected', 'n2 recovered']);
  expect(n2()).toMatchObject({ state: 'alive', pid: member.child.pid });
});

it('a process that is killed is missed at once; started again, it is a new one in its old place', async () => {
  await pass(isConnected);
  const { failure } = await inFlight();
  const before = member.child.pid;

  await member.kill();
  // No heartbeat is needed: its end is seen on the connection.
  expect(await failure).toMatchObject({ code: 'peer-disconnected' });
  expect(isConnected()).toBe(false);

  await startMember();
  await pass(isConnected);
  await expectEcho();
  await pass(() => events.length === 3);
  expect(events).toEqual(['n2 joined', 'n2 suspected', 'n2 recovered']);
  expect(n2()?.pid).toBe(member.child.pid);
  expect(n2()?.pid).not.toBe(before);
});

it('a process that ends in good order has left, and joins again when it is started', async () => {
  await pass(isConnected);
  member.signal('SIGTERM');
  expect(await member.exited).toEqual({ code: 0, signal: null });
  await pass(() => !isConnected() && events.length === 2);
  expect(n2()?.state).toBe('left');

  await startMember();
  await pass(isConnected);
  await pass(() => events.length === 3);
  expect(events).toEqual(['n2 joined', 'n2 left', 'n2 joined']);
});
