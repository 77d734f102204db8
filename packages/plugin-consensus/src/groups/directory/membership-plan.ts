// Which members of which groups are to change, because nodes retire or have just joined. Pure: the directory and who can
// be reached in, the changes out. Whoever carries them out looks again afterwards, so that each is worked out from what
// is so then.

import type { DirectoryGroup, DirectoryView } from './directory-types.js';

/** A change of one group's members. */
export interface MembershipChange {
  readonly groupId: string;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** What is to be done now. */
export interface MembershipPlan {
  readonly changes: readonly MembershipChange[];
  /** New nodes that no group needs any more. */
  readonly settled: readonly string[];
  /** Retiring nodes that vote nowhere any more. */
  readonly leaving: readonly string[];
  /** Groups that a retiring node cannot leave: nobody else votes there, and nobody can take its place now. */
  readonly stuck: readonly string[];
}

/**
 * A retiring node is replaced by a spare one where there would be too few voters without it, else it only goes. A new
 * node votes where voters are missing; what operators made of older nodes is left as it is.
 * @param reachable Whether a node can be reached now: one that cannot gets no replica.
 */
export function planMembership(view: DirectoryView, reachable: (id: string) => boolean): MembershipPlan {
  const nodes = new Map(view.nodes.map((node) => [node.id, node]));
  const held = new Map<string, number>();
  for (const voter of view.groups.flatMap(({ voters }) => voters))
    held.set(voter, (held.get(voter) ?? 0) + 1);
  // Storage is told when a node runs for the first time: one that never ran is not waited for.
  const able = view.nodes.filter(
    (node) => node.state !== 'retiring' && node.storageId !== null && reachable(node.id),
  );
  const anyNew = able.some(({ state }) => state === 'new');
  const changes: MembershipChange[] = [];
  const stuck: string[] = [];
  for (const group of view.groups) {
    const { leaves, stays } = splitVoters(
      group,
      (id) => nodes.get(id)?.state === 'retiring' || !nodes.has(id),
    );
    const missing = Math.max(0, view.votersPerGroup - stays.length);
    if (leaves.length === 0 && (missing === 0 || !anyNew)) continue;
    const candidates = able
      .filter(({ id, state }) => !stays.includes(id) && (leaves.length > 0 || state === 'new'))
      .map(({ id }) => id)
      .sort((a, b) => (held.get(a) ?? 0) - (held.get(b) ?? 0) || (a < b ? -1 : 1));
    // Nodes that retire are replaced one for one; a group that had too few voters before is filled by new ones only.
    const wanted = leaves.length > 0 ? Math.min(missing, leaves.length) : missing;
    const add = candidates.slice(0, wanted);
    for (const id of add) held.set(id, (held.get(id) ?? 0) + 1);
    if (stays.length + add.length === 0) stuck.push(group.id);
    else if (add.length + leaves.length > 0) changes.push({ groupId: group.id, add, remove: leaves });
  }
  const added = new Set(changes.flatMap(({ add }) => add));
  const voting = new Set(view.groups.flatMap(({ voters }) => voters));
  const ableIds = new Set(able.map(({ id }) => id));
  return {
    changes,
    stuck,
    settled: view.nodes
      .filter(({ id, state }) => state === 'new' && ableIds.has(id) && !added.has(id))
      .map(({ id }) => id),
    leaving: view.nodes
      .filter(({ id, state }) => state === 'retiring' && !voting.has(id))
      .map(({ id }) => id),
  };
}

/** The groups in which nobody would be left to vote if this node went: it is the only voter, and nobody can take over. */
export function groupsLostWithout(
  view: DirectoryView,
  id: string,
  reachable: (id: string) => boolean,
): readonly string[] {
  const nodes = view.nodes.map((node) => (node.id === id ? { ...node, state: 'retiring' as const } : node));
  return planMembership({ ...view, nodes }, reachable).stuck;
}

function splitVoters({ voters }: DirectoryGroup, isLeaving: (id: string) => boolean) {
  return {
    leaves: voters.filter((voter) => isLeaving(voter)),
    stays: voters.filter((voter) => !isLeaving(voter)),
  };
}
