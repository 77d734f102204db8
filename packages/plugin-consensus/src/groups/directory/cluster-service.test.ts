// A cluster that lives by its directory: made once, learned by who joins, followed by everybody, left by who is retired.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectoryTestCluster } from './cluster.test.kit.js';
import { addressesOf } from './directory.test.kit.js';
import { DIRECTORY_GROUP } from './directory-types.js';

let cluster: DirectoryTestCluster;

beforeEach(async () => {
  cluster = new DirectoryTestCluster(3, 5);
  await cluster.start();
});

afterEach(() => cluster.stop());

const nodesOf = (id: string): string =>
  cluster
    .node(id)
    .service.view.nodes.map((node) => node.id)
    .join(' ');
const version = (id: string): number => cluster.node(id).service.view.version;

async function agreed(what: string, nodes: string): Promise<void> {
  await cluster.until(what, () => [...cluster.nodes.keys()].every((id) => nodesOf(id) === nodes));
}

async function joined(id: string | null = null): Promise<void> {
  const answer = await cluster.settle(
    cluster.node('n2').service.submit({ op: 'join', id, ...addressesOf(4) }),
  );
  expect(answer).toMatchObject({ ok: true, node: { id: 'n4' } });
  await cluster.startNode('n4', { joins: true, configured: ['n1', 'n2', 'n3', 'n4'] });
}

describe('a new cluster', () => {
  it('makes its directory once, and every node tells its addresses and its storage', async () => {
    await cluster.until('all have announced themselves', () =>
      cluster
        .node('n3')
        .service.view.nodes.every(({ http, storageId }) => http !== null && storageId !== null),
    );
    expect(nodesOf('n1')).toBe('n1 n2 n3');
    const { groups } = cluster.node('n2').service.view;
    expect(groups.map(({ id, machine }) => `${id} ${machine}`)).toEqual([
      'directory directory',
      'group-1 key-value',
    ]);
    // Nothing is left to tell: it stands still.
    const before = version('n1');
    await cluster.advance(5_000);
    expect(version('n1')).toBe(before);
  });

  it('keeps it over a restart of all, whatever the configuration says then', async () => {
    await cluster.advance(3_000);
    const before = version('n1');
    for (const id of ['n1', 'n2', 'n3']) cluster.crash(id);
    for (const id of ['n1', 'n2', 'n3']) await cluster.startNode(id, { groups: 4 });
    await cluster.until('a leader', () => cluster.leader() !== undefined);
    await cluster.advance(3_000);
    expect(version('n1')).toBe(before);
    expect(cluster.node('n1').service.table.keyGroups()).toEqual(['group-1']);
    expect(cluster.logs.some(({ message }) => message.startsWith('the groups on disk are not those'))).toBe(
      true,
    );
  });

  it('is made over groups that were there before there was a directory, and keeps them', async () => {
    await cluster.advance(3_000);
    for (const id of ['n1', 'n2', 'n3']) await cluster.forgetDirectory(id);
    for (const id of ['n1', 'n2', 'n3']) await cluster.startNode(id, { groups: 4 });
    await cluster.until('it is made', () => version('n3') > 0);
    expect(cluster.node('n2').service.table.keyGroups()).toEqual(['group-1']);
  });

  it('learns where a node is that has moved', async () => {
    await cluster.advance(3_000);
    cluster.crash('n3');
    await cluster.startNode('n3', { peer: '127.0.0.1:9999' });
    const seen = (id: string) => cluster.node(id).service.view.nodes.find((node) => node.id === 'n3')?.peer;
    await cluster.until('n1 has heard', () => seen('n1') === '127.0.0.1:9999');
  });
});

describe('a node that joins', () => {
  it('learns the groups before it serves, and becomes a member of everybody', async () => {
    const early = await cluster.startNode('n5', { joins: true, configured: ['n5'] });
    expect(() => early.service.table.groupOf('key')).toThrow(
      expect.objectContaining({ code: 'groups-unknown' }),
    );
    expect(early.service.standing).toBe('joining');
    const waiting = early.service.learned(1_000);
    await cluster.advance(2_000);
    expect(await waiting).toBe(false);
    cluster.crash('n5');
    await joined();
    expect(await cluster.settle(cluster.node('n4').service.learned(30_000))).toBe(true);
    await agreed('all know n4', 'n1 n2 n3 n4');
    expect(cluster.node('n4').service.standing).toBe('member');
    expect(cluster.node('n4').service.table.groupOf('key')).toBe('group-1');
    expect(cluster.node('n1').members()).toBe('n2 n3 n4');
    // It was not asked to hold anything, and does not.
    expect(cluster.node('n4').engine.all()).toEqual([]);
  });

  it('is known after everybody was restarted, though no configuration names it', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    for (const id of ['n1', 'n2', 'n3', 'n4']) cluster.crash(id);
    for (const id of ['n1', 'n2', 'n3']) await cluster.startNode(id);
    expect(cluster.node('n1').members()).toBe('n2 n3 n4');
  });

  it('is told of changes at once, and does not have to ask', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    // Right after it has asked, so that it does not ask again before this is over.
    await cluster.advance(5_000);
    await cluster.until('n4 has just asked', () => cluster.clock.now() % 1_000 === 500);
    await cluster.settle(cluster.node('n1').service.submit({ op: 'join', id: 'n5', ...addressesOf(5) }));
    await cluster.advance(100);
    expect(nodesOf('n4')).toBe('n1 n2 n3 n4 n5');
  });

  it('learns what it missed while nobody told it', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    cluster.network.partition('n4', ['n1', 'n2', 'n3']);
    await cluster.settle(cluster.node('n1').service.submit({ op: 'join', id: 'n5', ...addressesOf(5) }));
    await cluster.advance(3_000);
    expect(nodesOf('n4')).toBe('n1 n2 n3 n4');
    cluster.network.heal();
    await agreed('n4 knows n5', 'n1 n2 n3 n4 n5');
  });
});

describe('a request of a node that can reach nobody but one that has just joined', () => {
  it('waits for the leader: that the other does not know the group yet says nothing of the group', async () => {
    await cluster.startNode('n5', { joins: true, configured: ['n5'] });
    const [id] = [...cluster.nodes.keys()].filter((other) => other !== cluster.leader()?.id) as [string];
    const others = ['n1', 'n2', 'n3'].filter((other) => other !== id);
    cluster.network.partition(id, others);
    const answer = cluster.node(id).service.submit({ op: 'keep', id });
    const told = answer.then(
      ({ ok }) => ok,
      (error: unknown) => error,
    );
    await cluster.advance(1_000);
    cluster.network.heal();
    expect(await cluster.settle(told)).toBe(true);
  });
});

describe('a node that is removed', () => {
  it('says that it was retired, serves a moment longer, and takes part in nothing afterwards, also when restarted', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    const { service } = cluster.node('n1');
    await cluster.settle(service.submit({ op: 'retire', id: 'n4' }));
    expect(await cluster.settle(service.submit({ op: 'remove', id: 'n4' }))).toMatchObject({ ok: true });
    const retired = cluster.node('n4').service;
    await cluster.until('it knows', () => retired.standing === 'retired');
    expect(retired.table.groupOf('key')).toBe('group-1');
    await cluster.advance(6_000);
    expect(() => retired.table.groupOf('key')).toThrow(expect.objectContaining({ code: 'node-retired' }));
    await expect(retired.submit({ op: 'keep', id: 'n4' })).rejects.toMatchObject({ code: 'node-retired' });
    expect([cluster.node('n4').members(), cluster.node('n1').members()]).toEqual(['', 'n2 n3']);
    cluster.crash('n4');
    const again = await cluster.startNode('n4', { joins: true, configured: ['n1', 'n4'] });
    expect([again.service.standing, again.members()]).toEqual(['retired', '']);
  });
});

describe('the id of a node that was retired', () => {
  it('belongs to a node with a fresh data directory that joins under it, and to no other', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    const storageOf = () => cluster.node('n1').service.view.nodes.find(({ id }) => id === 'n4')?.storageId;
    await cluster.until('its storage is known', () => typeof storageOf() === 'string');
    const before = storageOf();
    const { service } = cluster.node('n1');
    await cluster.settle(service.retireNode('n4', 60_000, new AbortController().signal));
    await cluster.advance(6_000);
    cluster.crash('n4');
    cluster.wipe('n4');
    await joined('n4');
    await agreed('all know n4 again', 'n1 n2 n3 n4');
    await cluster.until('its storage is another', () => {
      const now = storageOf();
      return typeof now === 'string' && now !== before;
    });
    const request = { add: ['n4'], addLearners: [], addWitnesses: [], remove: [] };
    expect(
      await cluster.settle(cluster.node('n1').replicas.members.change('group-1', request)),
    ).toMatchObject({
      voters: ['n1', 'n2', 'n3', 'n4'],
    });
  });
});

describe('the group of the directory', () => {
  it('lives on the first nodes of the configuration, and is equal on them', async () => {
    await cluster.advance(3_000);
    const groups = ['n1', 'n2', 'n3'].map((id) => cluster.node(id).engine.group(DIRECTORY_GROUP)?.status());
    expect(new Set(groups.map((status) => `${status?.lastApplied} ${status?.stateHash}`)).size).toBe(1);
    expect(groups[0]?.voters).toEqual(['n1', 'n2', 'n3']);
  });

  it('goes on without one of them', async () => {
    cluster.crash(cluster.leader()?.id ?? '');
    const [one] = cluster.nodes.values();
    const answer = await cluster.settle(
      one?.service.submit({ op: 'join', id: 'n4', ...addressesOf(4) }) ?? Promise.reject(new Error('none')),
    );
    expect(answer.ok).toBe(true);
  });
});

describe('a node that is retired', () => {
  const voters = (group: string): string =>
    cluster
      .node('n1')
      .service.view.groups.find(({ id }) => id === group)
      ?.voters.join(' ') ?? '';
  const never = new AbortController().signal;

  it('is replaced by the spare one in every group, the directory among them, and removed', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    await cluster.until('its place is decided', () =>
      cluster.node('n1').service.view.nodes.every(({ state }) => state === 'member'),
    );
    expect(voters('group-1')).toBe('n1 n2 n3');
    const state = await cluster.settle(cluster.node('n3').service.retireNode('n2', 60_000, never));
    expect(state).toBe('retired');
    await agreed('all have heard', 'n1 n3 n4');
    expect([voters('group-1'), voters(DIRECTORY_GROUP)]).toEqual(['n1 n3 n4', 'n1 n3 n4']);
    expect(cluster.node('n2').service.standing).toBe('retired');
    await cluster.until('its replicas are gone', () => cluster.node('n2').engine.all().length === 0);
  });

  const addN4 = { add: ['n4'], addLearners: [], addWitnesses: [], remove: [] };
  const conf = () =>
    [...cluster.nodes.values()]
      .find(({ engine }) => engine.group('group-1')?.isLeader)
      ?.engine.group('group-1')?.conf;

  it('is added to no group any more', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    await cluster.settle(cluster.node('n1').service.submit({ op: 'retire', id: 'n4' }));
    await cluster.advance(50);
    const added = cluster.node('n1').replicas.members.change('group-1', addN4);
    await expect(cluster.settle(added)).rejects.toMatchObject({ code: 'member-retiring' });
    expect(conf()).toMatchObject({ voters: ['n1', 'n2', 'n3'], learners: [] });
  });

  it('does not come to vote either where it was only learning when it began to retire', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    const rule = cluster.network.dropWhen(({ to, channel }) => to === 'n4' && channel === 'dw.raft');
    const added = cluster.node('n1').replicas.members.change('group-1', addN4);
    const refused = expect(added).rejects.toMatchObject({ code: 'member-retiring' });
    await cluster.until('it learns', () => conf()?.learners.includes('n4') === true);
    await cluster.settle(cluster.node('n1').service.submit({ op: 'retire', id: 'n4' }));
    rule[Symbol.dispose]();
    await cluster.until('it is taken out', () => conf()?.learners.length === 0, 60_000);
    expect(conf()?.voters).toEqual(['n1', 'n2', 'n3']);
    await cluster.until('it is gone', () => nodesOf('n1') === 'n1 n2 n3', 60_000);
    await refused;
  });

  it('goes on being retired when the one that leads the directory dies meanwhile', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    const leader = cluster.leader()?.id ?? '';
    const other = leader === 'n3' ? 'n2' : 'n3';
    const retiring = cluster.node(other).service.submit({ op: 'retire', id: leader === 'n1' ? 'n2' : 'n1' });
    await cluster.settle(retiring);
    cluster.crash(leader);
    await cluster.until('it is gone', () => nodesOf(other).split(' ').length === 3, 120_000);
  });

  it('may lead the directory, be asked itself, and hears that it is gone', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    const leader = cluster.leader();
    const id = leader?.id ?? '';
    expect(await cluster.settle(cluster.node(id).service.retireNode(id, 60_000, never))).toBe('retired');
    const others = ['n1', 'n2', 'n3', 'n4'].filter((other) => other !== id);
    const seen = (): boolean => others.every((other) => nodesOf(other) === others.join(' '));
    await cluster.until('the others have heard', seen);
    expect(others).toContain(cluster.leader()?.id);
    expect(
      cluster.node(others[0] ?? '').service.view.groups.every((group) => !group.voters.includes(id)),
    ).toBe(true);
  });

  it('may be dead: another gets its places all the same', async () => {
    await joined();
    await agreed('all know n4', 'n1 n2 n3 n4');
    await cluster.until('its place is decided', () =>
      cluster.node('n1').service.view.nodes.every(({ state }) => state === 'member'),
    );
    cluster.crash('n3');
    expect(await cluster.settle(cluster.node('n1').service.retireNode('n3', 120_000, never))).toBe('retired');
    expect([voters('group-1'), voters(DIRECTORY_GROUP)]).toEqual(['n1 n2 n4', 'n1 n2 n4']);
  });

  it('leaves without another in its place while a majority remains, down to the last', async () => {
    const retire = (id: string) => cluster.settle(cluster.node('n1').service.retireNode(id, 60_000, never));
    expect(await retire('n2')).toBe('retired');
    expect(await retire('n3')).toBe('retired');
    expect(voters('group-1')).toBe('n1');
    await expect(retire('n1')).rejects.toMatchObject({ code: 'node-last-voter' });
    await expect(retire('n7')).rejects.toMatchObject({ code: 'node-unknown' });
  });
});

describe('a cluster with fewer nodes than voters are wanted', () => {
  it('lets nodes that join vote, but takes back none that an operator took out', async () => {
    await cluster.stop();
    cluster = new DirectoryTestCluster(1, 5);
    await cluster.start();
    const { service } = cluster.node('n1');
    for (const id of ['n2', 'n3', 'n4']) {
      await cluster.settle(service.submit({ op: 'join', id, ...addressesOf(Number(id.slice(1))) }));
      await cluster.startNode(id, { joins: true, configured: ['n1', id] });
      await cluster.until(`${id} has its place`, () =>
        service.view.nodes.every(({ state }) => state === 'member'),
      );
    }
    const voters = () => service.view.groups.map((group) => group.voters.join(' '));
    expect(voters()).toEqual(['n1 n2 n3', 'n1 n2 n3']);
    const { members } = cluster.node('n1').replicas;
    const request = { add: [], addLearners: [], addWitnesses: [], remove: ['n2'] };
    await cluster.settle(members.change('group-1', request));
    await cluster.advance(5_000);
    expect(voters()).toEqual(['n1 n2 n3', 'n1 n3']);
  });
});
