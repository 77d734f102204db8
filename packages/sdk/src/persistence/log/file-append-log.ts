// The one write-ahead log of the house, on files. Its parts: log-format.ts has the bytes, record-batch.ts what is
// appended until it is written, log-writer.ts the commit loop, recovery.ts the opening, segment-reader.ts reading.

import { randomBytes as machineBytes } from 'node:crypto';

import { SystemClock } from '../../time/index.js';
import type { AppendLogStatistics, IAppendLog, LogRecord } from '../append-log.js';
import type { FileAppendLogOptions, LogSizes } from './file-append-log-options.js';
import { checkSizes, DEFAULT_SYNC_BY } from './file-append-log-options.js';
import type { LogFile, LogFiles, LogLock } from './log-files.js';
import { encodeHeader } from './log-format.js';
import { createSegmentFile, INITIAL_BYTES, LogSegment, SPARE_FILE } from './log-segment.js';
import { LogWriter } from './log-writer.js';
import { NodeLogFiles } from './node-log-files.js';
import { type RandomBytes, randomSalt } from './random-ids.js';
import { recoverLog } from './recovery.js';
import { SegmentHandles } from './segment-handles.js';
import { readError, RecordCursor, segmentOf } from './segment-reader.js';

/** What a read of one record fetches at once, and a scan. */
const READ_WINDOW_BYTES = 20 * 1024;
const SCAN_WINDOW_BYTES = 256 * 1024;

/** An {@link IAppendLog} in the files of a directory. Made by {@link FileAppendLog.open}. */
export class FileAppendLog implements IAppendLog {
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly name: string,
    private readonly writer: LogWriter,
    private readonly handles: SegmentHandles,
    private readonly lock: LogLock,
  ) {}

  /**
   * Opens the log in a directory, making both if they are not there. Reads everything once: the checksums of all
   * records are verified, and a torn tail is cut, durably.
   * @throws DwError `log-damaged` (nothing was changed), `log-locked`, `log-invalid-options`; and what the file system
   * throws.
   */
  static async open(options: FileAppendLogOptions): Promise<FileAppendLog> {
    const name = options.name ?? options.directory;
    const sizes = checkSizes(name, options);
    const randomBytes = options.randomBytes ?? machineBytes;
    const files = options.files ?? new NodeLogFiles(options.directory);
    await files.prepare();
    const lock = await files.lock();
    try {
      const recovered = await recoverLog(files, name);
      const newest = recovered.newest ?? (await startLog(files, sizes, randomBytes));
      const handles = new SegmentHandles(files);
      const writer = new LogWriter({
        name,
        sizes,
        files,
        clock: options.clock ?? new SystemClock(false),
        randomBytes,
        syncBy: options.syncBy ?? DEFAULT_SYNC_BY,
        onFailed: options.onFailed,
        onDropped: (fileName) => handles.forget(fileName),
        segments: recovered.newest === undefined ? [newest.segment] : recovered.segments,
        file: newest.file,
        nextPosition: recovered.nextPosition,
        lastCrc: recovered.lastCrc,
        keptFrom: recovered.keptFrom,
        spareBytes: recovered.spareBytes,
      });
      return new FileAppendLog(name, writer, handles, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  get firstPosition(): number {
    return this.writer.segments[0]?.firstPosition ?? this.writer.nextPosition;
  }

  get nextPosition(): number {
    return this.writer.nextPosition;
  }

  get durablePosition(): number {
    return this.writer.durablePosition;
  }

  append(...parts: readonly Uint8Array[]): Promise<number> {
    return this.writer.append(parts);
  }

  async read(position: number): Promise<Uint8Array | null> {
    this.#check();
    if (!Number.isSafeInteger(position)) return null;
    if (position < this.firstPosition || position >= this.durablePosition) return null;
    const segment = segmentOf(this.writer.segments, position);
    if (segment === undefined) return null;
    const cursor = new RecordCursor(this.name, segment, this.handles, position, READ_WINDOW_BYTES);
    return (await this.#readKept(cursor, segment, position))?.data ?? null;
  }

  async *scan(position: number = this.firstPosition): AsyncIterable<LogRecord> {
    this.#check();
    const end = this.durablePosition;
    let next = Math.ceil(position);
    while (next < end) {
      // What was dropped while the caller was busy with an earlier record is passed over.
      next = Math.max(next, this.firstPosition);
      const segment = segmentOf(this.writer.segments, next);
      if (segment === undefined) return;
      const cursor = new RecordCursor(this.name, segment, this.handles, next, SCAN_WINDOW_BYTES);
      const following = this.writer.segments[this.writer.segments.indexOf(segment) + 1];
      for (const segmentEnd = Math.min(end, following?.firstPosition ?? end); next < segmentEnd; next++) {
        this.#check();
        const record = await this.#readKept(cursor, segment, next);
        if (record === undefined) break;
        yield record;
      }
    }
  }

  async dropBefore(position: number): Promise<void> {
    this.#check();
    await this.writer.dropBefore(position);
  }

  async barrier(): Promise<void> {
    this.#check();
    await this.writer.barrier();
  }

  statistics(): AppendLogStatistics {
    return {
      bytes: this.writer.bytes,
      segments: this.writer.segments.length,
      appends: this.writer.appends,
      syncs: this.writer.syncs,
      pendingBytes: this.writer.pendingBytes,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    try {
      await this.writer.close();
    } finally {
      await this.handles.closeAll();
      await this.lock.release();
    }
  }

  /** Reads a record; undefined when its segment was dropped meanwhile, whatever was found in its place. */
  async #readKept(
    cursor: RecordCursor,
    segment: LogSegment,
    position: number,
  ): Promise<LogRecord | undefined> {
    try {
      return await cursor.read(position);
    } catch (error) {
      this.#check();
      if (!this.writer.segments.includes(segment)) return undefined;
      throw readError(this.name, segment, error);
    }
  }

  #check(): void {
    const refusal = this.writer.refusal;
    if (refusal !== undefined) throw refusal;
  }
}

/** Makes the first segment of a new log. */
async function startLog(
  files: LogFiles,
  sizes: LogSizes,
  randomBytes: RandomBytes,
): Promise<{ readonly segment: LogSegment; readonly file: LogFile }> {
  const { block, header } = encodeHeader({
    logId: randomBytes(16).toString('hex'),
    firstPosition: 1,
    previousFirstPosition: 0,
    previousCrc: 0,
    salt: randomSalt(randomBytes),
    keptFrom: 1,
    maxBatchBytes: sizes.maxBatchBytes,
  });
  const segment = new LogSegment(header);
  // Whatever is left of an earlier log in this directory is not used again.
  await files.remove(SPARE_FILE);
  const bytes = Math.min(INITIAL_BYTES, sizes.segmentBytes);
  return { segment, file: await createSegmentFile(files, segment, block, bytes, 0) };
}
