// Every error of the log storage: code, sentence, what to do. Damage always names the file and the offset.

import { DwError, errorMessage } from '@datawarehouse/sdk';
import type { GroupDamage } from './types.js';

/** The disk refused. Final: this node's storage takes nothing until the node is started again. */
export function storageFailed(doing: string, cause: unknown): DwError {
  const { call, errno } = systemCall(cause);
  const hint =
    errno === 'ENOSPC'
      ? 'make room on the disk'
      : 'check the disk (kernel log, SMART) and replace it if need be';
  return new DwError({
    code: 'storage-failed',
    message: `The Raft storage of this node failed while ${doing} (${errorMessage(cause)}); it takes nothing any more`,
    hint: `${hint}, then restart the node`,
    status: 503,
    details: { doing, ...(call === undefined ? {} : { call }), ...(errno === undefined ? {} : { errno }) },
    cause,
  });
}

/** The call to the system, and its error number, that an error comes from, however often it was wrapped. */
function systemCall(error: unknown): { readonly call?: string; readonly errno?: string } {
  for (let one = error, depth = 0; one instanceof Error && depth < 8; one = one.cause, depth++) {
    const { syscall, code } = one as NodeJS.ErrnoException;
    if (syscall !== undefined && code !== undefined) return { call: syscall, errno: code };
  }
  return {};
}

/** A call came after `close`. */
export function storageClosed(): DwError {
  return new DwError({
    code: 'storage-closed',
    message: 'The Raft storage of this node is closed',
    hint: 'open it again before using it',
    status: 503,
  });
}

/** Bytes that were written once are not there any more, or are others. None of them was changed. */
export function logDamaged(file: string, offset: number, why: string, cause?: unknown): DwError {
  return new DwError({
    code: 'raft-log-damaged',
    message: `The Raft storage is damaged: ${file} at offset ${offset}: ${why}`,
    hint: 'keep the directory for diagnosis and rebuild this node from its peers with an empty one',
    details: { file, offset, why },
    cause,
  });
}

/** The journal found damage in its own files. `error` is its `log-damaged`. */
export function journalDamaged(error: DwError): DwError {
  const { file, offset } = error.details ?? {};
  return logDamaged(String(file), Number(offset), error.message, error);
}

/** The entries were compacted away, or are covered by a snapshot and may not be rewritten. */
export function logCompacted(groupId: string, index: number, firstIndex: number): DwError {
  return new DwError({
    code: 'raft-log-compacted',
    message: `Group ${groupId}: index ${index} is compacted; the log starts at ${firstIndex}`,
    hint: 'use the snapshot for what is older',
    details: { index, firstIndex },
  });
}

/** Entries do not follow one another, or what is asked for lies beyond the end. */
export function logGap(groupId: string, index: number, lastIndex: number): DwError {
  return new DwError({
    code: 'raft-log-gap',
    message: `Group ${groupId}: index ${index} does not follow the log, whose last index is ${lastIndex}`,
    hint: 'append and read within the log, without leaving an index out',
    details: { index, lastIndex },
  });
}

/** A log store was used after it was closed. */
export function logStoreClosed(groupId: string): DwError {
  return new DwError({
    code: 'raft-log-closed',
    message: `Group ${groupId}: this log store is closed`,
    hint: 'open the group again',
  });
}

/** A group's storage was used before `openGroup`. */
export function groupNotOpen(groupId: string): DwError {
  return new DwError({
    code: 'raft-group-not-open',
    message: `Group ${groupId} is not open in this node's storage`,
    hint: 'call openGroup first',
  });
}

/** A group's files are damaged. Everything else of the node's storage goes on. */
export function groupDamaged({ groupId, file, offset, reason }: GroupDamage): DwError {
  return new DwError({
    code: 'raft-group-damaged',
    message: `Group ${groupId} is damaged on this node: ${file} at offset ${offset}: ${reason}`,
    hint: 'replace its replica on this node: the other members have what it had',
    status: 503,
    details: { groupId, file, offset, reason },
  });
}

/** A group id that cannot be part of a file's name. */
export function groupIdInvalid(groupId: string): DwError {
  return new DwError({
    code: 'raft-group-id-invalid',
    message: `${JSON.stringify(groupId.slice(0, 80))} cannot be the id of a Raft group`,
    hint: 'use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit',
    status: 400,
  });
}

/** An option of the storage that cannot work. */
export function storageOptionInvalid(option: string, allowed: string, actual: unknown): DwError {
  return new DwError({
    code: 'raft-storage-invalid-option',
    message: `The Raft storage's ${option} must be ${allowed}, not ${String(actual)}`,
    hint: `change ${option}`,
  });
}

/** An entry larger than a record of the journal may be. Nothing was written. */
export function entryTooLarge(groupId: string, index: number, bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'raft-entry-too-large',
    message: `Group ${groupId}: entry ${index} has ${bytes} bytes; at most ${maxBytes} are allowed`,
    hint: 'split the value',
    status: 413,
    details: { index, bytes, maxBytes },
  });
}

/** The snapshot does not fit this replica's log. */
export function snapshotMisplaced(groupId: string, index: number, why: string): DwError {
  return new DwError({
    code: 'raft-snapshot-misplaced',
    message: `Group ${groupId}: the snapshot at index ${index} ${why}`,
    hint: 'take snapshots at an applied index, one at a time',
    details: { index },
  });
}

/** A chunk of a snapshot that is being received is not what it should be. It was not taken. */
export function chunkRefused(groupId: string, chunk: number, why: string): DwError {
  return new DwError({
    code: 'raft-snapshot-chunk-refused',
    message: `Group ${groupId}: chunk ${chunk} of a snapshot was refused: ${why}`,
    hint: 'the leader sends the snapshot again',
    retryable: true,
    status: 503,
    details: { chunk },
  });
}

/** Another snapshot of the group is being written. */
export function snapshotBusy(groupId: string): DwError {
  return new DwError({
    code: 'raft-snapshot-busy',
    message: `Group ${groupId}: another snapshot is being written`,
    hint: 'wait until it is done',
    retryable: true,
    status: 503,
  });
}

/** There is no snapshot, or the one that was being read has been replaced. */
export function snapshotGone(groupId: string): DwError {
  return new DwError({
    code: 'raft-snapshot-gone',
    message: `Group ${groupId}: there is no such snapshot any more`,
    hint: 'start again with the newest snapshot',
    retryable: true,
    status: 503,
  });
}

/** The disk refused a snapshot. The log is whole, and so is the snapshot before. */
export function snapshotNotWritten(groupId: string, cause: unknown): DwError {
  return new DwError({
    code: 'raft-snapshot-not-written',
    message: `Group ${groupId}: a snapshot could not be written (${errorMessage(cause)}); the one before stays`,
    hint: 'check the disk (free space, kernel log)',
    retryable: true,
    status: 503,
    cause,
  });
}

/** More waits for the journal than the storage may hold. Nothing of the call was taken. */
export function storageBusy(bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'raft-storage-busy',
    message: `${bytes} bytes wait for the Raft journal of this node, at most ${maxBytes} may; nothing was written`,
    hint: 'wait for earlier writes before more are made',
    retryable: true,
    retryAfterMs: 100,
    status: 503,
  });
}

/** A file name that another program could have placed there, or a version that this one does not know. */
export function formatUnknown(file: string, version: number): DwError {
  return new DwError({
    code: 'raft-storage-format-unknown',
    message: `${file} has format version ${version}, which this version of the plugin does not know`,
    hint: 'run the version of the plugin that wrote it, or a later one',
  });
}
