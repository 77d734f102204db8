// How big an entry counts as. Limits on messages and pages count the frame around an entry too, so that a million empty
// entries are not taken for nothing; the bound on uncommitted proposals counts only what clients sent.

import type { Entry } from './types.js';

/** Bytes that an entry costs beside its data: term, index, type and length, on the wire and on disk. */
export const entryOverheadBytes = 24;

/** Bytes of one entry in a message or a page. */
export function entryBytes(entry: Entry): number {
  return entry.data.length + entryOverheadBytes;
}

/** Bytes of entries in a message or a page. */
export function entriesBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) sum += entry.data.length + entryOverheadBytes;
  return sum;
}

/** Bytes of the data alone. */
export function payloadBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) sum += entry.data.length;
  return sum;
}

/** The longest prefix of `entries` within `maxBytes`, but at least one entry. */
export function limitBytes(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let sum = 0;
  for (let i = 0; i < entries.length; i++) {
    sum += (entries[i] as Entry).data.length + entryOverheadBytes;
    if (sum > maxBytes && i > 0) return entries.slice(0, i);
  }
  return entries;
}
