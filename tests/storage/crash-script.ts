// The script of the storage's crash matrix: what the process that is killed does, and what there must be after any part
// of it. Groups with small segments: appends, conflicting overwrites that reach into sealed segments, votes, own
// snapshots, compaction, an installed snapshot, a group that is destroyed and begun anew, one that is replaced, and
// enough turns for several rounds of the journal.

import type { Entry, SnapshotMetadata } from '../../packages/plugin-consensus/src/raft/types.js';
import { receiveWhole } from '../../packages/plugin-consensus/src/storage/testing/receive-whole.js';
import type { LogChange } from '../../packages/plugin-consensus/src/storage/log-change.js';
import {
  type NodeModel,
  TEST_CONF,
  applyTurn,
  snapshotText,
} from '../../packages/plugin-consensus/src/storage/testing/storage-model.js';
import type {
  FileNodeStorageOptions,
  NodeStorage,
} from '../../packages/plugin-consensus/src/storage/index.js';

/** The groups of the script. */
export const GROUPS = ['a', 'b', 'c', 'd', 'e'] as const;

/** Small sizes, so that a short run seals, drops, and frees the journal several times. */
export const STORAGE_OPTIONS = {
  entriesPerSegment: 4,
  flushBytes: 1,
  cacheBytes: 0,
  checkpointBytes: 6_000,
} satisfies Partial<FileNodeStorageOptions>;

/** One step: it is done when its promise resolves. */
export type Step =
  | { readonly kind: 'turn'; readonly changes: readonly LogChange[] }
  | { readonly kind: 'save' | 'install'; readonly groupId: string; readonly metadata: SnapshotMetadata }
  | { readonly kind: 'compact'; readonly groupId: string; readonly index: number }
  | { readonly kind: 'destroy' | 'replace' | 'open'; readonly groupId: string };

function append(groupId: string, from: number, to: number, term: number, commit = 0): LogChange {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    const data = Buffer.from(`${groupId} ${term}/${index};`.repeat(1 + (index % 4)));
    entries.push({ index, term, type: index % 7 === 0 ? 'conf-change' : 'normal', data });
  }
  const hardState = { term, vote: `n${(term % 3) + 1}`, commit };
  return { groupId, hardState, entries, snapshot: undefined };
}

function vote(groupId: string, term: number, commit: number): LogChange {
  return {
    groupId,
    hardState: { term, vote: term % 2 === 0 ? undefined : 'n3', commit },
    entries: [],
    snapshot: undefined,
  };
}

const turn = (...changes: LogChange[]): Step => ({ kind: 'turn', changes });
const at = (index: number, term: number): SnapshotMetadata => ({ index, term, conf: TEST_CONF });

/** The steps, in order. */
export const SCRIPT: readonly Step[] = [
  turn(append('a', 1, 3, 1), append('b', 1, 6, 1), vote('c', 1, 0)),
  turn(append('a', 4, 9, 1, 2), vote('b', 3, 0), append('d', 1, 6, 1), append('e', 1, 9, 1)),
  // Into the active segment.
  turn(append('a', 9, 11, 2, 4)),
  // Into a sealed one.
  turn(append('a', 6, 14, 3, 5), append('c', 1, 2, 2)),
  { kind: 'save', groupId: 'a', metadata: at(10, 3) },
  { kind: 'compact', groupId: 'a', index: 10 },
  { kind: 'destroy', groupId: 'd' },
  turn(append('b', 7, 12, 4, 6), append('c', 3, 9, 2, 3)),
  { kind: 'replace', groupId: 'e' },
  // To the first index: the segment's name is used again.
  turn(append('c', 1, 5, 3)),
  { kind: 'install', groupId: 'b', metadata: at(40, 5) },
  turn(append('b', 41, 47, 5, 40), vote('c', 5, 0)),
  turn(append('a', 15, 21, 4, 14)),
  { kind: 'open', groupId: 'd' },
  turn(append('d', 1, 5, 2), append('e', 1, 2, 3)),
  { kind: 'save', groupId: 'a', metadata: at(19, 4) },
  turn(append('a', 22, 23, 5, 19), append('b', 44, 50, 6, 43), append('c', 6, 8, 6, 5)),
  { kind: 'compact', groupId: 'a', index: 18 },
  turn(vote('a', 7, 20), vote('b', 9, 44)),
  turn(append('c', 9, 16, 7, 8)),
];

/** What all groups hold after so many steps. */
export function stateAfter(steps: number): NodeModel {
  let model: NodeModel = new Map();
  for (const step of SCRIPT.slice(0, steps)) {
    if (step.kind === 'turn') model = applyTurn(model, step.changes);
    else if (step.kind === 'install') model = applyTurn(model, [installOf(step.groupId, step.metadata)]);
    else if (step.kind === 'destroy' || step.kind === 'replace') {
      model = new Map([...model].filter(([groupId]) => groupId !== step.groupId));
    }
  }
  return model;
}

/** The newest snapshot and the highest compacted index of a group after so many steps. */
export function boundsAfter(
  steps: number,
  groupId: string,
): { readonly snapshot: number; readonly compacted: number } {
  let snapshot = 0;
  let compacted = 0;
  for (const step of SCRIPT.slice(0, steps)) {
    if (step.kind === 'turn' || step.groupId !== groupId) continue;
    if (step.kind === 'compact') compacted = step.index;
    else if (step.kind === 'save' || step.kind === 'install') snapshot = step.metadata.index;
    else snapshot = compacted = 0;
    if (step.kind === 'install') compacted = step.metadata.index;
  }
  return { snapshot, compacted };
}

/** Whether a group is there after so many steps. */
export function isThereAfter(steps: number, groupId: string): boolean {
  let isThere = true;
  for (const step of SCRIPT.slice(0, steps)) {
    if (step.kind === 'destroy' && step.groupId === groupId) isThere = false;
    if (step.kind === 'open' && step.groupId === groupId) isThere = true;
  }
  return isThere;
}

/** Does one step. */
export async function runStep(storage: NodeStorage, step: Step): Promise<void> {
  switch (step.kind) {
    case 'turn':
      return storage.write(step.changes);
    case 'open':
      await storage.openGroup(step.groupId, TEST_CONF);
      return undefined;
    case 'destroy':
      return storage.destroyGroup(step.groupId);
    case 'replace':
      await storage.replaceGroup(step.groupId, TEST_CONF);
      return undefined;
    case 'compact':
      return (await storage.openGroup(step.groupId, TEST_CONF)).compact(step.index);
    case 'save':
    case 'install':
      return runSnapshot(storage, step.kind, step.groupId, step.metadata);
  }
}

async function runSnapshot(
  storage: NodeStorage,
  kind: 'save' | 'install',
  groupId: string,
  metadata: SnapshotMetadata,
): Promise<void> {
  const group = await storage.openGroup(groupId, TEST_CONF);
  const state = Buffer.from(snapshotText(groupId, metadata));
  if (kind === 'save') return group.saveSnapshot(metadata, [state]);
  await receiveWhole(group, metadata, [state]);
  return storage.write([installOf(groupId, metadata)]);
}

function installOf(groupId: string, metadata: SnapshotMetadata): LogChange {
  return { groupId, hardState: undefined, entries: [], snapshot: { metadata, data: new Uint8Array(0) } };
}
