// Breakers of two nodes over real sockets: told when they change, and told again when the connection comes back.

import { afterEach, expect, it } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { readPolicyDocument } from '#resilience/policy/document.js';
import { ResilienceService } from '#resilience/policy/resilience-service.js';
import { STRATEGY_CLASSES } from '#resilience/policy/strategy-classes.js';
import { CIRCUIT_CHANNEL, CircuitSharing } from '#resilience/sharing/circuit-sharing.js';
import { serviceBreakers } from '#resilience/sharing/service-breakers.js';
import { TcpPeerTransport } from '../../packages/plugin-cluster/src/tcp-peer-transport.js';
import {
  freeAddresses,
  memoryLog,
  transportOptions,
  until,
} from '../../packages/plugin-cluster/src/testing.test.kit.js';

/** Stands still unless a test turns it: breaks do not end because the machine is slow. */
const clock = new FakeClock({ now: 1_000 });
const open: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Node {
  readonly service: ResilienceService;
  readonly sharing: CircuitSharing;
  readonly transport: TcpPeerTransport;
  fail(key: string): Promise<void>;
  state(key: string): string | undefined;
}

async function start(id: string, addresses: Readonly<Record<string, string>>): Promise<Node> {
  const transport = new TcpPeerTransport(transportOptions(id, addresses));
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES });
  const window = { kind: 'consecutive', failures: 2 };
  service.set(
    readPolicyDocument({
      name: 'peer-rpc',
      strategies: [{ type: 'circuit-breaker', window, breakMs: 10_000 }],
    }),
  );
  const sharing = new CircuitSharing({
    nodeId: id,
    events: service,
    breakers: serviceBreakers(service),
    bus: { publish: () => true },
    transport,
    clock,
    log: memoryLog(),
  });
  open.push(async () => {
    sharing[Symbol.dispose]();
    service.dispose();
    await transport.close();
  });
  await transport.start();
  return {
    service,
    sharing,
    transport,
    fail: async (key) => {
      for (let n = 0; n < 2; n++) {
        await service.execute('peer-rpc', () => Promise.reject(new Error('down')), { key }).catch(() => {});
      }
    },
    state: (key) => service.breakers('peer-rpc', key)[0]?.view(clock.now()).state,
  };
}

it('open together, let each other probe, and survive nonsense and a lost connection', async () => {
  const addresses = await freeAddresses(['a', 'b']);
  const a = await start('a', addresses);
  const b = await start('b', addresses);
  await until(() => a.sharing.counters().received > 0 && b.sharing.counters().received > 0);

  // Given that it opens on one node, it opens on the other.
  await a.fail('x');
  await until(() => b.state('x') === 'open');

  // And when it closes there, a probe may be made here.
  clock.advance(9_000);
  a.service.reset('peer-rpc', 'x');
  await until(() => b.state('x') === 'half-open');

  // What is nonsense is refused, and the connection goes on.
  a.transport.send('b', CIRCUIT_CHANNEL, Buffer.from('nonsense'));
  await until(() => b.sharing.counters().refused === 1);
  await a.fail('y');
  await until(() => b.state('y') === 'open');

  // A node that was away is told what is open when it is back, and its own first change is heard.
  b.sharing[Symbol.dispose]();
  await b.transport.close();
  await until(() => a.transport.peers()[0]?.state === 'disconnected');
  await a.fail('z');
  const again = await start('b', addresses);
  await until(() => again.state('y') === 'open' && again.state('z') === 'open');
  await again.fail('x');
  await until(() => a.state('x') === 'open');
  expect([a, again].map(({ sharing }) => sharing.counters().refused)).toEqual([0, 0]);
});
