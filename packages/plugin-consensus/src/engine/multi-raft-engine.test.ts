// Whole nodes in one process: elections, reads and writes on any node, and what happens when nodes, links and disks fail.

import { isDwError } from '@datawarehouse/sdk';
import { settle } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { keyValuesOf } from '../groups/group-key-values.js';
import { TestCluster } from '../testing/cluster.test.kit.js';

const open: TestCluster[] = [];

async function start(options: Parameters<typeof TestCluster.start>[0] = {}): Promise<TestCluster> {
  const cluster = await TestCluster.start(options);
  open.push(cluster);
  return cluster;
}

afterEach(async () => {
  for (const cluster of open.splice(0)) {
    await cluster.stop();
    expect(cluster.clock.pendingTimers()).toEqual([]);
    const errors = cluster.logs.filter((line) => line.level === 'error' && !cluster.broken.has(line.node));
    expect(errors).toEqual([]);
  }
});

/** The code of the error that a promise rejects with; undefined when it resolves. */
async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return isDwError(error) ? error.code : String(error);
  }
}

describe('a cluster of three nodes', () => {
  it('spreads the leaders of its groups over the nodes', async () => {
    const cluster = await start();
    expect(cluster.placements.map(({ id }) => cluster.leaderOf(id))).toEqual(['n1', 'n2', 'n3']);
  });

  it('serves any key on any node', async () => {
    const cluster = await start();
    for (const { id: group } of cluster.placements) {
      const key = cluster.keyOf(group);
      for (const writer of cluster.ids) {
        const { version, group: owner } = await cluster.put(writer, key, `from ${writer}`);
        expect(owner).toBe(group);
        for (const reader of cluster.ids) {
          expect(await cluster.get(reader, key)).toBe(`from ${writer}`);
          const found = await cluster.settle(cluster.node(reader).store.getAsync(key));
          expect(found?.version).toBe(version);
        }
      }
    }
  });

  it('has the same state on all replicas', async () => {
    const cluster = await start();
    for (let n = 0; n < 30; n++) await cluster.put(cluster.ids[n % 3]!, `key-${n}`, `value-${n}`);
    await cluster.advance(500);
    for (const { id: group } of cluster.placements) {
      const statuses = cluster.ids.map((id) => cluster.node(id).engine.group(group)!.status());
      expect(new Set(statuses.map((status) => status.lastApplied)).size).toBe(1);
      expect(new Set(statuses.map((status) => status.stateHash)).size).toBe(1);
    }
  });

  it('holds conditions, and tells the version that it has', async () => {
    const cluster = await start();
    const { version } = await cluster.put('n1', 'a', '1', { ifVersion: 'absent' });
    expect(await codeOf(cluster.put('n2', 'a', '2', { ifVersion: 'absent' }))).toBe('version-mismatch');
    expect(await codeOf(cluster.put('n2', 'a', '2', { ifVersion: version + 1 }))).toBe('version-mismatch');
    await cluster.put('n3', 'a', '2', { ifVersion: version });
    const gone = await cluster.settle(cluster.node('n1').store.deleteAsync('a'));
    expect(gone.existed).toBe(true);
    expect(await cluster.get('n2', 'a')).toBeUndefined();
  });

  it('applies a request with an idempotency key once, and refuses the key for another', async () => {
    const cluster = await start();
    const first = await cluster.put('n1', 'a', '1', { idempotencyKey: 'r' });
    await cluster.put('n1', 'a', '2');
    expect(await cluster.put('n2', 'a', '1', { idempotencyKey: 'r' })).toEqual(first);
    expect(await cluster.get('n3', 'a')).toBe('2');
    expect(await codeOf(cluster.put('n2', 'a', '3', { idempotencyKey: 'r' }))).toBe('idempotency-key-reused');
  });

  it('lists keys of all groups in order', async () => {
    const cluster = await start();
    const keys = Array.from({ length: 40 }, (_, n) => `list/${String(n).padStart(2, '0')}`);
    for (const key of keys.toReversed()) await cluster.put('n1', key, '');
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const query = { prefix: 'list/', limit: 7, ...(after === undefined ? {} : { after }) };
      const page = await cluster.settle(cluster.node('n2').store.listAsync(query));
      seen.push(...page.items.map((item) => item.key));
      after = page.next;
    } while (after !== undefined);
    expect(seen).toEqual(keys);
  });

  it('commits opaque proposals without touching a key', async () => {
    const cluster = await start();
    const { router } = cluster.node('n2');
    const { index, outcome } = await cluster.settle(
      router.propose('group-1', 'opaque', Buffer.from('x'), false),
    );
    expect(outcome.status).toBe('committed');
    expect(index).toBeGreaterThan(0);
  });

  it('elects another leader when one dies, and loses nothing that it acknowledged', async () => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    await cluster.put('n2', key, 'before');
    cluster.crash('n1');
    await cluster.until('another leader', () => cluster.settled());
    expect(cluster.leaderOf('group-1')).not.toBe('n1');
    expect(await cluster.get('n2', key)).toBe('before');
    await cluster.put('n3', key, 'after');
    await cluster.startNode('n1');
    expect(await cluster.get('n1', key)).toBe('after');
  });

  it('keeps everything when all nodes are killed at once', async () => {
    const cluster = await start();
    for (let n = 0; n < 20; n++) await cluster.put('n1', `key-${n}`, `${n}`);
    for (const id of cluster.ids) cluster.crash(id);
    for (const id of cluster.ids) await cluster.startNode(id);
    for (let n = 0; n < 20; n++) expect(await cluster.get('n2', `key-${n}`)).toBe(`${n}`);
  });

  it('moves leadership on request, also when another node is asked', async () => {
    const cluster = await start();
    await cluster.settle(cluster.node('n2').router.transfer('group-1', 'n3'));
    expect(cluster.leaderOf('group-1')).toBe('n3');
    expect(await codeOf(cluster.settle(cluster.node('n2').router.transfer('group-1', 'n9')))).toBe(
      'transfer-target-invalid',
    );
    await cluster.put('n1', cluster.keyOf('group-1'), 'on');
  });

  it('hands its leadership over when it drains', async () => {
    const cluster = await start();
    const draining = cluster.node('n1').engine.drain(new AbortController().signal);
    await cluster.settle(draining);
    expect(cluster.leaderOf('group-1')).not.toBe('n1');
    expect(cluster.node('n1').engine.refusal?.code).toBe('draining');
  });
});

describe('a partition', () => {
  it('leaves the majority serving; the minority answers no read and no write as if it were current', async () => {
    const cluster = await start({ limits: { requestTimeoutMs: 1_500 } });
    const key = cluster.keyOf('group-1');
    await cluster.put('n1', key, 'old');
    cluster.network.partition('n1', ['n2', 'n3']);
    const stale = codeOf(cluster.node('n1').store.getAsync(key));
    const lost = codeOf(cluster.node('n1').store.putAsync(key, Buffer.from('lost')));
    await cluster.until('another leader', () => cluster.settled(['n2', 'n3']));
    await cluster.put('n2', key, 'new');
    expect(await cluster.settle(stale)).toMatch(/^(no-leader|read-timeout)$/);
    expect(await cluster.settle(lost)).toBe('outcome-unknown');
    expect(await cluster.get('n1', key, { consistency: 'stale' })).toBe('old');
    cluster.network.heal();
    await cluster.until('one leader', () => cluster.settled());
    expect(await cluster.get('n1', key)).toBe('new');
  });

  it('tells a deposed leader that its proposal did not happen, once that is certain', async () => {
    const cluster = await start({ limits: { requestTimeoutMs: 60_000 } });
    const group = cluster.node('n1').engine.group('group-1')!;
    cluster.network.partition('n1', ['n2', 'n3']);
    const outcome = codeOf(
      cluster
        .node('n1')
        .router.local.propose('group-1', 'opaque', Buffer.from('x'), cluster.clock.now() + 60_000),
    );
    await cluster.until('another leader', () => cluster.leaderOf('group-1', ['n2', 'n3']) !== undefined);
    await cluster.put('n2', cluster.keyOf('group-1'), 'new');
    cluster.network.heal();
    expect(await cluster.settle(outcome)).toBe('leadership-lost');
    expect(group.pending.inLog).toBe(0);
  });

  it.each([
    ['does not make a write again that may have happened', undefined, 'outcome-unknown'],
    ['makes it again when its idempotency key makes that harmless', 'once', undefined],
  ] as const)('%s', async (_name, idempotencyKey, expected) => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    const group = cluster.node('n1').engine.group('group-1')!;
    // The leader gets the write and applies it; its answer is lost, and then the connection.
    cluster.network.dropWhen(
      (frame) => frame.channel === 'dw.kv' && frame.from === 'n1' && frame.to === 'n2',
    );
    const options = idempotencyKey === undefined ? {} : { idempotencyKey };
    const write = cluster.node('n2').store.putAsync(key, Buffer.from('x'), options);
    write.catch(() => undefined);
    await cluster.until('the write is applied', () => keyValuesOf(group).get(key) !== undefined);
    const first = keyValuesOf(group).get(key)!.version;
    cluster.network.partition('n1', 'n2');
    expect(await codeOf(cluster.settle(write))).toBe(expected);
    expect(keyValuesOf(group).get(key)!.version).toBe(first);
    if (expected === undefined) expect((await write).version).toBe(first);
  });
});

describe('a follower that cannot reach the leader', () => {
  it('is served through another one', async () => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    cluster.network.partition('n1', 'n2');
    await cluster.advance(3_000);
    expect(cluster.leaderOf('group-1')).toBe('n1');
    await cluster.put('n2', key, 'through n3');
    expect(await cluster.get('n2', key)).toBe('through n3');
    expect(await cluster.get('n1', key)).toBe('through n3');
  });
});

describe('a leader that was paused', () => {
  it('serves no stale read when it goes on', async () => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    await cluster.put('n1', key, 'old');
    // Paused: nothing goes in or out, and it does not see its connections break.
    const paused = cluster.network.dropWhen((frame) => frame.from === 'n1' || frame.to === 'n1');
    await cluster.until('another leader', () => cluster.leaderOf('group-1', ['n2', 'n3']) !== undefined);
    await cluster.put('n2', key, 'new');
    const read = cluster.node('n1').store.getAsync(key);
    paused[Symbol.dispose]();
    const found = await cluster.settle(read);
    expect(Buffer.from(found!.value).toString()).toBe('new');
  });
});

describe('a disk that stalls', () => {
  it('costs its node the leadership, and the group goes on', async () => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    await cluster.put('n2', key, 'before');
    cluster.stallDisk('n1');
    const during = cluster.node('n2').store.putAsync(key, Buffer.from('during'));
    await cluster.until('another leader', () => {
      const leader = cluster.leaderOf('group-1', ['n2', 'n3']);
      return leader !== undefined && cluster.node('n1').engine.group('group-1')?.isLeader === false;
    });
    const code = await codeOf(cluster.settle(during));
    expect([undefined, 'outcome-unknown']).toContain(code);
    await cluster.put('n3', key, 'after');
    expect(await cluster.get('n2', key)).toBe('after');
    cluster.node('n1').unstall();
    expect(await cluster.get('n1', key)).toBe('after');
  });

  it('never lets a write be acknowledged that no majority has on disk', async () => {
    const cluster = await start({ limits: { requestTimeoutMs: 1_000 } });
    cluster.stallDisk('n2');
    cluster.stallDisk('n3');
    const key = cluster.keyOf('group-1');
    expect(await codeOf(cluster.put('n1', key, 'x'))).toBe('outcome-unknown');
  });
});

describe('a disk that fails', () => {
  it('takes its node out for good, with what it had under way unknown, and the others go on', async () => {
    const cluster = await start();
    const key = cluster.keyOf('group-1');
    await cluster.put('n1', key, 'before');
    cluster.stallDisk('n1');
    cluster.network.partition('n1', ['n2', 'n3']);
    const write = codeOf(cluster.node('n1').store.putAsync(key, Buffer.from('x')));
    await cluster.advance(30);
    cluster.failDisk('n1');
    expect(await cluster.settle(write)).toBe('outcome-unknown');
    expect(cluster.node('n1').engine.failure?.code).toBe('storage-failed');
    cluster.network.heal();
    await cluster.until('another leader', () => cluster.leaderOf('group-1', ['n2', 'n3']) !== undefined);
    // The node still answers for its clients, through the others.
    await cluster.put('n1', key, 'after');
    expect(await cluster.get('n1', key)).toBe('after');
    expect(await cluster.get('n3', key)).toBe('after');
  });
});

describe('a node that follows and leads', () => {
  it('answers the leader of one group in the frame that carries its own entries to it', async () => {
    const cluster = await start();
    cluster.stallDisk('n2');
    const written = cluster.node('n1').store.putAsync(cluster.keyOf('group-1'), Buffer.from('x'));
    await settle();
    const sent = vi.spyOn(cluster.network.transport('n2'), 'send');
    const { engine } = cluster.node('n2');
    const [followed, led] = [engine.group('group-1')!, engine.group('group-2')!];
    const durable = followed.durable.bind(followed);
    vi.spyOn(followed, 'durable').mockImplementation((append) => {
      // What n2 leads has a turn coming when the disk is done with the entry of n1.
      led.submit('opaque', Buffer.from('y'), cluster.clock.now() + 1_000, () => undefined);
      durable(append);
    });
    cluster.node('n2').unstall();
    await settle();
    expect(sent.mock.calls.map(([to]) => to).toSorted()).toEqual(['n1', 'n3']);
    await cluster.settle(written);
  });
});

describe('overload', () => {
  it('is refused at once, and what was taken stays within its bounds', async () => {
    const cluster = await start({
      limits: { maxPendingProposals: 50, maxInflightWrites: 1, requestTimeoutMs: 2_000 },
    });
    const key = cluster.keyOf('group-1');
    cluster.stallDisk('n2');
    cluster.stallDisk('n3');
    const results = Array.from({ length: 200 }, () =>
      codeOf(cluster.node('n1').store.putAsync(key, Buffer.from('x'))),
    );
    await cluster.advance(10);
    expect(cluster.node('n1').engine.budget.count).toBe(50);
    const codes = await cluster.settle(Promise.all(results));
    expect(codes.filter((code) => code === 'overloaded')).toHaveLength(150);
    expect(new Set(codes)).toEqual(new Set(['overloaded', 'outcome-unknown']));
    cluster.node('n2').unstall();
    cluster.node('n3').unstall();
    await cluster.put('n1', key, 'y');
    expect(cluster.node('n1').engine.budget.count).toBe(0);
  });

  it('of clients leaves Raft its own way: heartbeats go on and nobody is deposed', async () => {
    const cluster = await start({ limits: { maxPendingProposals: 10_000, maxConcurrentOperations: 10_000 } });
    const term = cluster.node('n1').engine.group('group-1')!.term;
    const key = cluster.keyOf('group-1');
    const writes = Array.from({ length: 3_000 }, (_, n) =>
      cluster.node('n2').store.putAsync(key, Buffer.from(String(n))),
    );
    await cluster.settle(Promise.all(writes));
    expect(cluster.node('n1').engine.group('group-1')!.term).toBe(term);
  });
});

describe('snapshots', () => {
  const limits = { snapshotEntries: 100, maxCacheEntries: 10 };

  it('keep the log short', async () => {
    const cluster = await start({ groups: 1, limits });
    for (let n = 0; n < 400; n++) await cluster.put('n1', `key-${n % 50}`, `${n}`);
    await cluster.advance(1_000);
    for (const id of cluster.ids) {
      const { storage } = cluster.node(id).engine.group('group-1')!;
      expect(storage.lastIndex() - storage.firstIndex()).toBeLessThan(250);
    }
    for (const id of cluster.ids) cluster.crash(id);
    for (const id of cluster.ids) await cluster.startNode(id);
    expect(await cluster.get('n3', 'key-49')).toBe('399');
  });

  it('bring a node up to date whose entries are gone', async () => {
    const cluster = await start({ groups: 1, limits });
    await cluster.put('n1', 'first', '1', { idempotencyKey: 'r1' });
    cluster.crash('n3');
    for (let n = 0; n < 400; n++) await cluster.put('n1', `key-${n}`, 'x'.repeat(2_000));
    await cluster.advance(1_000);
    await cluster.startNode('n3');
    await cluster.until('a snapshot is installed', () =>
      cluster.logs.some((line) => line.node === 'n3' && /installed a snapshot/.test(line.message)),
    );
    expect(await cluster.get('n3', 'key-399')).toBe('x'.repeat(2_000));
    await cluster.advance(500);
    const hashes = cluster.ids.map((id) => cluster.node(id).engine.group('group-1')!.status().stateHash);
    expect(new Set(hashes).size).toBe(1);
    const again = await cluster.put('n3', 'first', '1', { idempotencyKey: 'r1' });
    expect(again.version).toBeLessThan(10);
  });

  it('begin again when a transfer is lost on the way', async () => {
    const cluster = await start({ groups: 1, limits });
    cluster.crash('n3');
    for (let n = 0; n < 300; n++) await cluster.put('n1', `key-${n}`, `${n}`);
    await cluster.advance(1_000);
    let dropped = 0;
    const rule = cluster.network.dropWhen(
      (frame) => frame.channel === 'dw.raft.snapshot' && frame.to === 'n3' && ++dropped < 2,
    );
    await cluster.startNode('n3');
    await cluster.advance(60_000);
    expect(dropped).toBeGreaterThanOrEqual(2);
    rule[Symbol.dispose]();
    expect(await cluster.get('n3', 'key-299', { consistency: 'stale' })).toBe('299');
  });

  it('are taken on request, and let the whole log go', async () => {
    const cluster = await start({ groups: 1 });
    for (let n = 0; n < 20; n++) await cluster.put('n1', `key-${n}`, `${n}`);
    // A follower hears with the next tick that the last of them is committed.
    await cluster.advance(20);
    const index = await cluster.settle(cluster.node('n2').router.snapshot('group-1'));
    expect(index).toBeGreaterThan(20);
    expect(cluster.node('n2').engine.group('group-1')!.storage.firstIndex()).toBe(index + 1);
    await cluster.put('n2', 'more', '1');
  });
});

describe('a cluster with more nodes than voters', () => {
  it('serves keys on nodes that have no replica of their group', async () => {
    const cluster = await start({ nodes: 5, groups: 3 });
    for (const { id: group, voters } of cluster.placements) {
      const outsider = cluster.ids.find((id) => !voters.includes(id))!;
      expect(cluster.node(outsider).engine.group(group)).toBeUndefined();
      const key = cluster.keyOf(group);
      await cluster.put(outsider, key, group);
      expect(await cluster.get(outsider, key)).toBe(group);
      expect(await cluster.get(outsider, `${key}-none`)).toBeUndefined();
      const status = await cluster.settle(cluster.node(outsider).router.status(group));
      expect(status.voters).toEqual(voters);
    }
  });
});

describe('hostile peers', () => {
  it('are refused and counted, and the node goes on', async () => {
    const cluster = await start();
    const { transport } = { transport: cluster.network.transport('n2') };
    for (let n = 0; n < 50; n++) {
      transport.send('n1', 'dw.raft', Buffer.from([1, n, n, n, n]));
      transport.send('n1', 'dw.kv', Buffer.from([1, n, n, n, n]));
      transport.send('n1', 'dw.kv', Buffer.from([2, n, 0, 0, 255]));
    }
    await cluster.advance(50);
    const { engine, router } = cluster.node('n1');
    expect(engine.counters.malformedFrames).toBe(50);
    expect(router.malformedFrames).toBeGreaterThan(0);
    await cluster.put('n1', 'still', 'here');
  });
});
