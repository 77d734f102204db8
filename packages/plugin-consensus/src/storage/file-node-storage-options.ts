// The options of a node's storage, with their defaults and bounds.

import { type Clock, FileAppendLog, type IAppendLog, SystemClock } from '@datawarehouse/sdk';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { storageOptionInvalid } from './errors.js';
import { fileMapper } from './mapped-file.js';
import { NodeStorageFiles } from './node-storage-files.js';
import type { SegmentOptions } from './segmented-raft-log.js';
import type { StorageFiles } from './storage-files.js';
import type { StorageTuning } from './types.js';

const MIB = 1024 * 1024;

const HOUR_MS = 60 * 60 * 1000;
const RECORD_SLACK_BYTES = 64 * 1024;

/** Opens the journal of a node. `onFailed` is told when it fails at a moment when nobody waits for it. */
export type OpenLog = (directory: string, onFailed: (error: Error) => void) => Promise<IAppendLog>;

/** How a node's storage is opened. Sizes are in bytes. */
export interface FileNodeStorageOptions {
  readonly directory: string;
  /** Entries for each segment file. Default 10 000. */
  readonly entriesPerSegment?: number;
  /** A segment that passes this is sealed early. Default 256 MiB. */
  readonly maxSegmentBytes?: number;
  /** How many of a group's newest sealed segments are mapped into memory. Default 3; 0 maps none. */
  readonly mappedSegments?: number;
  /** Bytes of the journal between two rounds that shorten it. It grows to about twice as much. Default 32 MiB. */
  readonly checkpointBytes?: number;
  /** Largest record of the journal; larger turns are cut into several. Default 8 MiB. */
  readonly maxRecordBytes?: number;
  /** Bytes that may wait for the journal; more are refused with `raft-storage-busy`. Default 128 MiB. */
  readonly maxPendingBytes?: number;
  /** Bytes that may be in the journal and not in segments yet; beyond, writes wait. Default 32 MiB. */
  readonly maxLagBytes?: number;
  /** Bytes of a group that are gathered before they are written to its segments. Default 1 MiB. */
  readonly flushBytes?: number;
  /** Bytes of entries in segments that stay in memory, for all groups. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** The same for each group. Default 1 MiB. */
  readonly cacheBytesPerGroup?: number;
  /** Times that files of replaced groups were moved to `{directory}/damaged` and are kept there. Default 5. */
  readonly keepDamaged?: number;
  /** Bytes a second at which sealed files are looked over for damage in the background. Default 16 MiB; 0: not at all. */
  readonly scrubBytesPerSecond?: number;
  /** Ms from the end of one look over everything to the next. Default 6 hours. */
  readonly scrubIntervalMs?: number;
  /** Opens the journal in `{directory}/journal`. Default: the SDK's FileAppendLog. */
  readonly openLog?: OpenLog;
  /** Where segments, snapshots and checkpoints are. Default: `directory` on the real disk. */
  readonly files?: StorageFiles;
  /** Says when a turn of the event loop is over, and times what the journal times. Default: the machine's. */
  readonly clock?: Clock;
  /** Ids that the storage makes. Default: the machine's. */
  readonly randomBytes?: (count: number) => Buffer;
}

/** Options with everything filled in. */
export interface StorageSettings {
  readonly journalDirectory: string;
  readonly segments: SegmentOptions;
  readonly checkpointBytes: number;
  readonly maxRecordBytes: number;
  readonly maxPendingBytes: number;
  readonly maxLagBytes: number;
  readonly flushBytes: number;
  readonly cacheBytes: number;
  readonly cacheBytesPerGroup: number;
  readonly keepDamaged: number;
  readonly scrubIntervalMs: number;
  /** What is in force; replaced part by part while the storage runs. */
  readonly tuning: { -readonly [name in keyof StorageTuning]: number };
  readonly openLog: OpenLog;
  readonly files: StorageFiles;
  readonly clock: Clock;
  readonly randomBytes: (count: number) => Buffer;
}

/** Fills in and checks options. @throws DwError `raft-storage-invalid-option`. */
export function settingsOf(options: FileNodeStorageOptions): StorageSettings {
  const maxRecordBytes = bounded('maxRecordBytes', options.maxRecordBytes ?? 8 * MIB, 4096, 64 * MIB);
  const clock = options.clock ?? new SystemClock(false);
  const ids = options.randomBytes ?? randomBytes;
  const tuning = checkTuning({
    hotSegments: options.mappedSegments ?? 3,
    scrubBytesPerSecond: options.scrubBytesPerSecond ?? 16 * MIB,
  });
  const checkpointBytes = bounded('checkpointBytes', options.checkpointBytes ?? 32 * MIB, 1, 1024 * MIB);
  return {
    journalDirectory: join(options.directory, 'journal'),
    segments: {
      entriesPerSegment: bounded('entriesPerSegment', options.entriesPerSegment ?? 10_000, 1, 1_000_000),
      maxSegmentBytes: bounded('maxSegmentBytes', options.maxSegmentBytes ?? 256 * MIB, 4096, 1024 * MIB),
      mappedSegments: () => tuning.hotSegments,
      mapper: fileMapper,
    },
    checkpointBytes,
    maxRecordBytes,
    maxPendingBytes: bounded('maxPendingBytes', options.maxPendingBytes ?? 128 * MIB, 1, 1024 * MIB),
    maxLagBytes: bounded('maxLagBytes', options.maxLagBytes ?? 32 * MIB, 1, 1024 * MIB),
    flushBytes: bounded('flushBytes', options.flushBytes ?? MIB, 1, 64 * MIB),
    cacheBytes: bounded('cacheBytes', options.cacheBytes ?? 64 * MIB, 0, 4096 * MIB),
    cacheBytesPerGroup: bounded('cacheBytesPerGroup', options.cacheBytesPerGroup ?? MIB, 0, 1024 * MIB),
    keepDamaged: bounded('keepDamaged', options.keepDamaged ?? 5, 1, 1000),
    scrubIntervalMs: bounded('scrubIntervalMs', options.scrubIntervalMs ?? 6 * HOUR_MS, 1, 1_000 * HOUR_MS),
    tuning,
    openLog: options.openLog ?? openFileLog(maxRecordBytes, checkpointBytes, clock, ids),
    files: options.files ?? new NodeStorageFiles(options.directory),
    clock,
    randomBytes: ids,
  };
}

/** Checks what is to be changed. @throws DwError `raft-storage-invalid-option`. */
export function checkTuning<T extends Partial<StorageTuning>>(tuning: T): T {
  const { hotSegments, scrubBytesPerSecond } = tuning;
  if (hotSegments !== undefined) bounded('mappedSegments', hotSegments, 0, 1_000);
  if (scrubBytesPerSecond !== undefined) bounded('scrubBytesPerSecond', scrubBytesPerSecond, 0, 4096 * MIB);
  return { ...tuning };
}

function openFileLog(
  maxRecordBytes: number,
  checkpointBytes: number,
  clock: Clock,
  ids: (count: number) => Buffer,
): OpenLog {
  return (directory, onFailed) =>
    FileAppendLog.open({
      directory,
      name: 'raft journal',
      // The sizes of turns are reckoned, not measured; this is what a reckoning may be off by.
      maxRecordBytes: maxRecordBytes + RECORD_SLACK_BYTES,
      // Files that are full and dropped between two rounds are used again, which spares the disk making room.
      segmentBytes: Math.min(64 * MIB, Math.max(MIB / 16, Math.ceil(checkpointBytes / 2))),
      onFailed,
      clock,
      randomBytes: ids,
    });
}

function bounded(option: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw storageOptionInvalid(option, `a whole number from ${min} to ${max}`, value);
}
