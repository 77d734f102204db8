// Puts the parts of a group together: for a group that is new, and for one that a checkpoint describes.

import type { ConfState } from '../raft/types.js';
import { FileGroupStorage, type GroupHost } from './file-group-storage.js';
import type { StorageSettings } from './file-node-storage-options.js';
import { GroupLogView } from './group-log-view.js';
import { type GroupMeta, saveMeta } from './group-meta.js';
import { GroupWriter } from './group-writer.js';
import { SegmentedRaftLog } from './segmented-raft-log.js';
import { TermRuns } from './term-runs.js';

/** What a group's writer is told and tells. */
export interface WriterHooks {
  /** Bytes of written entries that the group may keep in memory. */
  readonly keepBytes: () => number;
  /** Told of bytes that are in segments now. */
  readonly onTaken: (bytes: number) => void;
}

/** Makes a group, durably, at index 0. @throws what the disk throws. */
export async function createGroup(
  settings: StorageSettings,
  host: GroupHost,
  groupId: string,
  bootstrap: ConfState,
  journalPosition: number,
  hooks: WriterHooks,
): Promise<FileGroupStorage> {
  const meta: GroupMeta = {
    groupId,
    bootstrap,
    hardState: { term: 0, vote: undefined, commit: 0 },
    snapshot: undefined,
    compacted: { index: 0, term: 0 },
    segments: [],
    journalPosition,
  };
  // The checkpoint comes first: what the journal says of a group is only believed when the group is known.
  await saveMeta(settings.files, meta);
  return openGroup(settings, host, meta, [], hooks);
}

/**
 * Opens a group as its checkpoint describes it.
 * @param present Names of the group's segment files; those that the checkpoint does not name are removed.
 * @throws DwError `raft-log-damaged`.
 */
export async function openGroup(
  settings: StorageSettings,
  host: GroupHost,
  meta: GroupMeta,
  present: readonly string[],
  hooks: WriterHooks,
): Promise<FileGroupStorage> {
  const { files } = settings;
  const { groupId, bootstrap, compacted } = meta;
  const terms = new TermRuns();
  const last = Math.max(compacted.index, meta.segments.at(-1)?.last ?? 0);
  const segments = await SegmentedRaftLog.open(
    files,
    groupId,
    settings.segments,
    meta.segments,
    present,
    last + 1,
    (index, term) => terms.push(index, term),
  );
  terms.dropThrough(compacted.index);
  const view = new GroupLogView(groupId, meta, segments, terms);
  const writer = new GroupWriter(
    files,
    groupId,
    bootstrap,
    segments,
    view,
    meta,
    hooks.keepBytes,
    hooks.onTaken,
  );
  return new FileGroupStorage(groupId, view, writer, host);
}
