// What a file log can be told, and the check of it.

import type { DwError } from '../../errors/index.js';
import type { Clock } from '../../time/index.js';
import { logInvalidOptions } from '../errors.js';
import type { LogFiles } from './log-files.js';
import { HEADER_BLOCK_BYTES, recordBytes } from './log-format.js';
import type { RandomBytes } from './random-ids.js';

const MIB = 1024 * 1024;
/** A batch takes records up to this; one record may be larger. Bounds what one sync has to wait for. */
const MAX_BATCH_BYTES = 4 * MIB;

/**
 * How a batch gets to the disk. `write`: by a write that returns when its bytes are there (O_DSYNC), where the platform
 * has one and nothing else of the file waits to be synced; one trip through the thread pool. `fdatasync`: by a write and
 * then a sync, always.
 */
export type SyncBy = 'write' | 'fdatasync';

/** What is used when nothing is said. */
export const DEFAULT_SYNC_BY: SyncBy = 'write';

/** Options of a file log. Sizes are bytes. */
export interface FileAppendLogOptions {
  /** Made if it is not there. It belongs to this log alone. */
  readonly directory: string;
  /** Name in messages. Default: the directory. */
  readonly name?: string;
  /**
   * Length at which a file is full. Default 64 MiB; 64 KiB to 1 GiB. A record that is larger than this gets a file
   * of its own.
   */
  readonly segmentBytes?: number;
  /** Largest record. Default 16 MiB; up to 512 MiB. Checksums of very large records hold up the event loop (1 ms for 2 MiB). */
  readonly maxRecordBytes?: number;
  /** What may wait for the disk, record headers included; beyond, appends fail with `log-full`. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** Told once when the log fails. What it throws is an uncaught exception. */
  readonly onFailed?: (error: DwError) => void;
  /**
   * Times the mark that is written when the log falls idle, and says when a turn of the event loop is over. Default:
   * the machine's, whose timers keep no process alive.
   */
  readonly clock?: Clock;
  /** The file system. Default: the real one. Tests give a faulty one. */
  readonly files?: LogFiles;
  /** How a batch gets to the disk. Default `write`. */
  readonly syncBy?: SyncBy;
  /** Ids of the log and salts of its segments. Default: the machine's. */
  readonly randomBytes?: RandomBytes;
}

/** The sizes in force. */
export interface LogSizes {
  readonly segmentBytes: number;
  readonly maxRecordBytes: number;
  readonly maxPendingBytes: number;
  readonly maxBatchBytes: number;
}

/** Fills in defaults. @throws DwError `log-invalid-options`. */
export function checkSizes(log: string, options: FileAppendLogOptions): LogSizes {
  const segmentBytes = within(log, 'segmentBytes', options.segmentBytes ?? 64 * MIB, 64 * 1024, 1024 * MIB);
  const maxRecordBytes = within(log, 'maxRecordBytes', options.maxRecordBytes ?? 16 * MIB, 1, 512 * MIB);
  const least = recordBytes(maxRecordBytes);
  const maxPendingBytes = within(
    log,
    'maxPendingBytes',
    options.maxPendingBytes ?? Math.max(64 * MIB, least),
    least,
    Number.MAX_SAFE_INTEGER,
  );
  const maxBatchBytes = Math.max(Math.min(MAX_BATCH_BYTES, segmentBytes - HEADER_BLOCK_BYTES), least);
  return { segmentBytes, maxRecordBytes, maxPendingBytes, maxBatchBytes };
}

function within(log: string, option: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw logInvalidOptions(log, option, `a whole number from ${min} to ${max}`, value);
}
