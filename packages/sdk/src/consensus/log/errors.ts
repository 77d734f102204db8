// Every failure of a Raft log store, each with its stable code.

import { DwError, errorMessage } from '../../errors/index.js';

/** `raft-log-gap`: entries do not follow the last index. Nothing was written. */
export function raftLogGap(store: string, index: number, lastIndex: number): DwError {
  return new DwError({
    code: 'raft-log-gap',
    message: `Raft log ${store}: index ${index} does not follow the last index ${lastIndex}`,
    hint: 'append entries in order, without leaving an index out',
    details: { index, lastIndex },
  });
}

/** `raft-log-compacted`: what is asked for lies below the first index. */
export function raftLogCompacted(store: string, index: number, firstIndex: number): DwError {
  return new DwError({
    code: 'raft-log-compacted',
    message: `Raft log ${store}: index ${index} is compacted; the log starts at ${firstIndex}`,
    hint: 'use the snapshot for what is older',
    details: { index, firstIndex },
  });
}

/** `raft-log-damaged`: the records that are there do not make a log. Nothing was changed. */
export function raftLogDamaged(store: string, position: number, why: string): DwError {
  return new DwError({
    code: 'raft-log-damaged',
    message: `Raft log ${store} is damaged: record ${position}: ${why}`,
    hint: 'keep the files for diagnosis and rebuild this replica from its peers',
    details: { position, why },
  });
}

/** `raft-log-failed`: the log underneath refused a write for good. */
export function raftLogFailed(store: string, cause: unknown): DwError {
  return new DwError({
    code: 'raft-log-failed',
    message: `Raft log ${store} failed (${errorMessage(cause)}); it takes nothing until it is opened again`,
    hint: 'check the disk (free space, kernel log), then restart the node',
    status: 503,
    cause,
  });
}

/** `raft-log-closed`: the store was closed before the call. */
export function raftLogClosed(store: string): DwError {
  return new DwError({
    code: 'raft-log-closed',
    message: `Raft log ${store} is closed`,
    hint: 'open it again before using it',
  });
}
