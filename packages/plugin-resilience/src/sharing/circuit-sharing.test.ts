// Breakers of several nodes on a network in memory, with real policies on each.

import { afterEach, describe, expect, it } from 'vitest';
import { MAX_LAMPORT, encodeCircuitMessage } from './circuit-notice.js';
import type { CircuitNotice } from './circuit-notice.js';
import { CIRCUIT_CHANNEL } from './circuit-sharing.js';
import type { Node } from './sharing.test.kit.js';
import { cluster, startNode, stopNodes } from './sharing.test.kit.js';

afterEach(stopNodes);

const NOTICE: CircuitNotice = {
  policy: 'peer-rpc',
  strategy: 'circuit-breaker',
  key: 'k',
  state: 'open',
  lamport: 1,
  breakMs: 500,
  reason: 'it fails',
};

function notify(from: Node, to: Node, notice: Partial<CircuitNotice>): void {
  const payload = encodeCircuitMessage({ kind: 'notices', notices: [{ ...NOTICE, ...notice }] });
  from.transport.send(to.id, CIRCUIT_CHANNEL, payload);
}

describe('two nodes', () => {
  it('open together, also for a key that one has not used; a close only lets the other probe', async () => {
    const { clock, network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    await a.fail(2);
    network.deliverAll();
    expect([a.state(), b.state()]).toEqual(['open', 'open']);
    clock.advance(1_000);
    await a.succeed();
    expect(a.state()).toBe('closed');
    network.deliverAll();
    expect(b.state()).toBe('half-open');
    await b.succeed();
    expect(b.state()).toBe('closed');
  });

  it('let a probe through before the break is over when the other has closed', async () => {
    const { network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    await a.fail(2);
    network.deliverAll();
    a.service.reset('peer-rpc', 'k', 'it is fixed');
    await Promise.resolve();
    network.deliverAll();
    expect([a.state(), b.state()]).toEqual(['closed', 'half-open']);
  });

  it('say on their buses what has changed, with the stamp and the node where it began', async () => {
    const { network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    await a.fail(2);
    network.deliverAll();
    await Promise.resolve();
    const common = {
      topic: 'dw.resilience.circuit-breaker.state',
      policy: 'peer-rpc',
      key: 'k',
      strategy: 'circuit-breaker',
      previousState: 'closed',
      newState: 'open',
      breakMs: 1_000,
      lamport: 1,
      nodeId: 'a',
    };
    const reason = '2 calls failed in a row (the last one with Error)';
    expect(a.bus).toEqual([{ ...common, reason, source: 'calls' }]);
    expect(b.bus).toEqual([{ ...common, reason: `node a: ${reason}`, source: 'remote' }]);
  });

  it('do not send on what they were told (weakness elsewhere: it echoed)', async () => {
    const { network, nodes } = cluster(['a', 'b', 'c']);
    const [a, b, c] = nodes as [Node, Node, Node];
    const before = [b, c].map(({ sharing }) => sharing.counters().sent);
    await a.fail(2);
    network.deliverAll();
    await Promise.resolve();
    expect(network.deliverAll()).toBe(0);
    expect([b.state(), c.state()]).toEqual(['open', 'open']);
    expect([b, c].map(({ sharing }) => sharing.counters().sent)).toEqual(before);
  });

  it('take news of one key while another has changed a thousand times', async () => {
    const { clock, network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    for (let n = 0; n < 300; n++) {
      await a.fail(2, 'busy');
      clock.advance(1_000);
      await a.succeed('busy');
    }
    network.deliverAll();
    await b.fail(2, 'quiet');
    network.deliverAll();
    expect(a.state('quiet')).toBe('open');
  });

  it('keep what is isolated as it is', async () => {
    const { network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    b.service.isolate('peer-rpc', 'k', 'maintenance');
    await a.fail(2);
    network.deliverAll();
    expect(b.state()).toBe('isolated');
    a.service.reset('peer-rpc', 'k');
    await Promise.resolve();
    network.deliverAll();
    expect(b.state()).toBe('isolated');
  });

  it('keep to themselves what is not to be shared', async () => {
    const { network, nodes } = cluster(['a', 'b'], { share: false });
    const [a, b] = nodes as [Node, Node];
    await a.fail(2);
    notify(a, b, { lamport: 50 });
    network.deliverAll();
    expect(a.state()).toBe('open');
    expect(b.state()).not.toBe('open');
    expect(a.bus).toHaveLength(1);
    expect(b.sharing.counters()).toMatchObject({ received: 2, applied: 0, stamps: 0 });
  });
});

describe('lost and late messages', () => {
  it('that are older than what is known change nothing', async () => {
    const { network, nodes } = cluster(['a', 'b', 'c']);
    const [a, b, c] = nodes as [Node, Node, Node];
    notify(a, c, { state: 'open', lamport: 5 });
    notify(b, c, { state: 'closed', lamport: 6 });
    network.deliverAll();
    expect(c.state()).toBe('half-open');
    notify(a, c, { state: 'open', lamport: 5 });
    notify(a, c, { state: 'open', lamport: 6 });
    network.deliverAll();
    expect(c.state()).toBe('half-open');
    expect(c.sharing.counters().stale).toBe(2);
    notify(a, c, { state: 'open', lamport: 7 });
    network.deliverAll();
    expect(c.state()).toBe('open');
  });

  it('are made up for when nodes connect: what is open is told, with the time that is left', async () => {
    const { clock, network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    network.partition('a', 'b');
    await a.fail(2);
    clock.advance(400);
    network.heal();
    network.deliverAll();
    expect(b.state()).toBe('open');
    expect(b.service.breakers('peer-rpc', 'k')[0]?.view(clock.now()).remainingMs).toBe(600);
  });

  it('are made up for after a queue was full', async () => {
    const { clock, network, nodes } = cluster(['a', 'b'], { queueCapacity: 4 });
    const [a, b] = nodes as [Node, Node];
    for (let n = 0; n < 4; n++) a.transport.send('b', 'elsewhere', Buffer.of(1));
    await a.fail(2);
    expect(a.sharing.counters().unsent).toBe(1);
    network.deliverAll();
    expect(b.state()).toBeUndefined();
    // The break is as long as the wait: a longer one shows it.
    await a.fail(2, 'later');
    clock.advance(999);
    network.deliverAll();
    expect(b.state('later')).toBe('open');
    await a.fail(2, 'other');
    clock.advance(1);
    network.deliverAll();
    expect(b.state('other')).toBe('open');
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('of a node before it was restarted do not make it unheard', async () => {
    const { clock, network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    for (let n = 0; n < 5; n++) {
      await a.fail(2);
      clock.advance(1_000);
      await a.succeed();
    }
    network.deliverAll();
    await b.succeed();
    a.sharing[Symbol.dispose]();
    a.transport.close();
    const again = startNode('a', network, clock);
    network.deliverAll();
    await again.fail(2);
    network.deliverAll();
    expect(b.state()).toBe('open');
  });
});

describe('hostile messages', () => {
  it('are refused, counted, and logged once in a while', async () => {
    const { clock, network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    for (let n = 0; n < 100; n++) a.transport.send('b', CIRCUIT_CHANNEL, Buffer.of(1, 1, 255, 255));
    network.deliverAll();
    expect(b.sharing.counters()).toMatchObject({ refused: 100 });
    expect(b.warnings).toHaveLength(1);
    clock.advance(60_000);
    a.transport.send('b', CIRCUIT_CHANNEL, Buffer.of(9));
    network.deliverAll();
    expect(b.warnings).toHaveLength(2);
  });

  it('with the highest stamp there is are refused and counted, and honest changes are heard as before', async () => {
    const { clock, network, nodes } = cluster(['a', 'b', 'c']);
    const [a, b, c] = nodes as [Node, Node, Node];
    notify(a, b, { lamport: MAX_LAMPORT });
    a.transport.send('b', CIRCUIT_CHANNEL, encodeCircuitMessage({ kind: 'hello', highest: MAX_LAMPORT }));
    network.deliverAll();
    expect(b.state()).not.toBe('open');
    expect(b.sharing.counters()).toMatchObject({ refused: 2, ahead: 2, applied: 0 });
    expect(b.warnings).toHaveLength(1);
    // b was pushed as far as may be: its next change is too far ahead of the others by one, who come nearer by it.
    await b.fail(2);
    network.deliverAll();
    expect(c.sharing.counters()).toMatchObject({ ahead: 1 });
    clock.advance(1_000);
    await b.fail(1);
    network.deliverAll();
    expect([a.state(), b.state(), c.state()]).toEqual(['open', 'open', 'open']);
    clock.advance(1_000);
    await c.succeed();
    await c.fail(2);
    network.deliverAll();
    expect(b.state()).toBe('open');
  });

  it('with a stamp that is high for one key on one node make the others’ news of it unheard for a moment only', async () => {
    const { clock, network, nodes } = cluster(['a', 'b', 'c']);
    const [a, b, c] = nodes as [Node, Node, Node];
    notify(a, b, { state: 'closed', lamport: 1 });
    await b.succeed();
    notify(a, b, { state: 'closed', lamport: 1_000_000 });
    network.deliverAll();
    await c.fail(2);
    network.deliverAll();
    // To b this is old news; c hears how high stamps have come.
    expect(b.state()).toBe('closed');
    expect(b.sharing.counters()).toMatchObject({ stale: 1 });
    clock.advance(1_000);
    network.deliverAll();
    await c.fail(1);
    network.deliverAll();
    expect(b.state()).toBe('open');
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('that name what is not here leave no trace', async () => {
    const { network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    for (let n = 0; n < 50; n++) {
      notify(a, b, { policy: `p${n}` });
      notify(a, b, { strategy: `s${n}` });
      notify(a, b, { state: 'closed', key: `k${n}` });
    }
    network.deliverAll();
    expect(b.sharing.counters()).toMatchObject({ received: 151, stamps: 0, applied: 0 });
  });

  it('do not make more keys than there may be', async () => {
    const { network, nodes } = cluster(['a', 'b']);
    const [a, b] = nodes as [Node, Node];
    b.service.setMaxCacheEntries(10);
    for (let n = 0; n < 50; n++) notify(a, b, { key: `k${n}` });
    network.deliverAll();
    expect(b.service.instances.size).toBe(10);
    expect(b.sharing.counters().applied).toBe(10);
  });
});

it('leaves nothing behind when it is disposed of', async () => {
  const { clock, network, nodes } = cluster(['a', 'b']);
  const [a, b] = nodes as [Node, Node];
  a.sharing[Symbol.dispose]();
  expect(a.transport.leftovers()).toEqual({ handlers: 0, listeners: 0, requests: 0 });
  await a.fail(2);
  await b.fail(2, 'other');
  network.deliverAll();
  expect([b.state(), a.state('other')]).toEqual([undefined, undefined]);
  expect(clock.pendingTimers()).toEqual([]);
});
