// Watches over connections that break and leaders that change: each change once, in order, and a place to go on from.

import type { WatchedChange } from '@datawarehouse/sdk/client-protocol';
import { afterEach, describe, expect, it } from 'vitest';
import type { DwClient, Watch, WatchEvent } from '../index.js';
import { connect, isDwClientError } from '../index.js';
import type { Asked } from '../testing.test.kit.js';
import { FakeNode, plain, refuse } from '../testing.test.kit.js';
import { decodeToken, encodeToken } from './watch-token.js';

const nodes: FakeNode[] = [];
const clients: DwClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

async function start(groups: readonly string[] = ['g']): Promise<{ node: FakeNode; client: DwClient }> {
  const node = await FakeNode.start();
  node.topology = {
    groups: groups.map((id) => ({ id, term: 1, leader: 'n1' })),
    clients: { n1: node.endpoint },
  };
  nodes.push(node);
  const client = await connect({ endpoints: [node.endpoint] });
  clients.push(client);
  return { node, client };
}

const put = (version: number, text = 'v'): WatchedChange => ({
  kind: 'put',
  key: `k${version}`,
  version,
  value: Buffer.from(text),
});

/** The requests for watches that the node got. */
const watches = (node: FakeNode): Asked[] => node.asked.filter(({ operation }) => operation.op === 'watch');

async function read(watch: Watch, count: number): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  while (events.length < count) {
    const next = await watch.next();
    if (next.done === true) break;
    events.push(next.value);
  }
  return events;
}

const versions = (events: readonly WatchEvent[]): number[] => events.map(({ version }) => version);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return isDwClientError(error) ? error.code : String(error);
  }
}

describe('a watch', () => {
  it('begins now, tells what changes, and has a place after each event', async () => {
    const { node, client } = await start();
    const watch = client.watch('k');
    await node.until(() => watches(node).length === 1);
    expect(node.operations('watch')).toEqual([{ op: 'watch', group: 'g', prefix: 'k', after: undefined }]);
    node.tell(watches(node)[0]!, 10);
    await watch.ready();
    expect(decodeToken(watch.token)).toEqual(new Map([['g', 10]]));
    node.tell(watches(node)[0]!, 14, put(11), { kind: 'delete', key: 'k11', version: 12 });
    const [first, second] = await read(watch, 2);
    expect(first).toMatchObject({ kind: 'put', key: 'k11', version: 11, group: 'g' });
    expect(second).toMatchObject({ kind: 'delete', key: 'k11', version: 12 });
    expect(decodeToken(first!.token).get('g')).toBe(11);
    // Nothing that it tells lies between the last change and what the node has told up to.
    expect(decodeToken(second!.token).get('g')).toBe(14);
  });

  it('goes on after a lost connection right behind what was told, neither before nor after', async () => {
    const { node, client } = await start();
    const watch = client.watch('k');
    await node.until(() => watches(node).length === 1);
    node.tell(watches(node)[0]!, 10);
    node.tell(watches(node)[0]!, 13, put(11), put(13));
    expect(versions(await read(watch, 2))).toEqual([11, 13]);
    node.drop();
    await node.until(() => watches(node).length === 2);
    expect(node.operations('watch')[1]?.after).toBe(13);
    node.tell(watches(node)[1]!, 14, put(14));
    expect(versions(await read(watch, 1))).toEqual([14]);
  });

  it('shows nothing twice, whatever a node says', async () => {
    const { node, client } = await start();
    const watch = client.watch('k');
    await node.until(() => watches(node).length === 1);
    node.tell(watches(node)[0]!, 10);
    node.tell(watches(node)[0]!, 11, put(11));
    node.tell(watches(node)[0]!, 12, put(11), put(12));
    expect(versions(await read(watch, 2))).toEqual([11, 12]);
  });

  it('goes on from a token in each group, and merges the groups', async () => {
    const { node, client } = await start(['a', 'b']);
    const watch = client.watch('k', {
      from: encodeToken(
        new Map([
          ['a', 5],
          ['b', 7],
        ]),
      ),
    });
    await node.until(() => watches(node).length === 2);
    expect(node.operations('watch').map(({ group, after }) => [group, after])).toEqual([
      ['a', 5],
      ['b', 7],
    ]);
    const [a, b] = watches(node);
    node.tell(b!, 8, put(8));
    node.tell(a!, 6, put(6));
    const events = await read(watch, 2);
    expect(events.map(({ group, version }) => `${group}${version}`)).toEqual(['b8', 'a6']);
    // A place never runs ahead of what was read: the first event knows nothing of the second.
    expect(decodeToken(events[0]!.token)).toEqual(
      new Map([
        ['a', 5],
        ['b', 8],
      ]),
    );
  });

  it('moves to another leader', async () => {
    const { node, client } = await start();
    const other = await FakeNode.start('n2');
    nodes.push(other);
    const watch = client.watch('k');
    await node.until(() => watches(node).length === 1);
    node.tell(watches(node)[0]!, 10);
    await watch.ready();
    const topology = {
      groups: [{ id: 'g', term: 2, leader: 'n2' }],
      clients: { n1: node.endpoint, n2: other.endpoint },
    };
    other.topology = topology;
    node.announce(topology);
    node.answer(watches(node)[0]!, refuse('not-leader', { retryable: true, details: { leaderId: 'n2' } }));
    await other.until(() => watches(other).length === 1);
    expect(other.operations('watch')[0]?.after).toBe(10);
  });

  it('ends when changes after its token are gone', async () => {
    const { node, client } = await start();
    node.script = (request) =>
      request.operation.op === 'watch' ? refuse('version-compacted') : plain()(request);
    const watch = client.watch('k', { from: encodeToken(new Map([['g', 1]])) });
    expect(await codeOf(watch.next())).toBe('version-compacted');
    expect(await codeOf(watch.ready())).toBe('version-compacted');
  });

  it('asks for no more than its reader takes, and loses nothing of it', async () => {
    const { node, client } = await start();
    const watch = client.watch('k');
    await node.until(() => watches(node).length === 1);
    node.tell(watches(node)[0]!, 0);
    await watch.ready();
    const first = Array.from({ length: 5_000 }, (_, n) => put(n + 1));
    node.tell(watches(node)[0]!, 5_000, ...first);
    // Nobody reads: the node is told to stop.
    await node.until(() => node.operations('cancel').length === 1);
    const events = await read(watch, 5_000);
    await node.until(() => watches(node).length === 2);
    expect(node.operations('watch')[1]?.after).toBe(5_000);
    node.tell(watches(node)[1]!, 5_001, put(5_001));
    events.push(...(await read(watch, 1)));
    expect(versions(events)).toEqual(Array.from({ length: 5_001 }, (_, n) => n + 1));
  });

  it('ends when its loop is left, its signal aborts, or its client is closed', async () => {
    const { node, client } = await start();
    const left = client.watch('k');
    await node.until(() => watches(node).length === 1);
    node.tell(watches(node)[0]!, 1, put(1));
    for await (const event of left) {
      expect(event.version).toBe(1);
      break;
    }
    await node.until(() => node.operations('cancel').length === 1);
    const signal = new AbortController();
    const aborted = client.watch('k', { signal: signal.signal });
    const next = codeOf(aborted.next());
    signal.abort();
    expect(await next).toBe('aborted');
    const closed = client.watch('k');
    const last = closed.next();
    await client.close();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});

describe('a token', () => {
  it.each(['', 'x', 'bnVsbA', Buffer.from('[[1,2]]').toString('base64url')])(
    '%j is refused',
    async (token) => {
      const { client } = await start();
      expect(() => client.watch('k', { from: token })).toThrow('The token of a watch is none');
    },
  );
});
