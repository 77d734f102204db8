// Who is let in at the client port of a real node: with token and TLS as HTTP has them, and within its bounds.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from '@datawarehouse/client';
import type { ClientOptions, DwClient } from '@datawarehouse/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { selfSigned } from '../support/self-signed.js';

const TOKEN = 'a-token-of-some-length';

let cluster: TestCluster;
const clients: DwClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await cluster.stop();
});

async function open(options: Partial<ClientOptions> = {}): Promise<DwClient> {
  const endpoints = cluster.nodes.map(({ clientPort }) => `127.0.0.1:${clientPort}`);
  const client = await connect({ endpoints, connectTimeoutMs: 5_000, ...options });
  clients.push(client);
  return client;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'accepted',
    (error: { code: string }) => error.code,
  );

describe('a node with token and TLS', () => {
  beforeEach(async () => {
    cluster = await TestCluster.create({
      nodes: 1,
      proxied: false,
      http: async (directory) => {
        const { cert, key } = selfSigned();
        await writeFile(join(directory, 'cert.pem'), cert);
        await writeFile(join(directory, 'key.pem'), key);
        return { token: TOKEN, tls: { cert: 'cert.pem', key: 'key.pem' } };
      },
    });
    for (const { id } of cluster.nodes) cluster.launch(id);
  });

  it('serves who has both, and nobody else', async () => {
    const tls = { ca: join(cluster.directory, 'cert.pem') };
    let client: DwClient | undefined;
    // The node is starting: its port opens when its plugins are up.
    while (client === undefined) {
      const tried = await open({ tls, token: TOKEN }).catch((error: { code: string }) => {
        if (error.code !== 'unreachable') throw error;
      });
      client = tried ?? undefined;
      if (client === undefined) await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await client.put('secret', 'kept');
    expect((await client.get('secret'))?.value.toString()).toBe('kept');

    expect(await codeOf(open({ tls, token: 'another-token-of-that-length' }))).toBe('client-unauthorized');
    expect(await codeOf(open({ tls }))).toBe('client-unauthorized');
    expect(await codeOf(open({ tls: true, token: TOKEN }))).toBe('unreachable');
    expect(await codeOf(open({ token: TOKEN }))).toBe('unreachable');
  });
});

describe('nodes without either', () => {
  beforeEach(async () => {
    cluster = await TestCluster.create({ proxied: false });
    await cluster.start();
  });

  it('serve who knows one of them, and refuse who means another cluster', async () => {
    const [first] = cluster.nodes;
    const client = await open({ endpoints: [`127.0.0.1:${first?.clientPort}`] });
    const keys = Array.from({ length: 60 }, (_, n) => `key-${n}`);
    await Promise.all(keys.map((key) => client.put(key, key)));
    const found = await Promise.all(keys.map((key) => client.get(key)));
    expect(found.map((entry) => entry?.value.toString())).toEqual(keys);
    expect(await codeOf(open({ clusterId: 'another' }))).toBe('client-cluster-mismatch');
    expect(await codeOf(open({ endpoints: ['127.0.0.1:1'] }))).toBe('unreachable');
  });

  it('take large values and many calls, and refuse what is too large', async () => {
    const client = await open();
    const large = Buffer.alloc(4 * 1_024 * 1_024, 'x');
    await client.put('large', large);
    expect((await client.get('large'))?.value.equals(large)).toBe(true);
    expect(await codeOf(client.put('larger', Buffer.alloc(large.length + 1)))).toBe('value-too-large');
    const writes = Array.from({ length: 6_000 }, (_, n) => client.put(`many-${n % 500}`, `v${n}`));
    expect((await Promise.all(writes)).length).toBe(6_000);
  });
});
