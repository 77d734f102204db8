// Opening a node's storage: the checkpoints say what the segment files hold, and the journal what came after. Only what
// a checkpoint vouches for is read from segments; anything beyond it, torn or whole, is cut, because the journal has it.
// What a checkpoint or an acknowledged journal record vouches for and is not there is damage, and named.

import { type IAppendLog, errorMessage } from '@datawarehouse/sdk';
import { logDamaged } from './errors.js';
import type { FileGroupStorage, GroupHost } from './file-group-storage.js';
import type { StorageSettings } from './file-node-storage-options.js';
import { type WriterHooks, openGroup } from './group-factory.js';
import { type GroupMeta, loadMeta, parseMetaName } from './group-meta.js';
import { type JournalRecord, decodeJournalRecord, encodeJournalRecord } from './journal-record.js';
import { type LogBounds, type LogChange, checkChange } from './log-change.js';
import { parseSegmentName } from './segment-format.js';
import { segmentFilesOf } from './segmented-raft-log.js';
import { parsePartName, parseSnapshotName } from './snapshot-format.js';
import { checkSnapshot } from './snapshot-reader.js';

/** What recovery works on. */
export interface RecoveryTarget {
  readonly settings: StorageSettings;
  readonly log: IAppendLog;
  readonly host: GroupHost;
  readonly hooks: WriterHooks;
  /** Filled with the groups that are found. */
  readonly groups: Map<string, FileGroupStorage>;
  /** Takes changes that are in the journal at `position`. */
  readonly replay: (changes: readonly LogChange[], position: number) => Promise<void>;
}

/** Opens every group and replays the journal. @throws DwError `raft-log-damaged`. */
export async function recoverNode(target: RecoveryTarget): Promise<void> {
  const { settings, log, groups } = target;
  const { files } = settings;
  const names = await files.list();
  for (const name of names) if (name.endsWith('.tmp')) await files.remove(name);
  const metas = new Map<string, GroupMeta>();
  for (const name of names) {
    const groupId = parseMetaName(name);
    if (groupId !== undefined) metas.set(groupId, await loadMeta(files, groupId));
  }
  for (const name of names) {
    const groupId = parseSegmentName(name)?.groupId ?? parseSnapshotName(name);
    if (groupId === undefined || metas.has(groupId)) continue;
    throw logDamaged(`${files.directory}/${name}`, 0, `its group ${groupId} has no checkpoint`);
  }
  await checkJournalReaches(target, [...metas.values()]);
  for (const [groupId, meta] of [...metas].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const present = segmentFilesOf(names, groupId);
    groups.set(groupId, await openGroup(settings, target.host, meta, present, target.hooks));
  }
  await replayJournal(target, metas);
  for (const group of groups.values()) {
    const { snapshot } = group.view;
    if (snapshot !== undefined) await checkSnapshot(files, group.groupId, snapshot);
  }
  if (log.nextPosition === 1) {
    // The first record, so that a journal that lost everything cannot pass for a new one.
    await log.append(
      ...encodeJournalRecord({ kind: 'created', id: settings.randomBytes(16).toString('hex') }),
    );
  }
  await removeLeftSnapshots(target, names);
}

/** A journal that ends before a checkpoint was made has lost votes and entries that were acknowledged. */
async function checkJournalReaches(target: RecoveryTarget, metas: readonly GroupMeta[]): Promise<void> {
  const { log, settings } = target;
  for (const { groupId, journalPosition } of metas) {
    if (journalPosition <= log.nextPosition) continue;
    throw logDamaged(
      settings.journalDirectory,
      0,
      `the journal ends at record ${log.nextPosition - 1}, but group ${groupId} was written up to ${journalPosition - 1}`,
    );
  }
}

async function replayJournal(target: RecoveryTarget, metas: ReadonlyMap<string, GroupMeta>): Promise<void> {
  const { log, settings } = target;
  const first = log.firstPosition;
  let keptFrom = 1;
  for await (const { position, data } of log.scan()) {
    const record = decoded(settings.journalDirectory, position, data);
    if (record.kind === 'created') continue;
    if (record.kind === 'kept') keptFrom = Math.max(keptFrom, record.from);
    await replayRecord(target, metas, record.changes, position);
  }
  if (first > keptFrom) {
    const why = `the journal begins at record ${first}, but everything from ${keptFrom} on must be there`;
    throw logDamaged(settings.journalDirectory, 0, why);
  }
}

async function replayRecord(
  target: RecoveryTarget,
  metas: ReadonlyMap<string, GroupMeta>,
  changes: readonly LogChange[],
  position: number,
): Promise<void> {
  const place = `${target.settings.journalDirectory} (record ${position})`;
  const wanted: LogChange[] = [];
  const bounds = new Map<string, LogBounds>();
  for (const change of changes) {
    const meta = metas.get(change.groupId);
    const before = bounds.get(change.groupId) ?? target.groups.get(change.groupId)?.view.bounds;
    if (meta === undefined || before === undefined) {
      throw logDamaged(place, 0, `group ${change.groupId}, which it speaks of, has no checkpoint`);
    }
    if (position < meta.journalPosition) continue;
    const rest = withoutCovered(change, before.snapshotIndex);
    try {
      bounds.set(change.groupId, checkChange(rest, before));
    } catch (error) {
      throw logDamaged(place, 0, `it does not follow what is there: ${errorMessage(error)}`, error);
    }
    wanted.push(rest);
  }
  if (wanted.length > 0) await target.replay(wanted, position);
}

/** A change without what a snapshot covers already: a checkpoint may be made in the middle of a record. */
function withoutCovered(change: LogChange, snapshotIndex: number): LogChange {
  const { groupId, hardState, snapshot, truncateFrom, entries } = change;
  if (snapshot !== undefined && snapshot.metadata.index > snapshotIndex) return change;
  return {
    groupId,
    hardState,
    snapshot: undefined,
    entries: entries.filter((entry) => entry.index > snapshotIndex),
    ...(truncateFrom === undefined ? {} : { truncateFrom: Math.max(truncateFrom, snapshotIndex + 1) }),
  };
}

function decoded(directory: string, position: number, data: Uint8Array): JournalRecord {
  try {
    return decodeJournalRecord(data);
  } catch (error) {
    throw logDamaged(`${directory} (record ${position})`, 0, errorMessage(error), error);
  }
}

/** Snapshots that were being received, or were replaced, when the node stopped. */
async function removeLeftSnapshots(target: RecoveryTarget, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const partOf = parsePartName(name);
    // What was received in part is gone on with when the leader sends the same again.
    if (partOf !== undefined && !target.groups.has(partOf)) await target.settings.files.remove(name);
    const groupId = parseSnapshotName(name);
    const group = groupId === undefined ? undefined : target.groups.get(groupId);
    if (group !== undefined && !group.usesSnapshotFile(name)) await target.settings.files.remove(name);
  }
}
