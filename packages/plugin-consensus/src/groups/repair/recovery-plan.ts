// What to do with a group whose majority is gone for good. Pure: the replicas that are left in, a plan or a refusal out.
//
// The replica with the most up-to-date log goes on alone. Whatever it has is kept, committed or not; what only the lost
// nodes had is lost, and nobody can know whether any of it was acknowledged: a lost majority may have committed entries
// that no survivor ever saw.

import { createHash } from 'node:crypto';
import type { ConfState, NodeId } from '../../raft/types.js';
import { groupNotLost, recoveryImpossible } from './repair-errors.js';

/** A replica that is left. */
export interface Survivor {
  readonly node: NodeId;
  readonly term: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly commit: number;
  readonly lastApplied: number;
  readonly conf: ConfState;
  /** Whom it takes for the leader, perhaps since a moment ago. */
  readonly leader?: NodeId;
}

/** What is going to be done, and what it costs. */
export interface RecoveryPlan {
  readonly group: string;
  readonly survivors: readonly Omit<Survivor, 'conf' | 'leader'>[];
  /** Voters that cannot be reached, or whose replica is damaged. */
  readonly lost: readonly NodeId[];
  /** The one whose log the group goes on with. */
  readonly chosen: NodeId;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Above every term that is known. */
  readonly newTerm: number;
  /** Those that get a copy of it afterwards. */
  readonly restored: readonly NodeId[];
  readonly warnings: readonly string[];
  /** Stands for this plan and no other: the state it was made from must still be there when it is carried out. */
  readonly token: string;
}

/** @throws DwError `group-not-lost`, `recovery-impossible`. */
export function planRecovery(groupId: string, survivors: readonly Survivor[]): RecoveryPlan {
  const newest = best(survivors, (a, b) => a.lastApplied - b.lastApplied);
  if (newest === undefined)
    throw recoveryImpossible(groupId, 'no node that can be reached has a replica of it');
  const led = survivors.find(({ leader }) => leader !== undefined);
  if (led !== undefined) throw groupNotLost(groupId, `${led.node} hears of a leader, ${led.leader}`);
  const { conf } = newest;
  const reached = new Set(survivors.map(({ node }) => node));
  const quorum = (voters: readonly NodeId[]): boolean =>
    voters.length === 0 || voters.filter((node) => reached.has(node)).length * 2 > voters.length;
  if (quorum(conf.voters) && quorum(conf.votersOutgoing))
    throw groupNotLost(
      groupId,
      `a majority of its voters can be reached (${[...reached].toSorted().join(', ')})`,
    );

  const voters = [...new Set([...conf.voters, ...conf.votersOutgoing])].toSorted();
  // A learner may have more of the log than any voter that is left.
  const members = new Set([...voters, ...conf.learners]);
  const full = survivors.filter(({ node }) => members.has(node) && !conf.witnesses.includes(node));
  const chosen = best(full, (a, b) => a.lastTerm - b.lastTerm || a.lastIndex - b.lastIndex);
  if (chosen === undefined)
    throw recoveryImpossible(groupId, 'only witnesses are left, and they have no data');

  const lost = voters.filter((node) => !reached.has(node));
  const restored = survivors.filter(({ node }) => node !== chosen.node).map(({ node }) => node);
  const shown = survivors
    .map(({ node, term, lastIndex, lastTerm, commit, lastApplied }) => ({
      node,
      term,
      lastIndex,
      lastTerm,
      commit,
      lastApplied,
    }))
    .toSorted((a, b) => (a.node < b.node ? -1 : 1));
  const body = {
    group: groupId,
    survivors: shown,
    lost,
    chosen: chosen.node,
    lastIndex: chosen.lastIndex,
    lastTerm: chosen.lastTerm,
    newTerm: Math.max(...survivors.map(({ term }) => term)) + 1,
    restored: restored.toSorted(),
    warnings: [
      `The group goes on with the log of ${chosen.node} up to entry ${chosen.lastIndex} (term ${chosen.lastTerm}).`,
      `Whatever ${lost.join(', ')} had after that entry is lost for good. It cannot be known whether any of it was acknowledged to a client.`,
      `Entries of ${chosen.node} after ${chosen.commit} may never have been acknowledged; they count as committed from now on.`,
      `${lost.join(', ')} must never come back with the data that they have: stop them for good or empty their directories first. If they still run somewhere out of reach, there will be two groups of the same name.`,
    ],
  };
  const token = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 32);
  return { ...body, token };
}

function best<T>(items: readonly T[], compare: (a: T, b: T) => number): T | undefined {
  return items.toSorted((a, b) => compare(b, a))[0];
}
