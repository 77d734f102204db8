// Plots of the nemesis: several faults in an order, timed by what the cluster does. Some bugs need moments that single
// faults hardly ever meet together; each plot is one such moment, and no more than the protocol promises to survive.

import { errorMessage } from '@datawarehouse/sdk';
import type { RaftGroup } from '../../../packages/plugin-consensus/src/engine/raft-group.js';
import type { MemberRequest } from '../../../packages/plugin-consensus/src/groups/members/member-request.js';
import type { GroupConf, Nemesis } from './nemesis.js';
import type { SimNode } from './sim-node.js';

/** How long a leader has to make the change that is waited for. */
const PATIENCE_MS = 2_000;

/** A wish of one operator. */
type Wish = Partial<MemberRequest>;

/** Operators who do not know of each other, and the voters that there are when all of them have got what they want. */
interface Quarrel {
  readonly wishes: readonly Wish[];
  readonly voters: readonly string[];
}

/** A replica that leads. */
interface Led {
  readonly node: SimNode;
  readonly group: RaftGroup;
}

/**
 * Several operators change the members of a group at once, and when its leader makes the first of the changes it is cut
 * off, with as many as make a quorum of what the voters are to be; the others have the changes in their logs, do not know
 * them to be committed, and are a quorum of what the voters were. Only one of the two sides may go on.
 */
export function quarrel(nemesis: Nemesis): void {
  const { prng } = nemesis;
  const { confs, network } = nemesis.victims;
  // As for any change of members by hand.
  if (nemesis.gone.size > 0) return;
  const conf = prng.pick(confs());
  const led = leaderOf(nemesis, conf.id);
  if (led === undefined) return;
  const { wishes, voters } = quarrelAbout(nemesis, conf, led.node.id);
  if (wishes.length === 0) return;
  nemesis.changedMembers = true;
  nemesis.note(`${conf.id}: ${wishes.map(textOf).join(' against ')}`);

  const former = conf.voters.filter((id) => id !== led.node.id);
  const side = [led.node.id, ...voters.filter((id) => !conf.voters.includes(id))];
  const rest = prng.shuffled(former);
  for (const id of rest.filter((one) => voters.includes(one))) {
    if (majority(side, voters)) break;
    side.push(id);
  }
  const others = network.nodes.filter((id) => !side.includes(id));
  // So that there is time between what the leader knows and what the others do.
  const delay = prng.pick([10, 30, 80]);
  const far = (ms: number): void => {
    for (const id of former) {
      network.shape(led.node.id, id, { delay: ms });
      network.shape(id, led.node.id, { delay: ms });
    }
  };
  far(delay);
  const mend = (): void => {
    far(0.3);
    for (const from of side) for (const to of others) nemesis.join(from, to);
  };
  onChangedVoters(
    nemesis,
    led,
    () => {
      nemesis.after(prng.between(0, delay), 'rift', () => {
        nemesis.note(`a rift between ${side.join()} and ${others.join()}`);
        for (const from of side) for (const to of others) nemesis.cut(from, to, 'two-way');
        nemesis.after(prng.pick([1_500, 3_000, 6_000]), 'repair', mend);
      });
    },
    mend,
  );
  // Mostly in one moment, so that none of them has seen anything of the others.
  const spread = prng.chance(0.3) ? delay : 0;
  if (spread === 0) ask(nemesis, led, wishes);
  else
    for (const wish of wishes)
      nemesis.after(prng.between(0, spread), 'wish', () => ask(nemesis, led, [wish]));
}

/** What two or three operators could want of a group that is incompatible when both get it at the same moment. */
function quarrelAbout({ prng, victims }: Nemesis, conf: GroupConf, leader: string): Quarrel {
  const nodes = victims.nodes.map(({ id }) => id);
  const outside = prng.shuffled(nodes.filter((id) => !conf.voters.includes(id) && victims.mayJoin(id)));
  const followers = prng.shuffled(conf.voters.filter((id) => id !== leader));
  const after = (add: readonly string[], remove: readonly string[]): readonly string[] =>
    [...conf.voters, ...add].filter((id) => !remove.includes(id));
  // Too few are left of an earlier one.
  if (conf.voters.length < 3)
    return { wishes: outside.length > 0 ? [{ add: outside }] : [], voters: after(outside, []) };
  const [first, second] = followers as [string, string];
  const removals: Quarrel = {
    wishes: [{ remove: [first] }, { remove: [second] }],
    voters: after([], [first, second]),
  };
  const [added, alsoAdded] = outside;
  if (added === undefined) return removals;
  const swapped = after([added], [first]);
  const quarrels: Quarrel[] = [
    removals,
    { wishes: [{ add: [added] }, { remove: [first] }], voters: swapped },
    { wishes: [{ add: [added], remove: [first] }], voters: swapped },
  ];
  if (conf.witnesses.length === 0) {
    quarrels.push({ wishes: [{ addWitnesses: [added], remove: [first] }], voters: swapped });
  }
  if (alsoAdded !== undefined) {
    const both = [added, alsoAdded];
    quarrels.push(
      { wishes: both.map((id) => ({ add: [id] })), voters: after(both, []) },
      { wishes: [{ add: both, remove: [first, second] }], voters: after(both, [first, second]) },
    );
  }
  return prng.pick(quarrels);
}

/** Calls `then` when a leader makes a change of those who vote, or `otherwise` when it makes none in time. */
function onChangedVoters(
  nemesis: Nemesis,
  { node, group }: Led,
  then: () => void,
  otherwise: () => void,
): void {
  const voters = (): string => `${group.conf.voters.join()} ${group.conf.votersOutgoing.join()}`;
  const before = voters();
  const listener = (changed: RaftGroup): void => {
    if (changed !== group || voters() === before) return;
    node.onMembersChanged.delete(listener);
    then();
  };
  node.onMembersChanged.add(listener);
  nemesis.after(PATIENCE_MS, 'no rift', () => {
    if (node.onMembersChanged.delete(listener)) otherwise();
  });
}

/** Operators ask the leader; what comes of it does not matter. */
function ask(nemesis: Nemesis, { node, group }: Led, wishes: readonly Wish[]): void {
  const { life } = node;
  if (life?.replicas === undefined) return;
  const { members } = life.replicas;
  nemesis.victims.scheduler.schedule(life, 0, 'change members', () => {
    for (const wish of wishes) {
      members.change(group.id, { add: [], addLearners: [], addWitnesses: [], remove: [], ...wish }).then(
        (view) => nemesis.note(`${group.id}: voters are ${view.voters.join()}`),
        (error: unknown) => nemesis.note(`${group.id}: not changed: ${errorMessage(error)}`),
      );
    }
  });
}

/**
 * A leader that is cut off goes on taking entries while its disk has stopped, and is found again by who leads instead
 * just before the disk goes on: what it wrote reaches the disk when other entries have taken the places.
 */
export function lateWriter(nemesis: Nemesis): void {
  const { prng } = nemesis;
  const { confs, network, scheduler } = nemesis.victims;
  const { id } = prng.pick(confs());
  const led = leaderOf(nemesis, id);
  if (led === undefined) return;
  const { node, group } = led;
  for (const other of network.others(node.id)) nemesis.cut(node.id, other, 'two-way');
  const cutMs = prng.between(500, 4_000);
  node.disk.trouble.stalledUntil = scheduler.now + cutMs + prng.between(0, 500);
  // Afterwards it may be slow for a while, so that more can happen between one write and the next.
  node.disk.trouble.slowness = prng.pick([1, 10, 50]);
  nemesis.note(`${node.id} goes on alone in ${id}`);
  const { life } = node;
  for (let n = prng.below(8); n >= 0 && life !== undefined; n--) {
    scheduler.schedule(life, prng.between(0, 200), 'an entry', () => group.proposeNothing());
  }
  nemesis.after(cutMs, 'repair', () => {
    for (const other of network.others(node.id)) nemesis.join(node.id, other);
  });
  nemesis.after(cutMs + prng.between(500, 2_000), 'disk is fast', () => {
    node.disk.trouble.slowness = 1;
  });
}

/**
 * One follower has lost its leader for long enough to stand for election, and then all others that could vote for it start
 * anew, at the moment in which the leader loses them too: it may still lead by what they promised before.
 */
export function brokenPromise(nemesis: Nemesis): void {
  const { prng } = nemesis;
  const { confs, network, nodes } = nemesis.victims;
  const { id, voters } = prng.pick(confs());
  const led = leaderOf(nemesis, id);
  if (led === undefined) return;
  const leader = led.node.id;
  const [candidate, ...rest] = prng.shuffled(voters.filter((voter) => voter !== leader));
  if (candidate === undefined || rest.length === 0) return;
  nemesis.note(`${candidate} loses ${leader}, which leads ${id}`);
  nemesis.cut(leader, candidate, 'two-way');
  const waitMs = prng.pick([500, 1_500, 4_000]) * prng.between(0.5, 1.5);
  nemesis.after(waitMs, 'restarts', () => {
    for (const other of network.others(leader)) nemesis.cut(leader, other, 'two-way');
    for (const node of nodes) if (rest.includes(node.id)) nemesis.end(node, undefined, prng.between(0, 20));
  });
  nemesis.after(waitMs + prng.pick([500, 1_500, 4_000]), 'repair', () => {
    for (const other of network.others(leader)) nemesis.join(leader, other);
  });
}

function leaderOf(nemesis: Nemesis, groupId: string): Led | undefined {
  for (const node of nemesis.victims.nodes) {
    const group = node.life?.engine?.group(groupId);
    if (group?.isLeader === true) return { node, group };
  }
  return undefined;
}

function majority(some: readonly string[], voters: readonly string[]): boolean {
  return voters.filter((id) => some.includes(id)).length * 2 > voters.length;
}

function textOf({ add = [], addWitnesses = [], remove = [] }: Wish): string {
  const witnesses = addWitnesses.map((id) => `+${id} as witness`);
  return [...add.map((id) => `+${id}`), ...witnesses, ...remove.map((id) => `-${id}`)].join(' ');
}
