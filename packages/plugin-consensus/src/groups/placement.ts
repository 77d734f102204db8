// Which groups there are and which nodes vote in each, worked out from the configuration alone, so that all nodes of a
// new cluster come to the same answer without asking each other.

import type { ConfState } from '../raft/types.js';

/** A group as the configuration places it. */
export interface GroupPlacement {
  readonly id: string;
  /** Sorted. */
  readonly voters: readonly string[];
  /** The voter that stands for election first, so that leaders are spread over the nodes. */
  readonly preferredLeader: string;
  /** Name of the state machine that the group runs; absent, the key-value store. */
  readonly machine?: string;
}

/** The members of a group that begins with these voters. */
export function bootstrapConf(voters: readonly string[]): ConfState {
  return { voters, votersOutgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false };
}

/** The ids of `count` groups: `group-1`, `group-2`, … */
export function groupIds(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `group-${n + 1}`);
}

/**
 * Places groups on nodes by rotation: the first group on the first nodes by id, the next one shifted by one. With
 * fewer nodes than `votersPerGroup` all of them vote.
 */
export function placeGroups(
  nodeIds: readonly string[],
  groups: number,
  votersPerGroup: number,
): GroupPlacement[] {
  const nodes = nodeIds.toSorted();
  const voters = Math.min(votersPerGroup, nodes.length);
  return groupIds(groups).map((id, n) => {
    const chosen = Array.from({ length: voters }, (_, k) => nodes[(n + k) % nodes.length] as string);
    return { id, preferredLeader: chosen[0] as string, voters: chosen.toSorted() };
  });
}
