// Replicas open and close while the node runs: what is left behind by a closed one reaches nobody.

import { afterEach, describe, expect, it } from 'vitest';
import { bootstrapConf } from '../groups/placement.js';
import { TestCluster } from '../testing/cluster.test.kit.js';

let cluster: TestCluster;

afterEach(() => cluster.stop());

const conf = ({ placements }: TestCluster, group: string) =>
  bootstrapConf(placements.find(({ id }) => id === group)?.voters ?? []);

describe('a group of a running node', () => {
  it('is closed and opened again while the others serve, and has lost nothing', async () => {
    cluster = await TestCluster.start({ groups: 2 });
    const leader = cluster.leaderOf('group-1')!;
    const key = cluster.keyOf('group-1');
    await cluster.put('n1', key, 'before');
    await cluster.settle(cluster.node(leader).engine.closeGroup('group-1'));
    expect(cluster.node(leader).engine.group('group-1')).toBeUndefined();
    // The other two elect, and the node that has no replica any more finds them.
    expect(await cluster.get(leader, key)).toBe('before');
    await cluster.put(leader, key, 'meanwhile');
    const other = cluster.keyOf('group-2');
    await cluster.put(leader, other, 'untouched');
    await cluster.settle(cluster.node(leader).engine.openGroup('group-1', conf(cluster, 'group-1')));
    await cluster.until('it has caught up', () => {
      const hashes = cluster.ids.map((id) => cluster.node(id).engine.group('group-1')?.status().stateHash);
      return new Set(hashes).size === 1;
    });
    expect(await cluster.get(leader, key, { consistency: 'stale' })).toBe('meanwhile');
  });

  it('tells who waits that it was closed, and hears nothing of a write that was under way', async () => {
    cluster = await TestCluster.start({ groups: 1, nodes: 1 });
    const { engine } = cluster.node('n1');
    const first = engine.group('group-1')!;
    cluster.stallDisk('n1');
    const late: string[] = [];
    first.submit('opaque', Buffer.from('x'), cluster.clock.now() + 60_000, (result) => {
      late.push(result.ok ? 'ok' : result.error.code);
    });
    await cluster.advance(20);
    const closing = engine.closeGroup('group-1');
    await cluster.settle(closing);
    // It was in the log of a disk that may yet write it.
    expect(late).toEqual(['outcome-unknown']);
    expect(() => first.submit('opaque', Buffer.from('y'), 1e9, () => undefined)).toThrow(
      expect.objectContaining({ code: 'group-closed' }),
    );
    await cluster.settle(engine.openGroup('group-1', conf(cluster, 'group-1')));
    const second = engine.group('group-1')!;
    expect(second).not.toBe(first);
    cluster.node('n1').unstall();
    await cluster.until('it leads again', () => second.isLeader);
    expect(second.failed).toBeUndefined();
    await cluster.put('n1', 'k', 'v');
  });

  it('is said to have no replica here once it is destroyed, and begins with nothing when it is opened again', async () => {
    cluster = await TestCluster.start({ groups: 1 });
    const key = cluster.keyOf('group-1');
    await cluster.put('n1', key, 'v');
    const follower = cluster.ids.find((id) => id !== cluster.leaderOf('group-1'))!;
    const { engine, router, storage } = cluster.node(follower);
    await cluster.settle(engine.destroyGroup('group-1'));
    expect(storage.groupIds).toEqual([]);
    await expect(router.local.propose('group-1', 'opaque', Buffer.from('x'), 1e9)).rejects.toMatchObject({
      code: 'no-replica',
      retryable: true,
    });
    // Its clients are served by the others.
    expect(await cluster.get(follower, key)).toBe('v');
    // Without a vote: what it had is gone.
    const empty = await cluster.settle(engine.openGroup('group-1', bootstrapConf([])));
    expect([empty.lastApplied, empty.term]).toEqual([0, 0]);
  });

  it('does what is asked of it in order, and opening twice opens once', async () => {
    cluster = await TestCluster.start({ groups: 1 });
    const { engine } = cluster.node('n2');
    const asked = [
      engine.closeGroup('group-1'),
      engine.openGroup('group-1', conf(cluster, 'group-1')),
      engine.openGroup('group-1', conf(cluster, 'group-1')),
    ];
    const [, one, two] = await cluster.settle(Promise.all(asked));
    expect(one).toBe(two);
    expect(engine.all()).toHaveLength(1);
  });
});
