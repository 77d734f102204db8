// Membership changes as the files write them: `v1 l2 r3 u4`, for voter, learner, remove, update; and, beyond upstream,
// `w5` for a witness.

import type { ConfChangeSingle, ConfChangeType } from '#consensus/raft/types.js';
import { UsageError } from '../suite.js';

const letters: Readonly<Record<string, ConfChangeType>> = {
  v: 'add-voter',
  l: 'add-learner',
  w: 'add-witness',
  r: 'remove',
  u: 'update',
};

/** Reads a list of changes. */
export function parseChanges(text: string): readonly ConfChangeSingle[] {
  const tokens = text.split(/\s+/).filter((token) => token !== '');
  return tokens.map((token) => {
    if (token.length < 2) throw new UsageError(`unknown token ${token}`);
    const type = letters[token.charAt(0)];
    if (type === undefined) throw new UsageError(`unknown input: ${token}`);
    const nodeId = token.slice(1);
    if (!/^\d+$/.test(nodeId)) throw new UsageError(`not the number of a node: ${nodeId}`);
    return { type, nodeId };
  });
}

/** Writes a list of changes. */
export function describeChanges(changes: readonly ConfChangeSingle[]): string {
  const letterOf = (type: ConfChangeType): string =>
    Object.keys(letters).find((letter) => letters[letter] === type) ?? type;
  return changes.map(({ type, nodeId }) => `${letterOf(type)}${nodeId}`).join(' ');
}
