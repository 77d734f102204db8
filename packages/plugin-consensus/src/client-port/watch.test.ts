// Watches at the port: each change once, in order, from any place to go on from, at the pace of who reads.

import { afterEach, describe, expect, it } from 'vitest';
import type { ClientOperation } from '@datawarehouse/sdk/client-protocol';
import { readChanges, readError } from '@datawarehouse/sdk/client-protocol';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { draining } from '../errors.js';
import { CLIENT_PORT_LIMITS } from './client-port-limits.js';
import { ClientPort } from './client-port.js';
import { BareClient, FakeBackend, SILENT } from './testing.test.kit.js';

const opened: { port: ClientPort; client: BareClient }[] = [];

async function serve(limits = {}): Promise<{ backend: FakeBackend; port: ClientPort; client: BareClient }> {
  const clock = new FakeClock();
  const backend = new FakeBackend(clock);
  const port = new ClientPort({
    endpoint: { host: '127.0.0.1', port: 0 },
    clusterId: 'c',
    backend,
    clock,
    log: SILENT,
    addresses: () => ({}),
    limits: { ...CLIENT_PORT_LIMITS, ...limits },
  });
  const client = await BareClient.welcome(await port.listen());
  opened.push({ port, client });
  return { backend, port, client };
}

afterEach(async () => {
  for (const { port, client } of opened.splice(0)) {
    client.close();
    await port.stop(draining());
  }
});

const watch = (prefix: string, after?: number): ClientOperation => ({
  op: 'watch',
  group: 'g',
  prefix,
  after,
});

/** What a watch was told so far: `key@version` in order, and how far it reaches. */
function told(client: BareClient, id: number): { changes: string[]; through: number } {
  const events = client.answers.filter((answer) => answer.id === id && answer.status === 'event');
  const read = events.map(({ body }) => readChanges(body));
  return {
    changes: read.flatMap(({ changes }) => changes.map(({ key, version }) => `${key}@${version}`)),
    through: read.at(-1)?.through ?? -1,
  };
}

describe('a watch', () => {
  it('tells what changes from now on, and only keys with its prefix', async () => {
    const { backend, client } = await serve();
    backend.change('a/0', 'before');
    client.ask(1, watch('a/'));
    await client.until(() => told(client, 1).through === 1);
    backend.change('b/1', 'x');
    backend.change('a/2', 'x');
    backend.change('a/3', 'x');
    await client.until(() => told(client, 1).through === 4);
    expect(told(client, 1).changes).toEqual(['a/2@3', 'a/3@4']);
  });

  it('goes on right after the place that it is given', async () => {
    const { backend, client } = await serve();
    for (let n = 1; n <= 600; n++) backend.change(`k${n}`, 'x');
    client.ask(1, watch('k', 250));
    await client.until(() => told(client, 1).through === 600);
    expect(told(client, 1).changes).toEqual(Array.from({ length: 350 }, (_, n) => `k${n + 251}@${n + 251}`));
  });

  it('is told where it is, also when none of its keys changes for long', async () => {
    const { backend, client } = await serve();
    client.ask(1, watch('quiet'));
    await client.until(() => told(client, 1).through === 0);
    for (let n = 1; n <= 1_000; n++) backend.change(`k${n}`, 'x');
    await client.until(() => told(client, 1).through === 1_000);
    expect(told(client, 1).changes).toEqual([]);
  });

  it('whose place is not kept any more is told so: nothing is passed over in silence', async () => {
    const { backend, client } = await serve();
    for (let n = 1; n <= 10; n++) backend.change(`k${n}`, 'x');
    backend.compactedTo = 5;
    client.ask(1, watch('k', 4), watch('k', 5));
    await client.until(
      () => told(client, 2).through === 10 && client.answers.some(({ status }) => status === 'error'),
    );
    const refusal = client.answers.find(({ status }) => status === 'error');
    expect(refusal?.id).toBe(1);
    expect(readError(refusal?.body ?? Buffer.alloc(0)).code).toBe('version-compacted');
    expect(told(client, 2).changes).toHaveLength(5);
  });

  it('ends when its node does not lead any more, and says who does', async () => {
    const { backend, port, client } = await serve();
    client.ask(1, watch('k'));
    await client.until(() => told(client, 1).through === 0);
    backend.leaderId = 'n2';
    port.topologyChanged();
    await client.until(() => client.answers.some(({ status }) => status === 'error'));
    expect(readError(client.answers.at(-1)?.body ?? Buffer.alloc(0))).toMatchObject({
      code: 'not-leader',
      details: { leaderId: 'n2' },
    });
    expect(backend.listeners.size).toBe(0);
  });

  it('waits for a reader that is slow, and then goes on where it was', async () => {
    const { backend, client } = await serve({ pauseBytes: 100_000 });
    client.ask(1, watch('k'));
    await client.until(() => told(client, 1).through === 0);
    client.socket.pause();
    const value = 'x'.repeat(50_000);
    for (let n = 1; n <= 200; n++) backend.change(`k${n}`, value);
    client.socket.resume();
    await client.until(() => told(client, 1).through === 200);
    expect(told(client, 1).changes).toEqual(Array.from({ length: 200 }, (_, n) => `k${n + 1}@${n + 1}`));
  });

  it('is given up with its request or its connection, and bounded in number', async () => {
    const { backend, port, client } = await serve({ maxWatches: 2 });
    client.ask(1, watch('a'), watch('b'));
    await client.until(() => told(client, 1).through === 0 && told(client, 2).through === 0);
    client.ask(3, watch('c'));
    await client.until(() => client.answers.some(({ id }) => id === 3));
    expect(readError(client.answers.at(-1)?.body ?? Buffer.alloc(0)).code).toBe('overloaded');
    client.ask(4, { op: 'cancel', target: 1 });
    await client.until(() => client.answers.some(({ id, status }) => id === 1 && status === 'error'));
    expect(backend.listeners.size).toBe(1);
    client.close();
    while (port.counters.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(backend.listeners.size).toBe(0);
    expect(port.counters.requests).toBe(0);
  });
});
