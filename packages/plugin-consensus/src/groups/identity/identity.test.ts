// A node that has forgotten what it promised is known for it: it votes in nothing. One that is new begins when nobody
// can know better.

import { MemoryBackingStore } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../../testing/cluster.test.kit.js';
import { storageOfAnother } from './identity-errors.js';
import { startVerdict } from './first-start.js';
import { IDENTITY_CHANNEL, decodeIntroduction, encodeIntroduction } from './identity-messages.js';
import { IdentityRecord } from './identity-record.js';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

describe('the verdict on a first start', () => {
  it('is to begin only when every other voter has spoken: a majority may be those that never met the node', () => {
    const others = ['n1', 'n3'];
    expect(startVerdict('undecided', others, (id) => id === 'n3')).toEqual({ kind: 'wait', for: ['n1'] });
    expect(startVerdict('undecided', others, () => true)).toEqual({ kind: 'bootstrap' });
  });

  it('is to begin at once when there is nobody else', () => {
    expect(startVerdict('undecided', [], () => false)).toEqual({ kind: 'bootstrap' });
  });

  it('is to go on, for one that began, without asking anybody', () => {
    expect(startVerdict('bootstrapping', ['n1'], () => false)).toEqual({ kind: 'bootstrap' });
    expect(startVerdict('member', ['n1'], () => false)).toEqual({ kind: 'resume' });
  });

  it('is to make nothing, for one that lost its storage, however many agree', () => {
    expect(startVerdict('returning', ['n1'], () => true)).toEqual({ kind: 'resume' });
  });
});

describe('the record', () => {
  const path = 'dw://test/identity';
  const storage = (storageId: string, fresh: boolean, groupIds: string[] = []) => ({
    storageId,
    fresh,
    groupIds,
  });

  it('keeps what it was told over a restart', async () => {
    const store = new MemoryBackingStore();
    const record = await IdentityRecord.open(store, path, 'n1', storage('A', true));
    expect(record.start).toBe('undecided');
    await Promise.all([record.remember('n2', 'B'), record.remember('n3', 'C'), record.enter('member')]);
    await record.forget('n3');
    const again = await IdentityRecord.open(store, path, 'n1', storage('A', false, ['g']));
    expect([again.start, again.peer('n2'), again.peer('n3')]).toEqual(['member', 'B', undefined]);
    expect([again.ownerOf('A'), again.ownerOf('B'), again.ownerOf('X')]).toEqual(['n1', 'n2', undefined]);
  });

  it('knows by itself that the Raft storage beside it was wiped', async () => {
    const store = new MemoryBackingStore();
    await (await IdentityRecord.open(store, path, 'n1', storage('A', true))).enter('member');
    const record = await IdentityRecord.open(store, path, 'n1', storage('B', true));
    expect(record.start).toBe('returning');
  });

  it('refuses a storage that was put there, and a directory of another node', async () => {
    const store = new MemoryBackingStore();
    await IdentityRecord.open(store, path, 'n1', storage('A', true));
    const swapped = { code: 'storage-swapped' };
    await expect(IdentityRecord.open(store, path, 'n1', storage('B', false, ['g']))).rejects.toMatchObject(
      swapped,
    );
    await expect(IdentityRecord.open(store, path, 'n2', storage('A', false))).rejects.toMatchObject(swapped);
  });

  it('takes a storage from before there were records for what it is: one that has begun', async () => {
    const record = await IdentityRecord.open(
      new MemoryBackingStore(),
      path,
      'n1',
      storage('A', false, ['g']),
    );
    expect(record.start).toBe('member');
  });

  it.each(['', '{', '7', '{"nodeId":"n1","storageId":"A","start":"leader","peers":{}}'])(
    'is not guessed at when it is broken: %s',
    async (text) => {
      const store = new MemoryBackingStore();
      await store.writeAsync(path, Buffer.from(text));
      await expect(IdentityRecord.open(store, path, 'n1', storage('A', true))).rejects.toMatchObject({
        code: 'frame-malformed',
      });
    },
  );

  it('has a bound on the peers that it keeps', async () => {
    const store = new MemoryBackingStore();
    const peers = Object.fromEntries(Array.from({ length: 4_096 }, (_, n) => [`p${n}`, `s${n}`]));
    const content = { nodeId: 'n1', storageId: 'A', start: 'member', peers };
    await store.writeAsync(path, Buffer.from(JSON.stringify(content)));
    const record = await IdentityRecord.open(store, path, 'n1', storage('A', false));
    await expect(record.remember('one-more', 'x')).rejects.toMatchObject({ code: 'identity-table-full' });
    await record.remember('p1', 'another disk');
  });
});

describe('introductions', () => {
  it('come out as they went in, and nothing else is one', () => {
    const told = { storageId: 'A', returning: true };
    expect(decodeIntroduction(encodeIntroduction(told))).toEqual(told);
    for (const bytes of [[], [9, 0, 1, 65], [1, 2, 1, 65], [1, 0, 0], [1, 0, 1, 65, 7]]) {
      expect(() => decodeIntroduction(Uint8Array.from(bytes))).toThrow(
        expect.objectContaining({ code: 'frame-malformed' }),
      );
    }
  });
});

it('one storage under two ids is an error that names the owner', () => {
  const error = storageOfAnother('n3', 'n2');
  expect(error).toMatchObject({ code: 'storage-of-another-node', status: 409, details: { owner: 'n2' } });
});

describe('a cluster', () => {
  it('begins when all its voters have met, about as fast as without', async () => {
    cluster = await TestCluster.start({ identity: true });
    expect(cluster.clock.now()).toBeLessThan(1_000);
    await cluster.put('n1', 'k', 'v');
  });

  it('does not begin with a majority: the one that is missing may know better', async () => {
    cluster = new TestCluster({ identity: true });
    await cluster.startNode('n1');
    await cluster.startNode('n2');
    await cluster.advance(5_000);
    expect(cluster.node('n1').engine.all()).toEqual([]);
    expect(cluster.node('n1').replicas?.obstacle).toContain('n3');
    await cluster.startNode('n3');
    await cluster.until('leaders', () => cluster?.settled() === true);
  });

  it('of one node begins at once', async () => {
    cluster = await TestCluster.start({ identity: true, nodes: 1 });
    await cluster.put('n1', 'k', 'v');
  });

  it('goes on with a majority once it has begun', async () => {
    cluster = await TestCluster.start({ identity: true });
    for (const id of cluster.ids) cluster.crash(id);
    await cluster.startNode('n1');
    await cluster.startNode('n2');
    await cluster.until('leaders', () => cluster?.settled() === true);
    await cluster.put('n1', 'k', 'v');
  });

  it('does not elect with the vote of a node that lost its disk', async () => {
    // n3 has been away since before the write, n2 forgets it, and n1, the only one that has it, is down.
    cluster = await TestCluster.start({ identity: true, groups: 1 });
    cluster.crash('n3');
    await cluster.until('a leader', () => cluster?.leaderOf('group-1') !== undefined);
    await cluster.put('n1', 'k', 'committed');
    cluster.crash('n2');
    cluster.wipe('n2');
    cluster.crash('n1');
    await cluster.startNode('n2');
    await cluster.startNode('n3');
    await cluster.advance(20_000);
    expect(cluster.node('n2').engine.all()).toEqual([]);
    expect(cluster.leaderOf('group-1')).toBeUndefined();
    await cluster.startNode('n1');
    await cluster.until('a leader', () => cluster?.leaderOf('group-1') !== undefined);
    expect(await cluster.get('n3', 'k')).toBe('committed');
    expect(cluster.node('n2').replicas?.startState).toBe('returning');
    // It noted that for good.
    cluster.crash('n2');
    await cluster.startNode('n2');
    expect(cluster.node('n2').replicas?.startState).toBe('returning');
  });

  it('refuses a node that comes with the storage of another, which serves on', async () => {
    cluster = await TestCluster.start({ identity: true });
    cluster.crash('n3');
    cluster.wipe('n3');
    cluster.crash('n2');
    // Not fresh, and n3's own record is gone with its disk: only the others know.
    cluster.copyDisk('n2', 'n3');
    await cluster.startNode('n2');
    await cluster.startNode('n3');
    const { replicas, engine } = cluster.node('n3');
    await cluster.until('it is refused', () => replicas?.refusal !== undefined);
    expect(replicas?.refusal).toMatchObject({ code: 'storage-swapped' });
    expect(replicas?.refusal?.message).toContain('n2');
    const said = cluster.logs.filter(({ fields }) =>
      String(fields['reason']).includes('known as that of node n2'),
    );
    expect(said.length).toBeGreaterThan(0);
    await cluster.until('it takes part in nothing', () => engine.all().length === 0);
    await cluster.put('n1', 'k', 'v');
  });

  it('steps no Raft message of a node that has not introduced itself', async () => {
    cluster = new TestCluster({ identity: true });
    const rule = cluster.network.dropWhen((frame) => frame.channel === IDENTITY_CHANNEL);
    for (const id of cluster.ids) await cluster.startNode(id);
    await cluster.advance(3_000);
    expect(cluster.ids.map((id) => cluster?.node(id).engine.all().length)).toEqual([0, 0, 0]);
    rule[Symbol.dispose]();
    await cluster.until('leaders', () => cluster?.settled() === true);
  });

  it('answers an introduction that is nonsense with an error and goes on', async () => {
    cluster = new TestCluster({ identity: true, nodes: 2, spares: 1, votersPerGroup: 2 });
    await cluster.startNode('n1');
    await cluster.startNode('n2');
    await cluster.until('leaders', () => cluster?.settled() === true);
    const asked = cluster.network.transport('n3').request('n1', IDENTITY_CHANNEL, Buffer.from([7, 7]));
    await expect(cluster.settle(asked)).rejects.toMatchObject({ code: 'frame-malformed' });
    await cluster.put('n1', 'k', 'v');
  });
});
