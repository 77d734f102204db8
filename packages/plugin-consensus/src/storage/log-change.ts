// What a turn changes in one group's log, and the rules that every change keeps. Both storages check a whole turn
// before they take any of it, so that a turn that breaks a rule changes nothing.

import type { GroupWrite } from './types.js';
import { logCompacted, logGap, snapshotMisplaced } from './errors.js';

/** A {@link GroupWrite}, or a truncation that nothing is appended to. In order: snapshot, truncation, entries, hard state. */
export interface LogChange extends GroupWrite {
  /** Entries from this index on go. */
  readonly truncateFrom?: number;
}

/** The bounds that a change is checked against. */
export interface LogBounds {
  /** Index of the newest snapshot, 0 when there is none. Nothing at or below it is rewritten: it is committed. */
  readonly snapshotIndex: number;
  readonly lastIndex: number;
}

/**
 * Checks one change and tells the bounds after it.
 * @throws DwError `raft-log-gap`, `raft-log-compacted`, `raft-snapshot-misplaced`.
 */
export function checkChange(change: LogChange, before: LogBounds): LogBounds {
  const { groupId, snapshot, truncateFrom, entries } = change;
  let { snapshotIndex, lastIndex } = before;
  if (snapshot !== undefined) {
    const { index } = snapshot.metadata;
    if (index <= snapshotIndex) {
      throw snapshotMisplaced(groupId, index, `is not newer than the one at ${snapshotIndex}`);
    }
    snapshotIndex = index;
    lastIndex = index;
  }
  if (truncateFrom !== undefined) {
    if (truncateFrom <= snapshotIndex) throw logCompacted(groupId, truncateFrom, snapshotIndex + 1);
    lastIndex = Math.min(lastIndex, truncateFrom - 1);
  }
  const first = entries[0];
  if (first !== undefined) {
    if (first.index <= snapshotIndex) throw logCompacted(groupId, first.index, snapshotIndex + 1);
    if (first.index > lastIndex + 1) throw logGap(groupId, first.index, lastIndex);
    let expected = first.index;
    for (const entry of entries) {
      if (entry.index !== expected) throw logGap(groupId, entry.index, expected - 1);
      expected++;
    }
    lastIndex = expected - 1;
  }
  return { snapshotIndex, lastIndex };
}

/** Checks a turn, in which a group may occur more than once. @throws as {@link checkChange}. */
export function checkChanges(changes: readonly LogChange[], boundsOf: (groupId: string) => LogBounds): void {
  if (changes.length === 1) {
    const only = changes[0] as LogChange;
    checkChange(only, boundsOf(only.groupId));
    return;
  }
  const seen = new Map<string, LogBounds>();
  for (const change of changes) {
    const before = seen.get(change.groupId) ?? boundsOf(change.groupId);
    seen.set(change.groupId, checkChange(change, before));
  }
}
