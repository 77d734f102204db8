// The client against nodes that do what the test says: what is sent where, what is tried again and what is not, and what
// callers are told.

import { afterEach, describe, expect, it } from 'vitest';
import type { ClientOptions, DwClient } from './index.js';
import { connect, isDwClientError } from './index.js';
import type { Script } from './testing.test.kit.js';
import { FakeNode, nothing, number, plain, refuse, value } from './testing.test.kit.js';

const nodes: FakeNode[] = [];
const clients: DwClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

async function start(id?: string): Promise<FakeNode> {
  const node = await FakeNode.start(id);
  nodes.push(node);
  return node;
}

async function open(node: FakeNode, options: Partial<ClientOptions> = {}): Promise<DwClient> {
  const client = await connect({
    endpoints: [node.endpoint],
    random: () => 0.5,
    timeoutMs: 3_000,
    ...options,
  });
  clients.push(client);
  return client;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return isDwClientError(error) ? error.code : String(error);
  }
}

/** Leaves requests of a kind without an answer, and serves the others. */
function withhold(op: string, more: Script = plain()): Script {
  return (request) => (request.operation.op === op ? undefined : more(request));
}

describe('a call', () => {
  it('of one turn shares its frame with the others of that turn', async () => {
    const node = await start();
    const client = await open(node);
    await Promise.all(Array.from({ length: 50 }, (_, n) => client.get(`k${n}`)));
    expect(node.frames).toEqual([50]);
  });

  it('gets the answer that bears its id, in whatever order answers come', async () => {
    const node = await start();
    const client = await open(node);
    node.script = () => undefined;
    const reads = ['a', 'b', 'c'].map((key) => client.get(key));
    await node.until(() => node.asked.length === 3);
    for (const asked of node.asked.toReversed()) {
      node.answer(asked, value(1, `of ${asked.operation.op === 'get' ? asked.operation.key : ''}`));
    }
    const found = await Promise.all(reads);
    expect(found.map((entry) => entry?.value.toString())).toEqual(['of a', 'of b', 'of c']);
  });

  it('reads in the way that is asked for, and finds nothing where nothing is', async () => {
    const node = await start();
    const client = await open(node);
    node.script = () => nothing;
    expect(await client.get('a')).toBeUndefined();
    await client.get('a', { consistency: 'lease' });
    await client.get('a', { consistency: 'stale' });
    expect(node.operations('get').map(({ mode }) => mode)).toEqual(['linearizable', 'lease', 'stale']);
  });

  it('goes where the leader is said to be, and knows it from then on', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    const clientsOf = { n1: one.endpoint, n2: two.endpoint };
    one.topology = { groups: [{ id: 'g', term: 1, leader: 'n1' }], clients: clientsOf };
    one.script = () => refuse('not-leader', { retryable: true, details: { leaderId: 'n2' } });
    const client = await open(one);
    expect((await client.get('a'))?.value.toString()).toBe('value of a');
    await client.get('b');
    expect([one.asked.length, two.asked.length]).toEqual([1, 2]);
  });

  it('follows the leaders that the nodes announce, the newest term before others', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    const clientsOf = { n1: one.endpoint, n2: two.endpoint };
    const client = await open(one);
    one.announce({ groups: [{ id: 'g', term: 5, leader: 'n2' }], clients: clientsOf });
    one.announce({ groups: [{ id: 'g', term: 4, leader: 'n1' }], clients: clientsOf });
    await client.list();
    while (two.asked.length === 0) await client.get('a');
    const before = one.asked.length;
    await client.get('b');
    expect(one.asked.length).toBe(before);
  });

  it('is passed on by another node when the leader cannot be reached', async () => {
    const node = await start('n1');
    const nowhere = await start('n2');
    const address = nowhere.endpoint;
    await nowhere.stop();
    node.topology = {
      groups: [{ id: 'g', term: 1, leader: 'n2' }],
      clients: { n1: node.endpoint, n2: address },
    };
    const client = await open(node);
    await client.get('a');
    expect(node.asked.map(({ relay }) => relay)).toEqual([true]);
  });

  it('waits as long as an overloaded node says, and is then tried again', async () => {
    const node = await start();
    const client = await open(node);
    node.script = () => {
      if (node.asked.length > 1) return value(1, 'late');
      return refuse('overloaded', { retryable: true, retryAfterMs: 200 });
    };
    const began = performance.now();
    expect((await client.get('a'))?.value.toString()).toBe('late');
    // Between half and all of the time; `random` says three quarters.
    expect(performance.now() - began).toBeGreaterThanOrEqual(145);
  });

  it('that is refused for good is not tried again', async () => {
    const node = await start();
    const client = await open(node);
    node.script = () => refuse('store-full');
    expect(await codeOf(client.get('a'))).toBe('store-full');
    expect(node.asked.length).toBe(1);
  });

  it.each([
    ['', 'key-invalid'],
    ['x'.repeat(1_025), 'key-invalid'],
    ['\uD800', 'key-invalid'],
  ])('with the key %j is refused before anything is sent', async (key, code) => {
    const node = await start();
    const client = await open(node);
    expect(await codeOf(client.put(key, 'v'))).toBe(code);
    expect(await codeOf(client.put('k', Buffer.alloc(1_001)))).toBe('value-too-large');
    expect(await codeOf(client.put('k', 'v', { ifVersion: -1 }))).toBe('option-invalid');
    expect(await codeOf(client.list({ limit: 0 }))).toBe('option-invalid');
    expect(node.asked).toEqual([]);
  });
});

describe('a write whose answer is lost', () => {
  it('is sent again under the same place of its session, and answers once', async () => {
    const node = await start();
    const client = await open(node);
    node.script = withhold('put');
    const write = client.put('a', 'v');
    await node.until(() => node.operations('put').length === 1);
    node.drop();
    node.script = plain();
    expect(await write).toEqual({ version: 1 });
    const stamps = node.operations('put').map(({ session }) => session);
    expect(stamps).toEqual([
      { id: 100, sequence: 1, lowestOpen: 1 },
      { id: 100, sequence: 1, lowestOpen: 1 },
    ]);
    expect(node.operations('open-session').length).toBe(1);
  });

  it('keeps its place while others get theirs, and the group hears how far all is answered', async () => {
    const node = await start();
    const client = await open(node);
    await client.put('before', 'v');
    node.script = (request) =>
      request.operation.op === 'put' && request.operation.key === 'stuck' ? undefined : plain()(request);
    const stuck = client.put('stuck', 'v');
    await client.put('x', 'v');
    await client.put('y', 'v');
    const stuckAt = node.asked.find(({ operation }) => operation.op === 'put' && operation.key === 'stuck');
    node.answer(stuckAt!, number(9));
    await stuck;
    await client.put('z', 'v');
    expect(
      node.operations('put').map(({ key, session }) => [key, session?.sequence, session?.lowestOpen]),
    ).toEqual([
      ['before', 1, 1],
      ['stuck', 2, 2],
      ['x', 3, 2],
      ['y', 4, 2],
      ['z', 5, 5],
    ]);
  });

  it('ends in outcome-unknown without sessions, and is not sent again', async () => {
    const node = await start();
    const client = await open(node, { sessions: false });
    node.script = withhold('put');
    const write = client.put('a', 'v');
    await node.until(() => node.operations('put').length === 1);
    node.drop();
    await expect(write).rejects.toMatchObject({
      code: 'outcome-unknown',
      cause: { code: 'connection-lost' },
    });
    node.script = plain();
    await client.get('a');
    expect(node.operations('put').length).toBe(1);
    expect(node.operations('put')[0]?.session).toBeUndefined();
  });

  it('is not sent under another session when its own is forgotten meanwhile', async () => {
    const node = await start();
    const client = await open(node);
    node.script = withhold('put');
    const write = client.put('a', 'v');
    await node.until(() => node.operations('put').length === 1);
    node.drop();
    node.script = (request) =>
      request.operation.op === 'put' ? refuse('session-expired') : plain()(request);
    expect(await codeOf(write)).toBe('outcome-unknown');
    expect(node.operations('put').length).toBe(2);
    node.script = plain();
    await client.put('b', 'v');
    expect(node.operations('open-session').length).toBe(2);
  });

  it('that was certainly not applied goes on under another session', async () => {
    const node = await start();
    const client = await open(node);
    let sessions = 100;
    node.script = (request) => {
      const { operation } = request;
      if (operation.op === 'open-session') return number(++sessions);
      return operation.op === 'put' && operation.session?.id === 101
        ? refuse('session-expired')
        : plain()(request);
    };
    expect(await codeOf(client.put('a', 'v'))).toBe('resolved');
    expect(node.operations('put').map(({ session }) => session?.id)).toEqual([101, 102]);
  });

  it('is told by what the group remembers, also when that is a refusal', async () => {
    const node = await start();
    const client = await open(node);
    node.script = withhold('put');
    const write = client.put('a', 'v', { ifVersion: 3 });
    await node.until(() => node.operations('put').length === 1);
    node.drop();
    node.script = (request) =>
      request.operation.op === 'put'
        ? refuse('version-mismatch', { details: { currentVersion: 7 } })
        : plain()(request);
    expect(await codeOf(write)).toBe('version-mismatch');
  });
});

describe('time', () => {
  it('that is up leaves a read undone and a write unknown', async () => {
    const node = await start();
    const client = await open(node, { timeoutMs: 150 });
    await client.put('session', 'open');
    node.script = () => undefined;
    expect(await codeOf(client.get('a'))).toBe('timeout');
    expect(await codeOf(client.put('a', 'v'))).toBe('outcome-unknown');
    // The node is told that nobody waits any more.
    await node.until(() => node.operations('cancel').length === 2);
  });

  it('that is up before a write was sent leaves it undone', async () => {
    const node = await start();
    const client = await open(node, { timeoutMs: 150 });
    node.script = withhold('open-session');
    expect(await codeOf(client.put('a', 'v'))).toBe('timeout');
    expect(node.operations('put')).toEqual([]);
  });

  it('of a node that owes answers and is silent is limited, however long the call has', async () => {
    const node = await start();
    const client = await open(node, { timeoutMs: 30_000, silenceMs: 150 });
    node.script = withhold('get');
    node.alive = false;
    const read = client.get('a');
    await node.until(() => node.operations('get').length === 1);
    node.script = plain();
    expect((await read)?.version).toBe(1);
    expect(node.hellos.length).toBe(2);
  });

  it('of a node that is slow, and says so by its pongs, is not', async () => {
    const node = await start();
    const client = await open(node, { timeoutMs: 30_000, silenceMs: 150 });
    node.script = withhold('get');
    const read = client.get('a');
    await node.until(() => node.operations('get').length === 1);
    // A client pings only who was silent for a while: after so many the limit for silence has passed.
    await node.until(() => node.pongs >= 5);
    node.answer(node.asked[0]!, value(2, 'slow'));
    expect((await read)?.version).toBe(2);
    expect(node.hellos.length).toBe(1);
  });
});

describe('a caller that gives up', () => {
  it('is told at once what is known, and the node is told, too', async () => {
    const node = await start();
    const client = await open(node);
    await client.put('session', 'open');
    node.script = () => undefined;
    const [read, write] = [new AbortController(), new AbortController()];
    const reading = codeOf(client.get('a', { signal: read.signal }));
    const writing = codeOf(client.put('a', 'v', { signal: write.signal }));
    await node.until(() => node.operations('put').length === 2);
    read.abort();
    write.abort();
    expect(await Promise.all([reading, writing])).toEqual(['aborted', 'outcome-unknown']);
    await node.until(() => node.operations('cancel').length === 2);
    expect(await codeOf(client.get('a', { signal: AbortSignal.abort() }))).toBe('aborted');
  });
});

describe('bounds', () => {
  it('let calls wait beyond maxInFlight, and refuse them beyond maxQueued', async () => {
    const node = await start();
    const client = await open(node, { maxInFlight: 2, maxQueued: 1 });
    node.script = () => undefined;
    const reads = ['a', 'b', 'c', 'd'].map((key) => codeOf(client.get(key)));
    await node.until(() => node.asked.length === 2);
    expect(await reads[3]).toBe('queue-full');
    node.script = plain();
    for (const asked of node.asked.slice()) node.answer(asked, value(1, 'v'));
    expect(await Promise.all(reads.slice(0, 3))).toEqual(['resolved', 'resolved', 'resolved']);
    expect(node.operations('get').map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  });
});

describe('a node that takes little', () => {
  it('is sent no more than it says, and everything in the end', async () => {
    const node = await start();
    node.limits = { maxInFlight: 3, maxValueBytes: 1_000 };
    const client = await open(node);
    node.script = () => undefined;
    const reads = Array.from({ length: 8 }, (_, n) => client.get(`k${n}`));
    await node.until(() => node.asked.length === 3);
    const seen = new Set<number>();
    while (seen.size < 8) {
      expect(node.asked.length - seen.size).toBeLessThanOrEqual(3);
      for (const asked of node.asked.filter(({ id }) => !seen.has(id))) {
        seen.add(asked.id);
        node.answer(asked, value(1, 'v'));
      }
      await node.until(() => node.asked.length > seen.size || seen.size === 8);
    }
    await Promise.all(reads);
  });

  it('and reads slowly gets large values one after another', async () => {
    const node = await start();
    node.limits = { maxInFlight: 4_096, maxValueBytes: 2_000_000 };
    const client = await open(node, { timeoutMs: 30_000, silenceMs: 30_000 });
    await client.put('session', 'open');
    node.read(false);
    const large = Buffer.alloc(1_000_000);
    const writes = Array.from({ length: 60 }, (_, n) => client.put(`k${n}`, large));
    await new Promise((resolve) => setImmediate(resolve));
    node.read(true);
    expect((await Promise.all(writes)).length).toBe(60);
    expect(node.operations('put').length).toBe(61);
  });
});

describe('connecting', () => {
  it('tries the endpoints until one answers', async () => {
    const [dead, node] = [await start(), await start()];
    const { endpoint } = dead;
    await dead.stop();
    for (const dice of [0, 0.99]) {
      const client = await open(node, { endpoints: [endpoint, node.endpoint], random: () => dice });
      await client.get('a');
    }
  });

  it('that is refused for good says why; that finds nobody says so', async () => {
    const node = await start();
    node.goodbye = { code: 'client-unauthorized', message: 'no', retryable: false };
    expect(await codeOf(open(node))).toBe('client-unauthorized');
    const { endpoint } = node;
    await node.stop();
    expect(await codeOf(open(node, { endpoints: [endpoint] }))).toBe('unreachable');
  });

  it.each([
    [{ endpoints: [] }],
    [{ endpoints: ['nonsense'] }],
    [{ endpoints: ['a:0'] }],
    [{ endpoints: ['a:1'], timeoutMs: 0 }],
    [{ endpoints: ['a:1'], maxInFlight: 1.5 }],
    [{ endpoints: ['a:1'], tls: { ca: '/nowhere.pem' } }],
  ])('with %j is refused', async (options) => {
    expect(await codeOf(connect(options))).toBe('option-invalid');
  });

  it('sends the token', async () => {
    const node = await start();
    await open(node, { token: 'secret' });
    expect(node.hellos[0]?.token).toBe('secret');
  });
});

describe('closing', () => {
  it('waits for what is under way, gives sessions back, and takes nothing more', async () => {
    const node = await start();
    const client = await open(node);
    await client.put('session', 'open');
    node.script = withhold('get');
    const read = client.get('a');
    await node.until(() => node.operations('get').length === 1);
    const closing = client.close();
    expect(await codeOf(client.get('b'))).toBe('client-closed');
    node.answer(
      node.asked.find(({ operation }) => operation.op === 'get')!,
      value(1, 'v'),
    );
    expect((await read)?.version).toBe(1);
    await closing;
    expect(node.operations('close-session')).toEqual([{ op: 'close-session', group: 'g', session: 100 }]);
    expect(() => client.watch()).toThrow('was closed');
  });

  it('at once fails what is under way with what is known of it', async () => {
    const node = await start();
    const client = await open(node);
    await client.put('session', 'open');
    node.script = () => undefined;
    const [read, write] = [codeOf(client.get('a')), codeOf(client.put('a', 'v'))];
    await node.until(() => node.operations('put').length === 2);
    client.destroy();
    expect(await Promise.all([read, write])).toEqual(['client-closed', 'outcome-unknown']);
  });
});

describe('an answer that is none', () => {
  it('fails its call, a write as unknown', async () => {
    const node = await start();
    const client = await open(node);
    await client.put('session', 'open');
    node.script = () => nothing;
    expect(await codeOf(client.put('a', 'v'))).toBe('outcome-unknown');
    expect(await codeOf(client.list())).toBe('answer-malformed');
  });
});
