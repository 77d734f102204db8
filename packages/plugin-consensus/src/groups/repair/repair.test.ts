// What a node lost comes back from its peers, and what a whole group lost is lost in the open.

import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../../testing/cluster.test.kit.js';
import type { TestNode } from '../../testing/cluster.test.kit.js';

const GROUP = 'group-1';

const DAMAGE = { groupId: GROUP, file: 'test.seg', offset: 7, reason: 'a bit was flipped' };

let cluster: TestCluster;

afterEach(() => cluster.stop());

async function begin(nodes = 3, groups = 1, limits = {}): Promise<void> {
  cluster = await TestCluster.start({ identity: true, nodes, groups, votersPerGroup: nodes, limits });
}

const group = (id: string, name = GROUP) => cluster.node(id).engine.group(name);
const replicas = (id: string) => cluster.node(id).replicas as NonNullable<TestNode['replicas']>;
const leader = (): string => cluster.leaderOf(GROUP) as string;
const followers = (): string[] => cluster.ids.filter((id) => cluster.nodes.has(id) && id !== leader());
const hash = (id: string, name = GROUP) => group(id, name)?.status().stateHash;

async function restored(id: string, names = [GROUP]): Promise<void> {
  await cluster.until(
    `${id} votes again`,
    () =>
      names.every((name) => {
        const other = cluster.leaderOf(name);
        if (other === undefined) return false;
        const voters = group(other, name)?.conf.voters;
        return voters?.includes(id) === true && hash(id, name) === hash(other, name);
      }),
    120_000,
  );
}

describe('a node whose disk was wiped', () => {
  it('is removed, learns, and votes again, in all its groups, by itself', async () => {
    await begin(3, 3);
    for (let n = 0; n < 30; n++) await cluster.put('n1', `k${n}`, `v${n}`);
    cluster.crash('n2');
    cluster.wipe('n2');
    await cluster.startNode('n2');
    await cluster.until('it knows', () => replicas('n2').startState === 'returning');
    await restored('n2', ['group-1', 'group-2', 'group-3']);
    await cluster.until('nothing is missing', () => replicas('n2').obstacle === undefined);
    // Its vote counts: with one more gone, writes go on.
    const gone = 'n3';
    cluster.crash(gone);
    for (let n = 0; n < 30; n++) expect(await cluster.get('n2', `k${n}`)).toBe(`v${n}`);
    await cluster.put('n1', 'k', 'with its vote');
    // And it stays so over a restart.
    await cluster.startNode(gone);
    cluster.crash('n2');
    await cluster.startNode('n2');
    await restored('n2', ['group-1', 'group-2', 'group-3']);
  });

  it('comes back although the leader that began to bring it back died', async () => {
    await begin(5);
    await cluster.put('n1', 'k', 'v');
    const [lost] = followers() as [string];
    cluster.crash(lost);
    cluster.wipe(lost);
    const rule = cluster.network.dropWhen(({ to, channel }) => to === lost && channel === 'dw.raft');
    await cluster.startNode(lost);
    await cluster.until('it learns', () => group(leader())?.conf.learners.includes(lost) === true, 60_000);
    cluster.crash(leader());
    rule[Symbol.dispose]();
    await restored(lost);
  });

  it('is not brought back while it is being retired', async () => {
    await begin(3);
    await cluster.put('n1', 'k', 'v');
    const [lost] = followers() as [string];
    cluster.crash(lost);
    cluster.wipe(lost);
    cluster.leaving.add(lost);
    await cluster.startNode(lost);
    await cluster.until('it knows what it lost', () => replicas(lost).obstacle?.includes(GROUP) === true);
    await cluster.advance(30_000);
    expect(group(lost)).toBeUndefined();
    expect(group(leader())?.conf.voters).toContain(lost);
    // Who retires it takes it out of its groups; if they think better of it, it comes back.
    cluster.leaving.delete(lost);
    await restored(lost);
  });

  it('learns and does not come to vote when it is being retired meanwhile', async () => {
    await begin(3);
    await cluster.put('n1', 'k', 'v');
    const [lost] = followers() as [string];
    cluster.crash(lost);
    cluster.wipe(lost);
    const rule = cluster.network.dropWhen(({ to, channel }) => to === lost && channel === 'dw.raft');
    await cluster.startNode(lost);
    await cluster.until('it learns', () => group(leader())?.conf.learners.includes(lost) === true, 60_000);
    cluster.leaving.add(lost);
    rule[Symbol.dispose]();
    await cluster.until('it has all', () => hash(lost) === hash(leader()));
    await cluster.advance(30_000);
    expect(group(leader())?.conf.voters).not.toContain(lost);
  });

  it('never votes before it was removed: what it had acknowledged counts', async () => {
    await begin(3);
    const [wiped, cut] = followers() as [string, string];
    const first = leader();
    cluster.network.partition([cut], [wiped, first]);
    await cluster.put(first, 'k', 'acknowledged by the leader and the wiped one');
    cluster.crash(wiped);
    cluster.wipe(wiped);
    cluster.crash(first);
    cluster.network.heal();
    await cluster.startNode(wiped);
    await cluster.advance(30_000);
    expect(cluster.leaderOf(GROUP)).toBeUndefined();
    await cluster.startNode(first);
    await restored(wiped);
    expect(await cluster.get(cut, 'k')).toBe('acknowledged by the leader and the wiped one');
  });
});

describe('a damaged replica', () => {
  it('votes for nothing, is shown, and is repaired from its peers', async () => {
    await begin(3, 2);
    await cluster.put('n1', cluster.keyOf(GROUP), 'v');
    const [victim] = followers() as [string];
    cluster.node(victim).storage.damageGroup(DAMAGE);
    await cluster.until('it is closed', () => group(victim) === undefined);
    expect(replicas(victim).damaged).toMatchObject([{ groupId: GROUP, file: 'test.seg', offset: 7 }]);
    expect(replicas(victim).obstacle).toContain(GROUP);
    // The other group of the node serves on.
    expect(group(victim, 'group-2')).toBeDefined();
    await restored(victim);
    await cluster.until('nothing is missing', () => replicas(victim).obstacle === undefined);
    expect(replicas(victim).damaged).toEqual([]);
  });

  it('is not opened at a start either, and does not stop the others', async () => {
    await begin(3, 2);
    const [victim] = followers() as [string];
    cluster.node(victim).storage.damageGroup(DAMAGE);
    cluster.crash(victim);
    await cluster.startNode(victim);
    expect(group(victim)).toBeUndefined();
    expect(group(victim, 'group-2')).toBeDefined();
    await restored(victim);
  });

  it('stays when its vote is needed, and says what helps', async () => {
    await begin(3);
    const [victim, other] = followers() as [string, string];
    cluster.crash(other);
    cluster.node(victim).storage.damageGroup(DAMAGE);
    await cluster.advance(30_000);
    expect(group(victim)).toBeUndefined();
    expect(replicas(victim).missing).toEqual([GROUP]);
    // With the other one back there is a majority without it, and it is repaired.
    await cluster.startNode(other);
    await restored(victim);
  });
});

describe('a group whose majority is gone for good', () => {
  it('is recovered from the most up-to-date survivor, after a plan that says what may be lost', async () => {
    await begin(5);
    for (let n = 0; n < 10; n++) await cluster.put('n1', `k${n}`, `v${n}`);
    const [behind, ...rest] = followers() as [string, string, string, string];
    const ahead = rest[0];
    cluster.network.partition(
      [behind],
      cluster.ids.filter((id) => id !== behind),
    );
    for (let n = 10; n < 20; n++) await cluster.put(ahead, `k${n}`, `v${n}`);
    await cluster.until('all have it', () => group(ahead)?.lastApplied === group(leader())?.lastApplied);
    const lost = cluster.ids.filter((id) => id !== behind && id !== ahead).toSorted();
    for (const id of lost) cluster.crash(id);
    cluster.network.heal();
    await cluster.advance(5_000);

    const plan = await cluster.settle(replicas(behind).recovery.plan(GROUP));
    expect(plan).toMatchObject({ chosen: ahead, lost, restored: [behind] });
    expect(plan.warnings.join(' ')).toMatch(/lost for good/);
    expect(plan.newTerm).toBeGreaterThan(Math.max(...plan.survivors.map(({ term }) => term)));
    const note = await cluster.settle(replicas(behind).recovery.carryOut(GROUP, plan.token));
    expect(note).toMatchObject({ by: ahead, voters: [ahead], lastIndex: plan.lastIndex });

    await restored(behind);
    for (let n = 0; n < 20; n++) expect(await cluster.get(behind, `k${n}`)).toBe(`v${n}`);
    await cluster.put(behind, 'k', 'goes on');
    expect(group(ahead)?.conf.voters).toEqual([ahead, behind].toSorted());
    expect(replicas(ahead).recoveries(GROUP)).toEqual([note]);
    await cluster.until('the note went with the copy', () => replicas(behind).recoveries(GROUP).length === 1);
    // It is so after a restart of both, too.
    for (const id of [ahead, behind]) cluster.crash(id);
    for (const id of [ahead, behind]) await cluster.startNode(id);
    await cluster.until('a leader', () => cluster.leaderOf(GROUP) !== undefined);
    expect(await cluster.get(ahead, 'k')).toBe('goes on');
    expect(replicas(ahead).recoveries(GROUP)).toEqual([note]);
  });

  it('is not recovered while a majority can be reached, whoever leads', async () => {
    await begin(3);
    const at = leader();
    const lost = { code: 'group-not-lost' };
    await expect(cluster.settle(replicas(at).recovery.plan(GROUP))).rejects.toMatchObject(lost);
    const [one, two] = followers() as [string, string];
    await expect(cluster.settle(replicas(one).recovery.plan(GROUP))).rejects.toMatchObject(lost);
    cluster.crash(two);
    await expect(cluster.settle(replicas(one).recovery.plan(GROUP))).rejects.toMatchObject(lost);
    expect(group(at)?.conf.voters).toEqual(['n1', 'n2', 'n3']);
  });

  it('is not recovered by a plan of before', async () => {
    await begin(3);
    await cluster.put('n1', 'k', 'v');
    const [one, two] = followers() as [string, string];
    const first = leader();
    cluster.crash(first);
    cluster.crash(two);
    await cluster.advance(5_000);
    const plan = await cluster.settle(replicas(one).recovery.plan(GROUP));
    const stale = { code: 'recovery-plan-stale' };
    await expect(cluster.settle(replicas(one).recovery.carryOut(GROUP, 'x'))).rejects.toMatchObject(stale);
    await cluster.startNode(two);
    await cluster.until('a leader', () => cluster.leaderOf(GROUP) !== undefined);
    await expect(cluster.settle(replicas(one).recovery.carryOut(GROUP, plan.token))).rejects.toMatchObject({
      code: 'group-not-lost',
    });
  });

  it('cannot be recovered from nothing', async () => {
    await begin(3);
    await cluster.settle(cluster.node('n1').engine.closeGroup(GROUP));
    cluster.crash('n2');
    cluster.crash('n3');
    await expect(cluster.settle(replicas('n1').recovery.plan(GROUP))).rejects.toMatchObject({
      code: 'recovery-impossible',
    });
  });
});
