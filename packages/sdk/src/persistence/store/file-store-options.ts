// What a file store can be told.

import type { DwError } from '../../errors/index.js';
import type { Clock } from '../../time/index.js';
import type { LogFiles } from '../log/log-files.js';

const MIB = 1024 * 1024;

/** Options of a file store. Sizes are bytes. */
export interface FileBackingStoreOptions {
  /** Made if it is not there. It belongs to this store alone. */
  readonly directory: string;
  /** Name in messages. Default: the directory. */
  readonly name?: string;
  /** Largest value, also after appending, and most data in one batch. Default 16 MiB. */
  readonly maxValueBytes?: number;
  /** Paths it may hold. The index of paths is in memory: some 300 bytes each. Default 1 000 000. */
  readonly maxPaths?: number;
  /** What may wait for the disk; beyond, writes fail with `store-busy`. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /**
   * Length of a file. Default 8 MiB. Cleaning keeps the files below the larger of four of these and three times
   * what is live.
   */
  readonly segmentBytes?: number;
  /** Told once when the store fails. */
  readonly onFailed?: (error: DwError) => void;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** The file system. Default: the real one. */
  readonly files?: LogFiles;
  /** Ids of its log. Default: the machine's. */
  readonly randomBytes?: (count: number) => Buffer;
}

/** The bounds in force. */
export interface StoreBounds {
  readonly maxValueBytes: number;
  readonly maxPaths: number;
  readonly maxPendingBytes: number;
  readonly segmentBytes: number;
}

/** Fills in defaults. */
export function storeBounds(options: FileBackingStoreOptions): StoreBounds {
  const maxValueBytes = options.maxValueBytes ?? 16 * MIB;
  return {
    maxValueBytes,
    maxPaths: options.maxPaths ?? 1_000_000,
    maxPendingBytes: options.maxPendingBytes ?? Math.max(64 * MIB, 2 * maxValueBytes),
    segmentBytes: options.segmentBytes ?? 8 * MIB,
  };
}
