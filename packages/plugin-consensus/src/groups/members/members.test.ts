// Members come and go while the group serves: whoever votes has the log, nobody is asked twice, and what is removed is
// gone only when that is sure.

import { afterEach, describe, expect, it } from 'vitest';
import type { RaftGroup } from '../../engine/raft-group.js';
import { heartbeatMessage } from '../../raft/message.js';
import { TestCluster } from '../../testing/cluster.test.kit.js';
import type { TestNode } from '../../testing/cluster.test.kit.js';
import { bootstrapConf } from '../placement.js';
import { REPLICA_CHANNEL, encodeReplicaRequest } from '../replicas/replica-messages.js';
import type { MemberRequest, MemberView } from './member-request.js';

const GROUP = 'group-1';
const NOBODY: MemberRequest = { add: [], addLearners: [], addWitnesses: [], remove: [] };

let cluster: TestCluster;

afterEach(() => cluster.stop());

async function begin(nodes = 3, spares = 1, limits = {}): Promise<void> {
  cluster = new TestCluster({ identity: true, nodes, spares, groups: 1, limits });
  for (const id of cluster.ids) await cluster.startNode(id);
  await cluster.until('leaders', () => cluster.settled(cluster.ids.slice(0, nodes)));
}

const service = (id: string) => (cluster.node(id).replicas as NonNullable<TestNode['replicas']>).members;

function change(id: string, request: Partial<MemberRequest>, maxMs = 60_000): Promise<MemberView> {
  return cluster.settle(service(id).change(GROUP, { ...NOBODY, ...request }), maxMs);
}

const leader = (): string => cluster.leaderOf(GROUP) as string;
const has = (id: string): boolean => cluster.node(id).engine.group(GROUP) !== undefined;
const hash = (id: string): string | undefined => cluster.node(id).engine.group(GROUP)?.status().stateHash;
const applied = (id: string) => cluster.node(id).engine.group(GROUP)?.lastApplied;
const others = (): string[] => ['n1', 'n2', 'n3'].filter((id) => id !== leader());

describe('a change', () => {
  it('given all lose their power right after it, when two of the new members come back, then they know of it', async () => {
    await begin(3, 1);
    const gone = others()[0] as string;
    const { voters } = await change(leader(), { add: ['n4'], remove: [gone] });
    const lost = others().find((id) => id !== gone) as string;
    for (const id of cluster.ids) cluster.crash(id);
    const back = voters.filter((id) => id !== lost);
    for (const id of back) await cluster.startNode(id);
    await cluster.until('a leader', () => cluster.leaderOf(GROUP) !== undefined);
    for (const id of back) expect(cluster.node(id).engine.group(GROUP)?.conf.voters).toEqual(voters);
  });
});

describe('a node', () => {
  it('is added: it learns, has the whole state, and votes', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    const view = await change('n2', { add: ['n4'] });
    expect(view).toEqual({ id: GROUP, voters: ['n1', 'n2', 'n3', 'n4'], learners: [], witnesses: [] });
    await cluster.until('it has the state', () => hash('n4') === hash('n1'));
    // With two of the first three gone it makes the majority of four with the third and nobody else can.
    await change('n1', { remove: ['n1', 'n2'].filter((id) => id !== leader()).slice(0, 1) });
    expect(cluster.node(leader()).engine.group(GROUP)?.conf.voters).toContain('n4');
  });

  it('is added from a snapshot when the log does not go back far enough', async () => {
    await begin(3, 1, { snapshotEntries: 20, maxCacheEntries: 5 });
    for (let n = 0; n < 60; n++) await cluster.put('n1', `k${n % 7}`, `v${n}`);
    await cluster.until(
      'compacted',
      () => (cluster.node(leader()).engine.group(GROUP)?.storage.firstIndex() ?? 0) > 10,
    );
    await change('n3', { add: ['n4'] });
    await cluster.until('it has the state', () => hash('n4') === hash('n1'));
    expect(cluster.node('n4').engine.group(GROUP)?.conf.voters).toEqual(['n1', 'n2', 'n3', 'n4']);
  });

  it('learns without a vote, and is promoted when it is added again', async () => {
    await begin();
    expect(await change('n1', { addLearners: ['n4'] })).toMatchObject({ learners: ['n4'] });
    expect(await change('n1', { add: ['n4'] })).toMatchObject({
      learners: [],
      voters: ['n1', 'n2', 'n3', 'n4'],
    });
  });

  it('is a witness: it votes and has no data', async () => {
    await begin(2, 1);
    await cluster.put('n1', 'k', 'v');
    expect(await change('n1', { addWitnesses: ['n3'] })).toMatchObject({
      voters: ['n1', 'n2', 'n3'],
      witnesses: ['n3'],
    });
    const down = others().find((id) => id === 'n2' || id === 'n1') as string;
    cluster.crash(down);
    await cluster.put(leader(), 'k', 'with the vote of the witness');
    expect(await cluster.get('n3', 'k')).toBe('with the vote of the witness');
  });

  it('that was a witness and comes back to vote, though nobody could tell it that it was removed, gets the data', async () => {
    await begin();
    await change(leader(), { addWitnesses: ['n4'] });
    for (let n = 0; n < 10; n++) await cluster.put('n1', `k${n}`, 'v');
    await cluster.until('it has the log', () => applied('n4') === applied(leader()));
    cluster.network.partition(['n4'], ['n1', 'n2', 'n3']);
    await change(leader(), { remove: ['n4'] });
    cluster.network.heal();
    // They meet again, and it has not found out yet.
    await cluster.advance(3_000);
    expect(has('n4')).toBe(true);
    await change(leader(), { add: ['n4'] });
    await cluster.until('it has the state', () => hash('n4') === hash(leader()));
  });

  it('that comes back has the members that all have, though some changes would make no sense without it', async () => {
    await begin();
    const [gone, back] = others() as [string, string];
    await change(leader(), { addWitnesses: ['n4'], remove: [gone] });
    await change(leader(), { add: [gone] });
    if (leader() === back) await cluster.settle(cluster.node(back).router.transfer(GROUP, gone));
    await change(leader(), { remove: [back] });
    const { voters } = await change(leader(), { add: [back] });
    await cluster.until('it has the log', () => applied(back) === applied(leader()));
    expect(cluster.node(back).engine.group(GROUP)?.conf.voters).toEqual(voters);
  });

  it('replaces another in one step, which loses its replica', async () => {
    await begin();
    const [out] = others() as [string];
    await cluster.put('n1', 'k', 'v');
    const view = await change('n4', { add: ['n4'], remove: [out] });
    expect(view.voters).toEqual(['n1', 'n2', 'n3', 'n4'].filter((id) => id !== out));
    await cluster.until('its replica is gone', () => !has(out));
    expect(cluster.node(out).storage.groupIds).not.toContain(GROUP);
    // It still serves clients: it finds the group elsewhere.
    expect(await cluster.get(out, 'k')).toBe('v');
  });

  it('leads and is removed: it hands over first', async () => {
    await begin();
    const first = leader();
    const view = await change(first, { remove: [first] });
    expect(view.voters).not.toContain(first);
    expect(leader()).not.toBe(first);
    await cluster.until('its replica is gone', () => !has(first));
    await cluster.put(first, 'k', 'v');
  });

  it('is found by clients of nodes without a replica after all the first voters were replaced', async () => {
    await begin(3, 4);
    await cluster.put('n7', 'k', 'v1');
    await change('n7', { add: ['n4', 'n5', 'n6'], remove: ['n1', 'n2', 'n3'] });
    for (const id of ['n1', 'n2', 'n3']) {
      await cluster.until('its replica is gone', () => !has(id));
      cluster.crash(id);
    }
    expect(await cluster.get('n7', 'k')).toBe('v1');
    await cluster.put('n7', 'k', 'v2');
    // And by a node that starts now, with the first voters in its configuration.
    cluster.crash('n7');
    await cluster.startNode('n7');
    expect(await cluster.get('n7', 'k')).toBe('v2');
  });
});

describe('a snapshot', () => {
  it('carries the members of its own index, not those of later', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    const group = cluster.node(leader()).engine.group(GROUP)!;
    const index = await cluster.settle(group.snapshots.take(0));
    await change('n1', { addLearners: ['n4'] });
    expect(group.storage.snapshot()?.metadata).toMatchObject({ index, conf: { learners: [] } });
    expect(group.conf.learners).toEqual(['n4']);
    // A replica that starts from it comes to the same members.
    const id = leader();
    cluster.crash(id);
    await cluster.startNode(id);
    await cluster.until('members', () => cluster.node(id).engine.group(GROUP)?.conf.learners.length === 1);
  });
});

describe('writes', () => {
  it('go on without an error while every voter is replaced, and none is lost', async () => {
    await begin(3, 2, { snapshotEntries: 50, maxCacheEntries: 10 });
    const written: number[] = [];
    const failures: unknown[] = [];
    let stop = false;
    const writer = async (id: string, from: number): Promise<void> => {
      for (let n = from; !stop; n += 3) {
        try {
          await cluster.node(id).store.putAsync(`key-${n}`, Buffer.from(String(n)));
          written.push(n);
        } catch (error) {
          failures.push(error);
        }
        await new Promise<void>((resolve) => cluster.clock.setTimeout(resolve, 5));
      }
    };
    const writers = ['n1', 'n3', 'n5'].map((id, n) => writer(id, n));
    await cluster.advance(200);
    await change('n1', { add: ['n4'] });
    await change('n1', { add: ['n5'], remove: ['n2'] });
    await change('n1', { remove: [leader()] });
    await change('n1', { remove: ['n1', 'n3'].filter((id) => id !== leader()).slice(0, 1) });
    await cluster.advance(500);
    stop = true;
    await cluster.settle(Promise.all(writers));
    expect(failures).toEqual([]);
    expect(written.length).toBeGreaterThan(100);
    for (const n of written) expect(await cluster.get('n2', `key-${n}`)).toBe(String(n));
  });
});

describe('a request', () => {
  it('is refused while another one runs', async () => {
    await begin();
    const rule = cluster.network.dropWhen(({ to, channel }) => to === 'n4' && channel === 'dw.raft');
    const first = service(leader()).change(GROUP, { ...NOBODY, add: ['n4'] });
    await cluster.advance(100);
    await expect(change(others()[0] as string, { remove: ['n4'] })).rejects.toMatchObject({
      code: 'members-busy',
    });
    rule[Symbol.dispose]();
    expect((await cluster.settle(first, 60_000)).voters).toContain('n4');
  });

  it('gives a node up that does not catch up, and takes it out again', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    cluster.network.dropWhen(({ to, channel }) => to === 'n4' && channel === 'dw.raft');
    await expect(change('n1', { add: ['n4'] }, 120_000)).rejects.toMatchObject({
      code: 'member-not-caught-up',
    });
    const { conf } = cluster.node(leader()).engine.group(GROUP)!;
    expect([conf.voters, conf.learners]).toEqual([['n1', 'n2', 'n3'], []]);
    await cluster.put('n1', 'k', 'still three');
  });

  it('can be repeated after the leader died in its middle', async () => {
    await begin();
    const first = leader();
    const rule = cluster.network.dropWhen(({ to, channel }) => to === 'n4' && channel === 'dw.raft');
    const asked = service(others()[0] as string).change(GROUP, { ...NOBODY, add: ['n4'] });
    await cluster.until('it learns', () => {
      return cluster.node(first).engine.group(GROUP)?.conf.learners.includes('n4') === true;
    });
    cluster.crash(first);
    rule[Symbol.dispose]();
    // Whoever asked is on another node, which asks the next leader again.
    const view = await cluster.settle(asked, 60_000);
    expect(view).toMatchObject({ voters: ['n1', 'n2', 'n3', 'n4'], learners: [] });
    // Once more changes nothing.
    expect(await change('n4', { add: ['n4'] })).toEqual(view);
  });
});

describe('a request whose answer is lost', () => {
  it('is waited for all the same, as long as the leader is at it', async () => {
    await begin();
    const rule = cluster.network.dropWhen(({ to, channel }) => to === 'n4' && channel === 'dw.raft');
    const [asking] = others() as [string];
    const asked = service(asking).change(GROUP, { ...NOBODY, add: ['n4'] });
    await cluster.until('it learns', () => {
      return cluster.node(leader()).engine.group(GROUP)?.conf.learners.includes('n4') === true;
    });
    // The connection between the two goes, and is back at once.
    cluster.network.partition([asking], [leader()]);
    await cluster.advance(20);
    cluster.network.heal();
    await cluster.advance(2_000);
    rule[Symbol.dispose]();
    expect(await cluster.settle(asked, 60_000)).toMatchObject({ voters: ['n1', 'n2', 'n3', 'n4'] });
  });
});

describe('a request for a replica', () => {
  const ask = (from: string, to: string, voters: readonly string[], more = {}): Promise<Buffer> => {
    const request = {
      kind: 'open',
      groupId: GROUP,
      machine: 'key-value',
      bootstrap: bootstrapConf(voters),
      term: 1,
      index: 1,
      replace: false,
      recovered: [],
      ...more,
    } as const;
    const transport = cluster.network.transport(from);
    return cluster.settle(transport.request(to, REPLICA_CHANNEL, encodeReplicaRequest(request)));
  };

  it('is refused when the replica would take itself for a member, or leads', async () => {
    await begin();
    const refused = { code: 'replica-request-refused' };
    await expect(ask('n1', 'n4', ['n1', 'n4'], { index: 0 })).rejects.toMatchObject(refused);
    expect(has('n4')).toBe(false);
    await expect(ask('n4', leader(), [])).rejects.toMatchObject(refused);
  });

  it('is refused for the moment when the two nodes have only just connected', async () => {
    await begin();
    cluster.network.partition(['n1'], ['n4']);
    await cluster.advance(100);
    cluster.network.heal();
    const refused = { code: 'peer-not-introduced', retryable: true };
    await expect(ask('n1', 'n4', ['n1'])).rejects.toMatchObject(refused);
    await cluster.advance(2_000);
    expect(JSON.parse((await ask('n1', 'n4', ['n1'])).toString())).toEqual({ opened: true });
  });

  it('makes an empty replica once, and leaves one that is there', async () => {
    await begin();
    const opened = async () => JSON.parse((await ask('n1', 'n4', ['n1'])).toString()) as unknown;
    expect(await opened()).toEqual({ opened: true });
    expect(await opened()).toEqual({ opened: false });
    // Nobody made it a member: it finds that out and goes.
    await cluster.put('n1', 'k', 'v');
    await cluster.until('it is gone', () => !has('n4'), 60_000);
  });

  it('makes an empty replica that goes if nothing comes of it, also where the node was one of the first members', async () => {
    await begin();
    expect(JSON.parse((await ask('n1', 'n4', ['n1', 'n4'])).toString())).toEqual({ opened: true });
    await cluster.put('n1', 'k', 'v');
    await cluster.until('it is gone', () => !has('n4'), 60_000);
  });

  it('makes one that begins in the term of who asked, and does not hear earlier leaders', async () => {
    await begin();
    await ask('n1', 'n4', ['n1'], { term: 5 });
    const group = cluster.node('n4').engine.group(GROUP) as RaftGroup;
    // The leader of term 4 said so to the replica that was here before, which had that entry.
    group.step(heartbeatMessage('n4', 'n2', 4, 9, ''));
    expect(group.failed).toBeUndefined();
    expect(group.term).toBe(5);
  });

  it('of a former leader does not empty a replica that another one has asked for since', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    const former = others()[0] as string;
    await change(leader(), { add: ['n4'] });
    const { lastApplied } = cluster.node('n4').engine.group(GROUP) as { lastApplied: number };
    const late = (term: number, index: number) => ask(former, 'n4', [former], { term, index, replace: true });
    // However far it had applied its log.
    const refused = { code: 'replica-request-refused' };
    const { term } = cluster.node(leader()).engine.group(GROUP) as { term: number };
    await expect(late(term - 1, lastApplied)).rejects.toMatchObject(refused);
    // And the same request a second time.
    const asked = (cluster.node('n4').replicas as NonNullable<TestNode['replicas']>).voteFloor(GROUP);
    expect(JSON.parse((await late(term, asked)).toString())).toEqual({ opened: false });
    expect(cluster.node('n4').engine.group(GROUP)?.lastApplied).toBeGreaterThanOrEqual(lastApplied);
  });
});

describe('a replica', () => {
  const tell = (from: string, to: string, index: number): Promise<Buffer> =>
    cluster.network
      .transport(from)
      .request(to, REPLICA_CHANNEL, encodeReplicaRequest({ kind: 'destroy', groupId: GROUP, index }));

  it('is not destroyed because a message says so', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    const [victim, stranger] = [others()[0] as string, others()[1] as string];
    for (const from of [stranger, leader(), 'n4']) {
      const answer = await cluster.settle(tell(from, victim, 1_000_000));
      expect(JSON.parse(answer.toString())).toEqual({ destroyed: false });
    }
    expect(has(victim)).toBe(true);
  });

  it('finds out by itself that it was removed, when nobody could tell it', async () => {
    await begin();
    const [out] = others() as [string];
    cluster.network.partition(
      [out],
      cluster.ids.filter((id) => id !== out),
    );
    await change(leader(), { remove: [out] });
    await cluster.advance(1_000);
    expect(has(out)).toBe(true);
    cluster.network.heal();
    await cluster.until('its replica is gone', () => !has(out), 60_000);
  });

  it('stays when it is asked for again while it still asks about its removal', async () => {
    await begin();
    await cluster.put('n1', 'k', 'v');
    const at = leader();
    // The replica is opened, and the entry that makes it a member waits for the disks of the followers.
    for (const id of others()) cluster.stallDisk(id);
    const adding = service(at).change(GROUP, { ...NOBODY, add: ['n4'] });
    adding.catch(() => undefined);
    await cluster.until('it has a replica', () => has('n4'));
    const question = encodeReplicaRequest({ kind: 'ask', groupId: GROUP });
    const answer = await cluster.settle(
      cluster.network.transport('n4').request(at, REPLICA_CHANNEL, question),
    );
    expect(JSON.parse(answer.toString())).toEqual({ state: 'joining' });
    for (const id of others()) cluster.node(id).unstall();
    expect((await cluster.settle(adding)).voters).toContain('n4');
  });

  it('stays when it is only without a leader', async () => {
    await begin();
    const [one, two] = others() as [string, string];
    cluster.crash(two);
    cluster.crash(leader());
    await cluster.advance(40_000);
    expect(has(one)).toBe(true);
  });
});
