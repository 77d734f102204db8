import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isDwError } from '@datawarehouse/sdk';
import { loadNodeConfig, parseNodeConfig } from './node-config.js';
import type { NodeConfig } from './node-config.js';

const where = { where: 'n1.json', baseDir: '/etc/dw' };
const parse = (value: unknown): NodeConfig => parseNodeConfig(value, where);
const minimal = { nodeId: 'n1', dataDir: 'data/n1' };

function refusal(value: unknown): { code: string; message: string } {
  try {
    parse(value);
  } catch (thrown) {
    if (isDwError(thrown)) return { code: thrown.code, message: thrown.message };
    throw thrown;
  }
  throw new Error('it was accepted');
}

describe('the configuration of a node', () => {
  it('fills in what is left out', () => {
    expect(parse(minimal)).toEqual({
      nodeId: 'n1',
      clusterId: 'default',
      dataDir: resolve('data/n1'),
      baseDir: '/etc/dw',
      http: { host: '127.0.0.1', port: 7400 },
      peer: { host: '127.0.0.1', port: 7500 },
      client: { host: '127.0.0.1', port: 7600 },
      peers: { n1: '127.0.0.1:7500' },
      plugins: undefined,
      extraPlugins: [],
      log: { level: 'info' },
      kernel: {
        loadMs: 10_000,
        initializeMs: 10_000,
        activateMs: 30_000,
        drainMs: 10_000,
        shutdownMs: 10_000,
        disposeMs: 2_000,
        healthMs: 2_000,
        healthEveryMs: 1_000,
      },
      insecure: false,
      joins: false,
    });
  });

  it('does not change what it was given', () => {
    const given = { ...minimal };
    parse(given);
    expect(given).toEqual(minimal);
  });

  it('takes TLS files relative to the configuration file', () => {
    const tls = { cert: 'n1.pem', key: '/keys/n1.key', ca: 'ca.pem' };
    const config = parse({ ...minimal, peer: { port: 7501, tls } });
    expect(config.peer.tls).toEqual({ cert: '/etc/dw/n1.pem', key: '/keys/n1.key', ca: '/etc/dw/ca.pem' });
  });

  it('names an unknown field, what is allowed, and what was probably meant', () => {
    const { code, message } = refusal({ ...minimal, http: { prot: 7400 } });
    expect(code).toBe('config-invalid');
    expect(message).toContain('n1.json');
    expect(message).toContain('"http.prot" is not a known field: allowed are host, port, tls, token');
    expect(message).toContain('did you mean "port"?');
  });

  it.each([
    [{ dataDir: 'd' }, '"nodeId" is missing'],
    [{ ...minimal, nodeId: '../n1' }, '"nodeId" must be 1 to 64 letters'],
    [{ ...minimal, http: { port: 70_000 } }, '"http.port" must be at most 65535, not 70000'],
    [{ ...minimal, http: { port: '7400' } }, '"http.port" must be integer, not string'],
    [{ ...minimal, plugins: [{ pakage: 'x' }] }, '"plugins[0].package" is missing'],
    [{ ...minimal, log: { level: 'loud' } }, '"log.level" must be one of "debug", "info"'],
    [{ ...minimal, peers: { n2: '127.0.0.1:7501' } }, '"peers" must name this node, n1, too; it names n2'],
    [{ ...minimal, peers: { n1: '127.0.0.1' } }, '"peers.n1" must be host:port'],
    [{ ...minimal, peers: { n1: '127.0.0.1:0' } }, '"peers.n1" must be host:port with a port of 1'],
    [{ ...minimal, peers: { n1: 'a:1', n2: 'a:1' } }, '"peers" has a:1 twice'],
    [{ ...minimal, http: { port: 7500 } }, '"peer.port" and "http.port" are both 7500'],
    [{ ...minimal, client: { port: 7400 } }, '"client.port" and "http.port" are both 7400'],
    [{ ...minimal, http: { port: 65_500 } }, '"client.port" is missing'],
    [{ ...minimal, kernel: { loadMs: 0 } }, '"kernel.loadMs" must be at least 1'],
    [{ ...minimal, http: { token: 'short' } }, '"http.token" must be 16 to 512 printable'],
    [[], 'the configuration must be object, not array'],
    ['text', 'the configuration must be object, not string'],
  ])('refuses %j', (value, wanted) => {
    expect(refusal(value).message).toContain(wanted);
  });

  it('says everything that is wrong at once', () => {
    const { message } = refusal({ nodeId: 7, dataDri: 'd', http: { port: -1 } });
    for (const part of ['"nodeId"', '"dataDir" is missing', '"dataDri"', '"http.port"']) {
      expect(message).toContain(part);
    }
  });

  it('puts clients 200 above HTTP, on a port of the system where HTTP is on one', () => {
    expect(parse({ ...minimal, http: { port: 8_000 } }).client).toEqual({ host: '127.0.0.1', port: 8_200 });
    expect(parse({ ...minimal, http: { port: 0 } }).client.port).toBe(0);
    expect(parse({ ...minimal, client: { port: 9_000 } }).client.port).toBe(9_000);
  });

  it('accepts IPv6 addresses', () => {
    const config = parse({ ...minimal, peers: { n1: '[::1]:7500' }, http: { host: '::1', port: 0 } });
    expect(config.peers).toEqual({ n1: '[::1]:7500' });
  });
});

describe('listening beyond this machine', () => {
  const token = 'a-token-of-some-length';
  const http = { host: '0.0.0.0' };
  const tls = { cert: 'c', key: 'k', ca: 'a' };

  it.each([
    [{ http }, 'without http.token'],
    [{ http: { ...http, token } }, 'without http.tls'],
    [{ http: { ...http, tls } }, 'without http.token'],
    [{ http: { host: '::' } }, 'without http.token'],
    [{ http: { host: 'host.example' } }, 'without http.token'],
    [{ peer: { host: '10.0.0.1' } }, 'without peer.tls'],
    [{ client: { host: '10.0.0.1', port: 7600 } }, '"client" would listen on 10.0.0.1'],
    [{ client: { host: '10.0.0.1' }, http: { token } }, 'without http.tls'],
  ])('is refused for %j', (part, wanted) => {
    const { code, message } = refusal({ ...minimal, ...part });
    expect(code).toBe('config-exposed');
    expect(message).toContain(wanted);
  });

  it.each([
    { http: { ...http, token, tls } },
    { http, insecure: true },
    { http: { token, tls }, client: { host: '10.0.0.1' } },
    { peer: { host: '10.0.0.1', tls } },
    { http: { host: 'localhost' }, peer: { host: '127.0.0.2' } },
    { http: { host: '::1' } },
    { http: { host: '::ffff:127.0.0.1' } },
  ])('is accepted for %j', (part) => {
    expect(parse({ ...minimal, ...part }).nodeId).toBe('n1');
  });
});

describe('the configuration file', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dw-config-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('is read from disk', async () => {
    const file = join(directory, 'n1.json');
    await writeFile(file, `\uFEFF${JSON.stringify(minimal)}`);
    expect(await loadNodeConfig(file)).toMatchObject({ nodeId: 'n1', baseDir: directory });
  });

  it('is named when it is missing or no JSON', async () => {
    const missing = join(directory, 'missing.json');
    await expect(loadNodeConfig(missing)).rejects.toThrow(`${missing} cannot be read: it does not exist`);
    const broken = join(directory, 'broken.json');
    await writeFile(broken, '{"nodeId": "n1",}');
    await expect(loadNodeConfig(broken)).rejects.toThrow(`${broken} is not JSON`);
  });
});
