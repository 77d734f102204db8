// Sessions over a cluster: a write is applied once across lost answers, changes of leader, snapshots and restarts.

import { isDwError } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { keyValuesOf } from './group-key-values.js';

const clusters: TestCluster[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

async function start(options: Parameters<typeof TestCluster.start>[0]): Promise<TestCluster> {
  const cluster = await TestCluster.start(options);
  clusters.push(cluster);
  return cluster;
}

describe('a session', () => {
  it('gives a retry through another node the first outcome, after the leader has gone', async () => {
    const cluster = await start({ nodes: 3, groups: 1 });
    const leader = cluster.leaderOf('group-1')!;
    const others = cluster.ids.filter((id) => id !== leader);
    const session = await cluster.settle(cluster.node(others[0]!).store.openSessionAsync({ key: 'a' }));
    const first = await cluster.put(others[0]!, 'a', 'one', { session: { ...session, sequence: 1 } });
    await cluster.put(others[1]!, 'a', 'two', { session: { ...session, sequence: 2 } });
    cluster.crash(leader);
    await cluster.until('another leader', () => cluster.settled(others));
    const retry = await cluster.put(others[1]!, 'a', 'one', { session: { ...session, sequence: 1 } });
    expect(retry).toEqual(first);
    expect(await cluster.get(others[0]!, 'a')).toBe('two');
  });

  it('lives on in a snapshot, from which a node starts again', async () => {
    const cluster = await start({ nodes: 1, groups: 1 });
    const { store } = cluster.node('n1');
    const session = await cluster.settle(store.openSessionAsync({ group: 'group-1' }));
    const first = await cluster.put('n1', 'a', 'one', { session: { ...session, sequence: 1 } });
    await cluster.put('n1', 'a', 'plain', { idempotencyKey: 'plain-1' });
    await cluster.put('n1', 'a', 'two');
    await cluster.settle(cluster.node('n1').router.snapshot('group-1'));
    cluster.crash('n1');
    await cluster.startNode('n1');
    await cluster.until('a leader', () => cluster.settled());
    expect(await cluster.put('n1', 'a', 'one', { session: { ...session, sequence: 1 } })).toEqual(first);
    await cluster.put('n1', 'a', 'plain', { idempotencyKey: 'plain-1' });
    expect(await cluster.get('n1', 'a')).toBe('two');
  });

  it('is forgotten at the same entry on all replicas, and its commands are refused then', async () => {
    const cluster = await start({ nodes: 3, groups: 1 });
    const { store } = cluster.node('n2');
    const session = await cluster.settle(store.openSessionAsync({ key: 'a' }));
    await cluster.settle(store.closeSessionAsync(session));
    const refused = cluster.put('n1', 'a', 'late', { session: { ...session, sequence: 1 } });
    await expect(refused).rejects.toMatchObject({ code: 'session-expired' });
    expect(await cluster.get('n3', 'a')).toBeUndefined();
    await cluster.until('all have applied it', () => {
      return (
        new Set(cluster.ids.map((id) => cluster.node(id).engine.group('group-1')!.lastApplied)).size === 1
      );
    });
    const hashes = cluster.ids.map((id) => cluster.node(id).engine.group('group-1')!.status().stateHash);
    expect(new Set(hashes).size).toBe(1);
  });

  it('leaves it open whether a write was applied when a second try finds the session gone', async () => {
    const cluster = await start({ nodes: 3, groups: 1 });
    const leader = cluster.leaderOf('group-1')!;
    const asking = cluster.ids.find((id) => id !== leader)!;
    const session = await cluster.settle(cluster.node(leader).store.openSessionAsync({ key: 'a' }));
    const { engine, store } = cluster.node(leader);
    // The leader applies the write, and its answer is lost.
    cluster.network.dropWhen(
      (frame) => frame.channel === 'dw.kv' && frame.from === leader && frame.to === asking,
    );
    const write = cluster
      .node(asking)
      .store.putAsync('a', Buffer.from('x'), { session: { ...session, sequence: 1 } })
      .catch((error: unknown) => error);
    await cluster.until('it is applied', () => keyValuesOf(engine.group('group-1')!).get('a') !== undefined);
    await cluster.settle(store.closeSessionAsync(session));
    cluster.network.partition(leader, asking);
    expect(await cluster.settle(write)).toMatchObject({ code: 'outcome-unknown' });
  });

  it('belongs to one group, and what makes no sense is refused before it is sent', async () => {
    const cluster = await start({ nodes: 1, groups: 2 });
    const key = cluster.keyOf('group-1');
    const session = { group: 'group-2', session: 1, sequence: 1 };
    const codes: string[] = [];
    for (const options of [
      { session },
      { session: { ...session, group: 'group-1', sequence: -1 } },
      { session: { ...session, group: 'group-1' }, idempotencyKey: 'both' },
      { idempotencyKey: '' },
    ]) {
      await cluster.put('n1', key, 'x', options).catch((error: unknown) => {
        codes.push(isDwError(error) ? error.code : String(error));
      });
    }
    expect(codes).toEqual([
      'session-of-other-group',
      'request-invalid',
      'request-invalid',
      'request-invalid',
    ]);
    expect(keyValuesOf(cluster.node('n1').engine.group('group-1')!).size).toBe(0);
  });
});
