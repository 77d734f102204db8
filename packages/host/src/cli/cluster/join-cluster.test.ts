// What `dw start --join` writes and asks for, against a host that answers as a test wants.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseNodeConfig } from '../../config/node-config.js';
import type { KnownNode } from './join-cluster.js';
import { joinCluster, nextIndex, portsFor } from './join-cluster.js';

let directory: string;
let server: Server;
let url: string;
let known: KnownNode[];
let asked: {
  readonly nodeId: string;
  readonly peer: string;
  readonly http: string;
  readonly client: string;
}[];
let tokens: (string | undefined)[];
/** Codes with which the next joins are refused. */
let refusals: string[];

function node(n: number, base: number): KnownNode {
  return {
    id: `n${n}`,
    peer: `127.0.0.1:${base + 100 + n - 1}`,
    http: `http://127.0.0.1:${base + n - 1}`,
    client: `127.0.0.1:${base + 200 + n - 1}`,
  };
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-join-'));
  asked = [];
  tokens = [];
  refusals = [];
  server = createServer((request, response) => {
    tokens.push(request.headers.authorization);
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const code = request.method === 'POST' ? refusals.shift() : undefined;
      response.setHeader('content-type', 'application/json');
      if (request.method === 'POST') asked.push(JSON.parse(text) as (typeof asked)[number]);
      if (code !== undefined) {
        response.statusCode = 409;
        response.end(JSON.stringify({ code, detail: 'taken', retryable: code === 'directory-empty' }));
        return;
      }
      const self = asked.at(-1);
      const nodes =
        self === undefined ? known : [...known, { id: self.nodeId, peer: self.peer, http: self.http }];
      response.end(JSON.stringify({ clusterId: 'the-cluster', nodeId: self?.nodeId, nodes }));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  known = [1, 2, 3].map((n) => node(n, 23_400));
});

afterEach(async () => {
  await new Promise((done) => server.close(done));
  await rm(directory, { recursive: true });
});

async function configOf(file: string) {
  return parseNodeConfig(JSON.parse(await readFile(file, 'utf8')), { where: file, baseDir: directory });
}

describe('the number and the ports of a node that joins', () => {
  it('go on where those of the cluster end', () => {
    expect(nextIndex(known)).toBe(4);
    expect(portsFor(known, 4)).toEqual({ http: 23_403, peer: 23_503, client: 23_603 });
    expect(nextIndex([...known, node(7, 23_400)])).toBe(8);
  });

  it('follow from the ports for peers while nobody has told another', () => {
    const fresh = known.map((one) => ({ ...one, http: null, client: null }));
    expect(portsFor(fresh, 4)).toEqual({ http: 23_403, peer: 23_503, client: 23_603 });
  });

  it('follow no scheme where the cluster has none', () => {
    expect(nextIndex([{ id: 'berlin', peer: 'a:1', http: 'http://a:2' }])).toBe(2);
    expect(portsFor([{ id: 'berlin', peer: 'a:1', http: null }], 2)).toMatchObject({ http: 7_401 });
    expect(portsFor([node(1, 65_300)], 60)).toBeUndefined();
  });
});

describe('joining', () => {
  it('writes a configuration that a host accepts, with everybody in it', async () => {
    const file = await joinCluster(url, { dataDir: directory });
    expect(asked).toHaveLength(1);
    const number = Number(asked[0]?.nodeId.slice(1));
    expect(number).toBeGreaterThanOrEqual(4);
    const config = await configOf(file);
    expect(config).toMatchObject({ clusterId: 'the-cluster', joins: true, dataDir: directory });
    expect(Object.keys(config.peers)).toEqual(['n1', 'n2', 'n3', `n${number}`]);
    expect(config.http.port).toBe(23_400 + number - 1);
    expect(config.peer.port).toBe(23_500 + number - 1);
    expect(config.client.port).toBe(23_600 + number - 1);
  });

  it('is done once: the same command only gives the file', async () => {
    const file = await joinCluster(url, { dataDir: directory });
    expect(await joinCluster('http://127.0.0.1:1', { dataDir: directory })).toBe(file);
    expect(asked).toHaveLength(1);
  });

  it('asks for the same node again when it was broken off', async () => {
    refusals = ['overloaded'];
    await expect(joinCluster(url, { dataDir: directory })).rejects.toMatchObject({ code: 'overloaded' });
    await joinCluster(url, { dataDir: directory });
    expect(asked[1]).toEqual(asked[0]);
  });

  it('waits for a cluster that has just begun', async () => {
    refusals = ['directory-empty', 'directory-empty'];
    await joinCluster(url, { dataDir: directory });
    expect(asked).toHaveLength(3);
    expect(asked[2]).toEqual(asked[0]);
  });

  it('takes the next number when another node was faster', async () => {
    refusals = ['node-id-taken', 'node-address-taken'];
    await joinCluster(url, { dataDir: directory });
    const numbers = asked.map(({ nodeId }) => Number(nodeId.slice(1)));
    expect(numbers).toHaveLength(3);
    expect(new Set(numbers).size).toBe(3);
    expect(numbers[2]).toBeGreaterThan(numbers[0] ?? 0);
  });

  it('refuses for good when the id that was asked for is taken', async () => {
    refusals = ['node-id-taken'];
    const taken = joinCluster(url, { dataDir: directory, nodeId: 'n2' });
    await expect(taken).rejects.toMatchObject({ code: 'node-id-taken' });
    expect(asked).toHaveLength(1);
  });

  it('passes over ports that somebody has', async () => {
    const squatter = createSocketServer();
    const { http: port = 0 } = portsFor(known, 4) ?? {};
    await new Promise<void>((done) => squatter.listen(port, '127.0.0.1', done));
    await joinCluster(url, { dataDir: directory });
    await new Promise((done) => squatter.close(done));
    expect(Number(asked[0]?.nodeId.slice(1))).toBeGreaterThanOrEqual(5);
  });

  it('refuses when the ports that were asked for are the cluster’s', async () => {
    const wish = { dataDir: directory, httpPort: 23_401, peerPort: 24_002, clientPort: 24_003 };
    await expect(joinCluster(url, wish)).rejects.toMatchObject({ code: 'join-refused' });
    expect(asked).toEqual([]);
  });

  it('says the token to the cluster, and has the node ask for it', async () => {
    const token = 'a-token-of-some-length';
    const file = await joinCluster(url, { dataDir: directory, token });
    expect(new Set(tokens)).toEqual(new Set([`Bearer ${token}`]));
    expect((await configOf(file)).http.token).toBe(token);
  });

  it('takes from --config what it does not choose itself', async () => {
    const base = join(directory, 'base.json');
    const tls = { cert: 'c.pem', key: 'k.pem', ca: 'ca.pem' };
    const given = { nodeId: 'n1', dataDir: 'elsewhere', peer: { port: 1, tls }, log: { level: 'debug' } };
    await writeFile(base, JSON.stringify(given));
    const file = await joinCluster(url, { dataDir: directory, config: base, nodeId: 'berlin' });
    const config = await configOf(file);
    expect(config).toMatchObject({ nodeId: 'berlin', dataDir: directory, log: { level: 'debug' } });
    expect(config.peer.tls?.ca).toBe(join(directory, 'ca.pem'));
  });

  it('overwrites no file that is no configuration', async () => {
    await writeFile(join(directory, 'node.json'), '{');
    await expect(joinCluster(url, { dataDir: directory })).rejects.toMatchObject({ code: 'join-refused' });
  });
});
