// A watch on the keys of a group: each change once, in order, read from the history of this node's replica at the pace of
// the one who reads it. A reader that is too slow is told that changes are gone; none is passed over in silence.

import type { KeyValueChanges } from '@datawarehouse/sdk';
import type { RaftGroup } from '../engine/raft-group.js';
import { requestAborted } from '../errors.js';
import { versionCompacted } from '../state/errors.js';
import type { KeyChange } from '../state/history/change-history.js';
import { keyValuesOf } from './group-key-values.js';

/** Changes in one batch at most. */
const MAX_BATCH = 256;
/** A watcher is told how far it is at least every so many entries, so that it can go on from there. */
const PROGRESS_ENTRIES = 1_000;

/** What is watched. */
export interface GroupWatch {
  readonly prefix: string;
  /** The last version that the watcher knows. */
  readonly after: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The changes of a group here. The first batch comes at once and says how far it is; a batch may be empty.
 * @throws DwError `version-compacted`, `aborted`, and why the group ends when it does.
 */
export async function* watchGroup(
  group: RaftGroup,
  { prefix, after, signal }: GroupWatch,
): AsyncGenerator<KeyValueChanges> {
  const state = keyValuesOf(group);
  let version = after;
  let told: number | undefined;
  for (;;) {
    if (signal?.aborted === true) throw requestAborted();
    if (group.ended !== undefined) throw group.ended;
    const found = state.changesAfter(version, prefix, group.lastApplied, MAX_BATCH);
    if ('compacted' in found) throw versionCompacted(group.id, version, found.oldest);
    const { changes, upTo } = found;
    const more = upTo < group.lastApplied;
    version = upTo;
    if (changes.length > 0 || told === undefined || upTo - told >= PROGRESS_ENTRIES) {
      told = upTo;
      yield { group: group.id, changes: changes.map(ownCopy), upTo };
    } else if (!more) {
      // Nothing is awaited between the look and this: no change can come unseen.
      await changed(group, signal);
    }
  }
}

/** Resolves when the group has applied something or stands still, or the signal aborts. */
function changed(group: RaftGroup, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      listening[Symbol.dispose]();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const listening = group.onApplied(done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** What a watcher may keep: the state's own values share buffers with others. */
function ownCopy({ key, version, value }: KeyChange): KeyChange {
  return { key, version, value: value && new Uint8Array(value) };
}
