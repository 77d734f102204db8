// The client port over real sockets: what keeps to the protocol is served, all else is cut off with a reason, and every
// bound holds.

import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import type { ClientOperation } from '@datawarehouse/sdk/client-protocol';
import {
  FRAME_HEADER_BYTES,
  readDeleted,
  readError,
  readFound,
  readListed,
  readNumber,
} from '@datawarehouse/sdk/client-protocol';
import { draining } from '../errors.js';
import type { ClientPortLimits } from './client-port-limits.js';
import { CLIENT_PORT_LIMITS } from './client-port-limits.js';
import { ClientPort } from './client-port.js';
import { BareClient, FakeBackend, SILENT } from './testing.test.kit.js';

interface Served {
  readonly clock: FakeClock;
  readonly backend: FakeBackend;
  readonly port: ClientPort;
  readonly number: number;
}

const open: ClientPort[] = [];
const clients: BareClient[] = [];

async function serve(
  limits: Partial<ClientPortLimits> = {},
  authorize?: (token: string | undefined) => boolean,
): Promise<Served> {
  const clock = new FakeClock();
  const backend = new FakeBackend(clock);
  const port = new ClientPort({
    endpoint: { host: '127.0.0.1', port: 0, ...(authorize && { authorize }) },
    clusterId: 'c',
    backend,
    clock,
    log: SILENT,
    addresses: () => ({ n1: '127.0.0.1:1' }),
    limits: { ...CLIENT_PORT_LIMITS, ...limits },
  });
  open.push(port);
  return { clock, backend, port, number: await port.listen() };
}

async function welcome(number: number, token?: string): Promise<BareClient> {
  const client = await BareClient.welcome(number, token);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(open.splice(0).map((port) => port.stop(draining())));
});

const put = (key: string, value: string | Buffer = 'v'): ClientOperation => ({
  op: 'put',
  key,
  value: Buffer.from(value),
  condition: undefined,
  session: undefined,
});
const get = (key: string): ClientOperation => ({ op: 'get', key, mode: 'linearizable' });

describe('a client that keeps to the protocol', () => {
  it('is told of the cluster, and served', async () => {
    const { number } = await serve();
    const client = await welcome(number);
    expect(JSON.parse(client.heard[0]?.content.toString() ?? '')).toMatchObject({
      protocol: 1,
      nodeId: 'n1',
      clusterId: 'c',
      maxValueBytes: 1_000_000,
      topology: { groups: [{ id: 'g', term: 1, leader: 'n1' }], clients: { n1: '127.0.0.1:1' } },
    });
    client.ask(1, put('a', 'hello'));
    await client.until(() => client.answers.length === 1);
    client.ask(
      2,
      get('a'),
      get('none'),
      { op: 'delete', key: 'a', condition: undefined, session: undefined },
      { op: 'list', group: 'g', mode: 'stale', prefix: '', after: undefined, limit: 10 },
    );
    await client.until(() => client.answers.length === 5);
    const body = (id: number): Buffer =>
      client.answers.find((answer) => answer.id === id)?.body ?? Buffer.alloc(0);
    expect(readNumber(body(1))).toBe(1);
    expect(readFound(body(2))).toEqual({ version: 1, value: Buffer.from('hello') });
    expect(readFound(body(3))).toBeUndefined();
    expect(readDeleted(body(4))).toEqual({ version: 2, existed: true });
    // Stale: it did not wait for the deletion before it.
    expect(readListed(body(5))).toEqual([{ key: 'a', version: 1 }]);
  });

  it('gets all answers of a turn in one write', async () => {
    const { number, backend } = await serve();
    const client = await welcome(number);
    backend.immediate = false;
    client.ask(1, ...Array.from({ length: 200 }, (_, n) => put(`k${n}`)));
    while (backend.waiting.length < 200) await new Promise((resolve) => setImmediate(resolve));
    client.chunks = 0;
    backend.release();
    await client.until(() => client.answers.length === 200);
    expect(client.chunks).toBe(1);
    expect(client.answers.map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
  });

  it('has its writes proposed under their place in its session, so that a second try is known', async () => {
    const { number, backend } = await serve();
    const client = await welcome(number);
    const session = { id: 77, sequence: 5, lowestOpen: 3 };
    const write = { key: 'a', condition: undefined, session };
    client.ask(
      1,
      { op: 'open-session', group: 'g' },
      { op: 'put', value: Buffer.from('v'), ...write },
      { op: 'delete', ...write },
      put('b'),
    );
    await client.until(() => client.answers.length === 4);
    expect(readNumber(client.answers[0]?.body ?? Buffer.alloc(0))).toBe(77);
    expect(backend.proposed).toEqual([
      'open-session',
      'session-command 77,5,3',
      'session-command 77,5,3',
      'command',
    ]);
  });

  it('has its own time-outs obeyed, up to those of the node', async () => {
    const { number, backend } = await serve();
    const client = await welcome(number);
    client.ask(1, put('a'));
    await client.until(() => client.answers.length === 1);
    expect(backend.deadlines).toEqual([4_000]);
  });

  it('is refused by a node that does not lead, which names who does', async () => {
    const { number, backend } = await serve();
    const client = await welcome(number);
    backend.leaderId = 'n2';
    client.ask(1, put('a'), get('a'), { op: 'get', key: 'a', mode: 'stale' });
    await client.until(() => client.answers.length === 3);
    const refusals = client.answers
      .filter(({ status }) => status === 'error')
      .map(({ body }) => readError(body));
    expect(refusals.map(({ code, details }) => [code, details?.['leaderId']])).toEqual([
      ['not-leader', 'n2'],
      ['not-leader', 'n2'],
    ]);
    expect(client.answers.find(({ id }) => id === 3)?.status).toBe('ok');
  });

  it('is told of a new leader once for all changes of a turn', async () => {
    const { number, backend, port } = await serve();
    const client = await welcome(number);
    backend.leaderId = 'n3';
    for (let n = 0; n < 10; n++) port.topologyChanged();
    client.ping();
    await client.until(() => client.heard.some(({ kind }) => kind === 'topology'));
    client.ping();
    await client.until(() => client.heard.filter(({ kind }) => kind === 'pong').length === 2);
    const told = client.heard.filter(({ kind }) => kind === 'topology');
    expect(told.length).toBe(1);
    expect(told[0]?.content.toString()).toContain('"leader":"n3"');
  });

  it('can give a write up', async () => {
    const { number, backend } = await serve();
    const client = await welcome(number);
    backend.immediate = false;
    client.ask(1, put('a'));
    client.ask(2, { op: 'cancel', target: 1 }, { op: 'get', key: 'a', mode: 'stale' });
    await client.until(() => client.answers.length === 1);
    expect(backend.abandoned).toBe(1);
  });

  it('is refused an operation that the node does not know, and served the next', async () => {
    const { number } = await serve();
    const client = await welcome(number);
    client.askUnknown(1);
    client.ask(2, { op: 'list', group: 'nowhere', mode: 'stale', prefix: '', after: undefined, limit: 5 });
    client.ask(3, get('a'));
    await client.until(() => client.answers.length === 3);
    expect(client.answers.find(({ id }) => id === 1)?.body.toString()).toContain('operation-unknown');
    expect(client.answers.find(({ id }) => id === 2)?.body.toString()).toContain('group-unknown');
    expect(client.answers.find(({ id }) => id === 3)?.status).toBe('ok');
  });

  it('gives back what it held when it goes', async () => {
    const { number, backend, port } = await serve();
    const client = await welcome(number);
    backend.immediate = false;
    client.ask(1, put('a'), put('b'));
    while (backend.waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(port.counters).toMatchObject({ connections: 1, requests: 2 });
    client.close();
    while (port.counters.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(port.counters).toMatchObject({ requests: 0, partialBytes: 0 });
    expect(backend.abandoned).toBe(2);
    backend.release();
  });
});

describe('who does not keep to the protocol', () => {
  const frameOf = (kind: number, content: string): Buffer => {
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + 1 + content.length);
    frame.writeUInt32LE(1 + content.length, 0);
    frame[FRAME_HEADER_BYTES] = kind;
    frame.write(content, FRAME_HEADER_BYTES + 1);
    return frame;
  };

  it.each([
    ['HTTP', Buffer.from('GET /v1/kv HTTP/1.1\r\n\r\n'), 'the most'],
    ['zeros', Buffer.alloc(64), 'empty'],
    ['a wrong checksum', frameOf(1, '{}'), 'checksum'],
  ])('with %s for a hello is told so and cut off', async (_what, bytes, why) => {
    const { number, port } = await serve();
    const client = await BareClient.dial(number);
    client.socket.write(bytes);
    await client.until(() => client.ended);
    expect(client.goodbye).toMatchObject({ code: 'client-protocol-violated' });
    expect(client.goodbye?.message).toContain(why);
    expect(port.counters).toMatchObject({
      connections: 0,
      closedByReason: { 'client-protocol-violated': 1 },
    });
  });

  it('with requests before the hello is cut off, and nothing is done', async () => {
    const { number, backend } = await serve();
    const client = await BareClient.dial(number);
    client.ask(1, put('a'));
    await client.until(() => client.ended);
    expect(client.goodbye?.message).toContain('a requests before the hello');
    expect(backend.values.size).toBe(0);
  });

  it('with one id twice is cut off; others are not', async () => {
    const { number, backend } = await serve();
    const bystander = await welcome(number);
    const client = await welcome(number);
    backend.immediate = false;
    client.ask(1, put('a'));
    client.ask(1, put('b'));
    await client.until(() => client.ended);
    expect(client.goodbye?.message).toContain('two requests have the id 1');
    backend.immediate = true;
    bystander.ask(1, put('c'));
    await bystander.until(() => bystander.answers.length === 1);
  });

  it('speaking another version, or meaning another cluster, is told so', async () => {
    const { number } = await serve();
    const version = await BareClient.dial(number);
    version.hello({ protocol: 2 });
    const cluster = await BareClient.dial(number);
    cluster.hello({ clusterId: 'other' });
    await Promise.all([version.until(() => version.ended), cluster.until(() => cluster.ended)]);
    expect(version.goodbye).toMatchObject({ code: 'client-version-unsupported' });
    expect(cluster.goodbye).toMatchObject({ code: 'client-cluster-mismatch' });
  });

  it('without the token is refused before anything else', async () => {
    const { number } = await serve({}, (token) => token === 'secret');
    const client = await BareClient.dial(number);
    client.hello({ token: 'guess' });
    const none = await BareClient.dial(number);
    none.hello();
    await Promise.all([client.until(() => client.heard.length > 0), none.until(() => none.heard.length > 0)]);
    expect(client.goodbye).toMatchObject({ code: 'client-unauthorized' });
    expect(none.goodbye).toMatchObject({ code: 'client-unauthorized' });
    expect((await welcome(number, 'secret')).goodbye).toBeUndefined();
  });
});

describe('the bounds of the port', () => {
  it('refuse connections beyond the last', async () => {
    const { number } = await serve({ maxConnections: 1 });
    await welcome(number);
    const second = await BareClient.dial(number);
    await second.until(() => second.ended);
    expect(second.goodbye).toMatchObject({ code: 'overloaded', retryable: true, retryAfterMs: 250 });
  });

  it('refuse requests of a connection, and of all together, at once', async () => {
    const { number, backend } = await serve({ maxInFlight: 2, maxRequests: 3 });
    const [one, two] = [await welcome(number), await welcome(number)];
    backend.immediate = false;
    one.ask(1, put('a'), put('b'), put('c'));
    await one.until(() => one.answers.length === 1);
    expect(one.answers[0]).toMatchObject({ id: 3, status: 'error' });
    two.ask(1, put('a'), put('b'));
    await two.until(() => two.answers.length === 1);
    expect(two.answers[0]).toMatchObject({ id: 2, status: 'error' });
    expect(readError(two.answers[0]?.body ?? Buffer.alloc(0))).toMatchObject({
      code: 'overloaded',
      retryAfterMs: 250,
    });
    backend.release();
    await Promise.all([one.until(() => one.answers.length === 3), two.until(() => two.answers.length === 2)]);
  });

  it('cut off who sends a frame that is too long, by its header alone', async () => {
    const { number } = await serve({ maxFrameBytes: 100_000 });
    const client = await welcome(number);
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(100_001, 0);
    client.socket.write(header);
    await client.until(() => client.ended);
    expect(client.goodbye?.message).toContain('100001 bytes, where 100000 is the most');
  });

  it('cut off who would make the node hold too many bytes of incomplete frames', async () => {
    const { number, port } = await serve({ maxFrameBytes: 100_000, maxPartialBytes: 50_000 });
    const client = await welcome(number);
    const part = Buffer.alloc(60_000);
    part.writeUInt32LE(90_000, 0);
    client.socket.write(part);
    await client.until(() => client.ended);
    expect(client.goodbye).toMatchObject({ code: 'overloaded' });
    expect(port.counters.partialBytes).toBe(0);
  });

  it('cut off who says no hello, and who says nothing for too long; a ping is enough', async () => {
    const { number, clock } = await serve({ helloMs: 5_000, idleMs: 60_000 });
    const mute = await BareClient.dial(number);
    const idle = await welcome(number);
    clock.advance(6_000);
    await mute.until(() => mute.ended);
    expect(mute.goodbye).toMatchObject({ code: 'client-idle' });
    clock.advance(50_000);
    idle.ping();
    await idle.until(() => idle.heard.some(({ kind }) => kind === 'pong'));
    clock.advance(50_000);
    expect(idle.ended).toBe(false);
    clock.advance(20_000);
    await idle.until(() => idle.ended);
    expect(idle.goodbye).toMatchObject({ code: 'client-idle' });
  });

  it('refuse values to who does not take them, and read nothing more from it', async () => {
    const { number, backend } = await serve({ pauseBytes: 100_000, maxBacklogBytes: 8_000_000 });
    backend.values.set('large', { version: 1, value: Buffer.alloc(900_000) });
    const client = await welcome(number);
    client.socket.pause();
    const asked = 60;
    for (let n = 1; n <= asked; n++) client.ask(n, { op: 'get', key: 'large', mode: 'stale' });
    // The port has stopped reading once a write of it did not fit: what was asked in one frame each is left unread.
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.resume();
    await client.until(() => client.answers.length === asked);
    expect(client.ended).toBe(false);
    // Asked in one frame, what comes beyond the bound is refused and not kept.
    client.socket.pause();
    client.ask(
      100,
      ...Array.from({ length: asked }, () => ({ op: 'get', key: 'large', mode: 'stale' }) as const),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.resume();
    await client.until(() => client.answers.length === 2 * asked);
    const refused = client.answers.filter(({ id, status }) => id >= 100 && status === 'error');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.body.toString()).toContain('bytes that the client has not taken');
  });
});

describe('a port that stops', () => {
  it('tells its clients why', async () => {
    const { number, port } = await serve();
    const client = await welcome(number);
    await port.stop(draining());
    await client.until(() => client.ended);
    expect(client.goodbye).toMatchObject({ code: 'draining', retryable: true });
  });

  it('that cannot listen, or cannot use its TLS files, says so', async () => {
    const { number, backend, clock } = await serve();
    const options = { clusterId: 'c', backend, clock, log: SILENT, addresses: () => ({}) };
    const taken = new ClientPort({ ...options, endpoint: { host: '127.0.0.1', port: number } });
    await expect(taken.listen()).rejects.toMatchObject({ code: 'client-listen-failed' });
    const tls = { cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' };
    const bad = new ClientPort({ ...options, endpoint: { host: '127.0.0.1', port: 0, tls } });
    await expect(bad.listen()).rejects.toMatchObject({ code: 'client-tls-unusable' });
  });
});
