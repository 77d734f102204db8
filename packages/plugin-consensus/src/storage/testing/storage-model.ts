// What a node's storage should hold, as plain values: one state for each turn written. After a crash the storage must
// show one of the states from the last acknowledged turn on. For tests only.

import type { ConfState, Entry, HardState, SnapshotMetadata } from '../../raft/types.js';
import type { LogChange } from '../log-change.js';
import type { GroupStorage } from '../types.js';

/** The members that every group of a test has. */
export const TEST_CONF: ConfState = {
  voters: ['n1', 'n2', 'n3'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};

/** The state of one group. */
export interface GroupModel {
  readonly hardState: HardState;
  /** Where the log was last reset by an installed snapshot, or 0. */
  readonly base: { readonly index: number; readonly term: number };
  /** From `base.index + 1` on, compacted or not. */
  readonly entries: readonly Entry[];
}

/** The state of all groups. */
export type NodeModel = ReadonlyMap<string, GroupModel>;

/** A group that nothing was written to. */
export const EMPTY_GROUP: GroupModel = {
  hardState: { term: 0, vote: undefined, commit: 0 },
  base: { index: 0, term: 0 },
  entries: [],
};

/** The last index of a group. */
export function lastIndexOf(model: GroupModel): number {
  return model.base.index + model.entries.length;
}

/** The term of an index at or after the base. */
export function termOf(model: GroupModel, index: number): number {
  return index === model.base.index
    ? model.base.term
    : (model.entries[index - model.base.index - 1]?.term ?? -1);
}

/** The state after a turn. */
export function applyTurn(before: NodeModel, changes: readonly LogChange[]): NodeModel {
  const after = new Map(before);
  for (const change of changes) {
    let model = after.get(change.groupId) ?? EMPTY_GROUP;
    const { snapshot, truncateFrom, entries, hardState } = change;
    if (snapshot !== undefined) {
      const { index, term } = snapshot.metadata;
      model = { ...model, base: { index, term }, entries: [] };
    }
    const from = Math.min(truncateFrom ?? Infinity, entries[0]?.index ?? Infinity);
    const kept = model.entries.filter((entry) => entry.index < from);
    model = { ...model, entries: [...kept, ...entries], hardState: hardState ?? model.hardState };
    after.set(change.groupId, model);
  }
  return after;
}

/** The bytes of a test's entry. */
export function entryText(entry: Entry): string {
  return `${entry.index}:${entry.term}:${entry.type}:${Buffer.from(entry.data).toString('hex')}`;
}

/** The state that a test's snapshot at `metadata` stands for. */
export function snapshotText(groupId: string, metadata: SnapshotMetadata): string {
  return `${groupId} at ${metadata.term}/${metadata.index}. `.repeat(3);
}

/** Why a group does not show `model`; undefined when it does. */
export function difference(group: GroupStorage, model: GroupModel): string | undefined {
  const found = group.initialState().hardState;
  const { hardState } = model;
  if (found.term !== hardState.term || found.vote !== hardState.vote || found.commit !== hardState.commit) {
    return `hard state ${JSON.stringify(found)} instead of ${JSON.stringify(hardState)}`;
  }
  const first = group.firstIndex();
  const last = group.lastIndex();
  if (last !== lastIndexOf(model)) return `last index ${last} instead of ${lastIndexOf(model)}`;
  if (first <= model.base.index) return `first index ${first} before the snapshot at ${model.base.index}`;
  if (group.term(first - 1) !== termOf(model, first - 1))
    return `term of ${first - 1} is ${group.term(first - 1)}`;
  const entries = first > last ? [] : group.entries(first, last + 1, Infinity);
  if (entries.length !== last - first + 1) return `${entries.length} entries from ${first} to ${last}`;
  for (const entry of entries) {
    const wanted = model.entries[entry.index - model.base.index - 1];
    if (wanted === undefined || entryText(entry) !== entryText(wanted)) return `entry ${entryText(entry)}`;
    if (group.term(entry.index) !== entry.term) return `term of ${entry.index} is ${group.term(entry.index)}`;
  }
  return undefined;
}
