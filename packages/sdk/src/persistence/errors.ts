// Every failure of the logs and stores, each with its stable code. Nothing else in this folder makes a DwError.

import { DwError, errorMessage } from '../errors/index.js';

/** Where in a log's files something was found that should not be there. */
export interface DamagePlace {
  readonly file: string;
  /** Byte offset in the file. */
  readonly offset: number;
  /** What should have been there. */
  readonly expected: string;
  /** What was there. */
  readonly found: string;
}

/** `log-record-too-large`: nothing was written. */
export function logRecordTooLarge(log: string, bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'log-record-too-large',
    message: `log ${log}: a record of ${bytes} bytes is over the allowed ${maxBytes} bytes`,
    hint: 'Split the record, or open the log with a larger maxRecordBytes.',
    status: 413,
    details: { bytes, maxBytes },
  });
}

/** `log-full`: too much waits for the disk (retryable), or a log in memory holds all it may. */
export function logFull(log: string, what: string, bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'log-full',
    message: `log ${log}: ${bytes} bytes ${what}, at most ${maxBytes} are allowed`,
    retryable: true,
    hint: 'Slow down and append again once earlier appends have resolved.',
    status: 503,
    details: { bytes, maxBytes },
  });
}

/** `log-failed`: a write or sync was refused; final until the log is opened again. */
export function logFailed(log: string, doing: string, cause: unknown): DwError {
  return new DwError({
    code: 'log-failed',
    message: `log ${log}: ${doing} failed (${errorMessage(cause)}); it takes nothing until it is opened again`,
    hint: 'Check the disk (free space, kernel log), then restart the node.',
    status: 503,
    cause,
  });
}

/** `log-closed`: the log was closed before the call. */
export function logClosed(log: string): DwError {
  return new DwError({
    code: 'log-closed',
    message: `log ${log} is closed`,
    hint: 'Open the log again before using it.',
    status: 503,
  });
}

/** `log-damaged`: bytes that were once acknowledged are not what was written. */
export function logDamaged(log: string, place: DamagePlace): DwError {
  return new DwError({
    code: 'log-damaged',
    message:
      `log ${log}: ${place.file} is damaged at offset ${place.offset}: ` +
      `expected ${place.expected}, found ${place.found}`,
    hint: 'Restore this directory from a replica or a backup. Nothing was changed on disk.',
    details: { ...place },
  });
}

/** `log-read-failed`: the disk refused a read; nothing is known to be damaged. */
export function logReadFailed(log: string, file: string, cause: unknown): DwError {
  return new DwError({
    code: 'log-read-failed',
    message: `log ${log}: reading ${file} failed (${errorMessage(cause)})`,
    retryable: true,
    hint: 'Check the disk and the number of open files.',
    status: 503,
    cause,
  });
}

/** `log-locked`: another process, or this one, has the directory open. */
export function logLocked(directory: string, owner: string): DwError {
  return new DwError({
    code: 'log-locked',
    message: `directory ${directory} is already open in ${owner}`,
    retryable: true,
    hint: 'Stop the other process, or give this one a data directory of its own.',
    status: 409,
  });
}

/** `log-invalid-options`: a size that cannot work. */
export function logInvalidOptions(log: string, option: string, allowed: string, actual: unknown): DwError {
  return new DwError({
    code: 'log-invalid-options',
    message: `log ${log}: ${option} must be ${allowed}, not ${String(actual)}`,
    hint: `Change ${option}.`,
  });
}

/** `store-invalid-path`: the path breaks the rule that `reason` names. */
export function storeInvalidPath(path: unknown, reason: string): DwError {
  const shown = typeof path === 'string' ? JSON.stringify(path.slice(0, 80)) : `a ${typeof path}`;
  return new DwError({
    code: 'store-invalid-path',
    message: `store: the path ${shown} is not allowed: ${reason}`,
    hint: 'Use dw://area/name: segments of A-Z a-z 0-9 . _ ~ @ + = - that are not . or ..',
    status: 400,
  });
}

/** `store-version-mismatch` (status 412): the condition of a write does not hold; nothing has changed. */
export function storeVersionMismatch(
  path: string,
  expected: number | 'absent',
  actual: number | 'absent',
): DwError {
  return new DwError({
    code: 'store-version-mismatch',
    message: `store: ${path} is at version ${actual}, the write expected ${expected}`,
    hint: 'Read the path again and decide anew.',
    status: 412,
    details: { path, expected, actual },
  });
}

/** `store-value-too-large`: the value, or the whole batch, is over a limit of the store. */
export function storeValueTooLarge(what: string, bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'store-value-too-large',
    message: `store: ${what} would have ${bytes} bytes, at most ${maxBytes} are allowed`,
    hint: 'Split the value over several paths, or keep it in a file of its own.',
    status: 413,
    details: { bytes, maxBytes },
  });
}

/** `store-full`: a bound of the store is reached. */
export function storeFull(what: string, count: number, max: number): DwError {
  return new DwError({
    code: 'store-full',
    message: `store: ${count} ${what}, at most ${max} are allowed`,
    hint: 'Delete paths that are not needed, or raise the limit of the store.',
    status: 507,
    details: { count, max },
  });
}

/** `store-busy`: writes come faster than the disk takes them; nothing has changed. */
export function storeBusy(cause: unknown): DwError {
  return new DwError({
    code: 'store-busy',
    message: `store: writes come faster than the disk takes them (${errorMessage(cause)})`,
    retryable: true,
    hint: 'Write again once earlier writes have returned.',
    status: 503,
    cause,
  });
}

/** `store-failed`: the disk refused; final until the store is opened again. */
export function storeFailed(cause: unknown): DwError {
  return new DwError({
    code: 'store-failed',
    message: `store: the disk failed (${errorMessage(cause)}); nothing is accepted until it is opened again`,
    hint: 'Check the disk (free space, kernel log), then restart the node.',
    status: 503,
    cause,
  });
}

/** `store-closed`: the store was closed before the call. */
export function storeClosed(): DwError {
  return new DwError({
    code: 'store-closed',
    message: 'store: it is closed',
    hint: 'Open the store again before using it.',
    status: 503,
  });
}

/** `store-damaged`: the records are whole but do not fit together. */
export function storeDamaged(what: string): DwError {
  return new DwError({
    code: 'store-damaged',
    message: `store: ${what}`,
    hint: 'Restore this directory from a replica or a backup. Nothing was changed on disk.',
  });
}

/** `store-batch-too-large`: more operations than one batch may have. */
export function storeBatchTooLarge(operations: number, max: number): DwError {
  return new DwError({
    code: 'store-batch-too-large',
    message: `store: a batch of ${operations} operations, at most ${max} are allowed`,
    hint: 'Split the batch.',
    status: 413,
    details: { operations, max },
  });
}

/** `store-invalid-data`: a value that is not bytes. */
export function storeInvalidData(path: string): DwError {
  return new DwError({
    code: 'store-invalid-data',
    message: `store: the data for ${path} is not a Uint8Array`,
    hint: 'Encode the value first, for example with TextEncoder.',
    status: 400,
  });
}
