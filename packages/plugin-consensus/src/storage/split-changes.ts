// Cuts a turn that is larger than a journal record may be into several records, all written with one sync.
//
// A crash may keep only the first of them, so each must be a sound state by itself: term and vote come first, before
// entries that were made under them, and the commit index comes last, after the entries that it speaks of.

import { entryBytes } from '../raft/entry-size.js';
import type { Entry, HardState } from '../raft/types.js';
import { entryTooLarge } from './errors.js';
import { changeBytes } from './journal-record.js';
import type { LogChange } from './log-change.js';

/**
 * The records of a turn.
 * @param commitOf The commit index of a group before the turn.
 * @throws DwError `raft-entry-too-large`.
 */
export function splitChanges(
  changes: readonly LogChange[],
  maxBytes: number,
  commitOf: (groupId: string) => number,
): (readonly LogChange[])[] {
  let total = 0;
  for (const change of changes) total += changeBytes(change);
  if (total <= maxBytes) return [changes];
  const records: LogChange[][] = [];
  let current: LogChange[] = [];
  let bytes = 0;
  for (const change of changes) {
    for (const piece of splitChange(change, maxBytes, commitOf(change.groupId))) {
      const size = changeBytes(piece);
      if (current.length > 0 && bytes + size > maxBytes) {
        records.push(current);
        current = [];
        bytes = 0;
      }
      current.push(piece);
      bytes += size;
    }
  }
  if (current.length > 0) records.push(current);
  return records;
}

function splitChange(change: LogChange, maxBytes: number, commit: number): LogChange[] {
  if (changeBytes(change) <= maxBytes) return [change];
  const { groupId, hardState, snapshot, truncateFrom, entries } = change;
  const bare = { groupId, hardState: undefined, snapshot: undefined, entries: [] };
  const first: HardState | undefined = hardState === undefined ? undefined : { ...hardState, commit };
  const pieces: LogChange[] = [
    { ...bare, hardState: first, snapshot, ...(truncateFrom === undefined ? {} : { truncateFrom }) },
  ];
  const room = maxBytes - changeBytes(bare);
  let part: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entryBytes(entry);
    if (size > room) throw entryTooLarge(groupId, entry.index, entry.data.length, room);
    if (bytes + size > room) {
      pieces.push({ ...bare, entries: part });
      part = [];
      bytes = 0;
    }
    part.push(entry);
    bytes += size;
  }
  pieces.push({ ...bare, entries: part, hardState });
  return pieces;
}
