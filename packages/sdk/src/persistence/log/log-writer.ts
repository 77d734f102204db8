// The writing half of a file log. One commit loop does all that changes files: it takes what was appended in a turn of
// the event loop, writes it with one call, syncs it with one fdatasync, and then tells everybody. What fails there is
// final: everything that waits is refused, and nothing is accepted any more.

import type { DwError } from '../../errors/index.js';
import type { Clock, TimerHandle } from '../../time/index.js';
import { type RandomBytes, randomSalt } from './random-ids.js';
import { logClosed, logFailed, logFull, logRecordTooLarge } from '../errors.js';
import type { Deferred } from './deferred.js';
import { deferred } from './deferred.js';
import type { LogSizes, SyncBy } from './file-append-log-options.js';
import type { LogFile, LogFiles } from './log-files.js';
import { writeAll, writeFully } from './log-files.js';
import { encodeHeader, HEADER_BLOCK_BYTES, recordBytes } from './log-format.js';
import { createSegmentFile, INITIAL_BYTES, LogSegment, SPARE_FILE } from './log-segment.js';
import { ChunkPool, RecordBatch } from './record-batch.js';

/** A file grows by its own length, at most this much at a time. */
const MAX_GROWTH_BYTES = 8 * 1024 * 1024;
/**
 * How long nothing is appended before a mark is written that tells how far the log is on disk; or up to twice as long.
 * The next batch says so too, so only what is the last for long needs one; and a mark costs the batch after it a sync of
 * the whole file.
 */
const IDLE_MARK_MS = 500;

/** A request to let records go. */
interface Drop extends Deferred {
  readonly before: number;
}

/** The state a writer starts from: what was found in the directory, or a new first segment. */
export interface LogWriterStart {
  readonly name: string;
  readonly sizes: LogSizes;
  readonly files: LogFiles;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly syncBy: SyncBy;
  readonly onFailed: ((error: DwError) => void) | undefined;
  /** Called with the file name of each segment that was let go of. */
  readonly onDropped: (fileName: string) => Promise<void>;
  /** Oldest first; not empty. */
  readonly segments: readonly LogSegment[];
  /** The newest segment's file. */
  readonly file: LogFile;
  readonly nextPosition: number;
  readonly lastCrc: number;
  readonly keptFrom: number;
  /** Length of a recycled file that waits; 0 if there is none. */
  readonly spareBytes: number;
}

/** Appends to the segments of a log. */
export class LogWriter {
  /** Segments with a file, oldest first. */
  readonly segments: LogSegment[];
  readonly #start: LogWriterStart;
  readonly #pool: ChunkPool;
  /** The newest segment with a file. */
  #active: { readonly segment: LogSegment; readonly file: LogFile };
  /** The segment that records are encoded for; ahead of the active one until its first batch is written. */
  #tail: LogSegment;
  /** Where the next record goes in the tail. */
  #tailOffset: number;
  #lastCrc: number;
  #nextPosition: number;
  #durablePosition: number;
  #keptFrom: number;
  #spareBytes: number;
  /** Batches to be written, bounded by `maxPendingBytes`. The last one still takes records. */
  readonly #queue: RecordBatch[] = [];
  readonly #drops: Drop[] = [];
  /** The batch that got the last record. */
  #newest: RecordBatch | undefined;
  #pendingBytes = 0;
  #appends = 0;
  #syncs = 0;
  /** The commit loop while it runs. It never rejects. */
  #loop: Promise<void> | undefined;
  /** Lengthening of the active file, beside the loop. It never rejects. */
  #extending: Promise<void> | undefined;
  #idleTimer: TimerHandle | undefined;
  #mark: 'written' | 'behind' | 'due' = 'written';
  #failure: DwError | undefined;
  #closing: Promise<void> | undefined;

  constructor(start: LogWriterStart) {
    const newest = start.segments.at(-1);
    if (newest === undefined) throw new Error(`log ${start.name}: there is no segment to write to`);
    this.#start = start;
    this.#pool = new ChunkPool(start.sizes.segmentBytes);
    this.segments = [...start.segments];
    this.#active = { segment: newest, file: start.file };
    this.#tail = newest;
    this.#tailOffset = newest.endOffset;
    this.#lastCrc = start.lastCrc;
    this.#nextPosition = start.nextPosition;
    this.#durablePosition = start.nextPosition;
    this.#keptFrom = start.keptFrom;
    this.#spareBytes = start.spareBytes;
  }

  get nextPosition(): number {
    return this.#nextPosition;
  }

  get durablePosition(): number {
    return this.#durablePosition;
  }

  get appends(): number {
    return this.#appends;
  }

  get syncs(): number {
    return this.#syncs;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.allocatedBytes, this.#spareBytes);
  }

  /** Why nothing is accepted any more, if so. */
  get refusal(): DwError | undefined {
    if (this.#failure !== undefined) return this.#failure;
    return this.#closing === undefined ? undefined : logClosed(this.#start.name);
  }

  /** As `IAppendLog.append`. Hot path. */
  append(parts: readonly Uint8Array[]): Promise<number> {
    const { name, sizes } = this.#start;
    const refusal = this.refusal;
    if (refusal !== undefined) return Promise.reject(refusal);
    let length = 0;
    for (const part of parts) length += part.byteLength;
    if (length > sizes.maxRecordBytes) {
      return Promise.reject(logRecordTooLarge(name, length, sizes.maxRecordBytes));
    }
    const total = recordBytes(length);
    const pending = this.#pendingBytes + total;
    if (pending > sizes.maxPendingBytes) {
      return Promise.reject(logFull(name, 'wait for the disk', pending, sizes.maxPendingBytes));
    }
    const batch = this.#batchFor(total);
    const position = this.#nextPosition;
    this.#tail.note(position, this.#tailOffset);
    this.#lastCrc = batch.add(parts, length);
    this.#tailOffset += total;
    this.#nextPosition = position + 1;
    this.#pendingBytes = pending;
    this.#appends += 1;
    this.#wake();
    return batch.done.then(() => position);
  }

  /** Resolves when all that was appended before is on disk. */
  async barrier(): Promise<void> {
    await this.#newest?.done;
  }

  /** As `IAppendLog.dropBefore`. */
  async dropBefore(position: number): Promise<void> {
    const second = this.segments[1];
    if (second === undefined || !(second.firstPosition <= position)) return;
    const drop: Drop = { ...deferred(), before: position };
    this.#drops.push(drop);
    this.#wake();
    await drop.promise;
  }

  /** Waits for what is under way, leaves a mark that says how far the log goes, and closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** The batch that takes a record of this size: the open one, or a new one where that is full or the segment is. */
  #batchFor(total: number): RecordBatch {
    const { segmentBytes, maxBatchBytes } = this.#start.sizes;
    const fits = this.#tailOffset + total <= segmentBytes || this.#tailOffset === HEADER_BLOCK_BYTES;
    const open = this.#queue.at(-1);
    if (open !== undefined && fits && open.bytes + total <= maxBatchBytes) return open;
    const headerBlock = fits ? undefined : this.#startSegment();
    const batch = new RecordBatch(this.#tail, this.#tailOffset, this.#nextPosition, headerBlock, this.#pool);
    this.#queue.push(batch);
    this.#newest = batch;
    return batch;
  }

  #startSegment(): Buffer {
    const { block, header } = encodeHeader({
      logId: this.#tail.header.logId,
      firstPosition: this.#nextPosition,
      previousFirstPosition: this.#tail.firstPosition,
      previousCrc: this.#lastCrc,
      salt: randomSalt(this.#start.randomBytes),
      keptFrom: this.#keptFrom,
      maxBatchBytes: this.#start.sizes.maxBatchBytes,
    });
    this.#tail = new LogSegment(header);
    this.#tailOffset = HEADER_BLOCK_BYTES;
    return block;
  }

  #wake(): void {
    if (this.#loop !== undefined || this.#failure !== undefined) return;
    this.#loop = this.#run();
  }

  get #hasWork(): boolean {
    return this.#queue.length > 0 || this.#drops.length > 0 || this.#mark === 'due';
  }

  /** The commit loop: runs while there is something to do. */
  async #run(): Promise<void> {
    try {
      for (;;) {
        // Whoever the last commit woke appends before the next batch is taken: all of them share one sync.
        await promisesTaken();
        if (!this.#hasWork) break;
        await this.#step();
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#loop = undefined;
    this.#watchIdle();
  }

  /** Has a mark written once nothing was appended for long. The timer is set once, and not anew after each commit. */
  #watchIdle(): void {
    if (this.#idleTimer !== undefined || this.#mark !== 'behind' || this.refusal !== undefined) return;
    const seen = this.#syncs;
    this.#idleTimer = this.#start.clock.setTimeout(() => {
      this.#idleTimer = undefined;
      // The end of the loop looks again.
      if (this.#loop !== undefined) return;
      if (this.#syncs !== seen) {
        this.#watchIdle();
      } else if (this.#mark === 'behind' && this.refusal === undefined) {
        this.#mark = 'due';
        this.#wake();
      }
    }, IDLE_MARK_MS);
  }

  /** Does what comes next. */
  async #step(): Promise<void> {
    const drop = this.#drops[0];
    if (drop !== undefined) {
      await doing('dropping a segment', this.#dropSegments(drop.before));
      this.#drops.shift();
      drop.resolve();
    }
    const batch = this.#queue.shift();
    if (batch === undefined && this.#mark === 'due') {
      await doing('writing a mark', this.#writeMark());
      return;
    }
    if (batch === undefined) return;
    try {
      if (this.#needsRoom(batch)) await this.#makeRoom(batch);
      const { segment, file } = this.#active;
      await this.#write(segment, file, batch);
      this.#written(segment, file, batch);
    } catch (error) {
      // It goes back so that it is refused with all the others.
      this.#queue.unshift(batch);
      throw error instanceof Failure ? error : new Failure('writing', error);
    }
    batch.succeed();
  }

  /** Whether more has to be done for a batch than to write it. */
  #needsRoom({ headerBlock, offset, bytes }: RecordBatch): boolean {
    const { segment } = this.#active;
    const { allocatedBytes, markedBytes } = segment;
    return headerBlock !== undefined || offset + bytes > allocatedBytes || markedBytes < allocatedBytes;
  }

  /** Sees to it that there is a file of which the part that a batch goes to is on disk. */
  async #makeRoom(batch: RecordBatch): Promise<void> {
    if (batch.headerBlock !== undefined) {
      await doing('starting a segment', this.#roll(batch.segment, batch.headerBlock, batch.bytes));
    }
    const { segment, file } = this.#active;
    const end = batch.offset + batch.bytes;
    if (end > segment.allocatedBytes) {
      await this.#extending;
      await doing('lengthening a segment', segment.lengthen(file, this.#grownLength(segment, end)));
      await doing('fdatasync', segment.sync(file));
    }
    // On disk with this batch, so that a file that was cut shorter later on is known for what it is.
    if (segment.markedBytes < segment.allocatedBytes) await doing('writing a mark', this.#writeMark());
  }

  /** A batch is on disk. */
  #written(segment: LogSegment, file: LogFile, batch: RecordBatch): void {
    this.#syncs += 1;
    batch.release();
    segment.endOffset = batch.offset + batch.bytes;
    this.#durablePosition = batch.end;
    this.#pendingBytes -= batch.bytes;
    this.#mark = 'behind';
    this.#extendAhead(segment, file);
  }

  /** Writes a batch and returns when it is on disk, with everything that has to be there with it. */
  #write(segment: LogSegment, file: LogFile, batch: RecordBatch): Promise<void> {
    const durably =
      this.#start.syncBy === 'write' && segment.isClean ? file.writeDurably?.bind(file) : undefined;
    if (durably === undefined) return this.#writeAndSync(segment, file, batch);
    return writeAll(durably, batch.pieces(), batch.offset);
  }

  async #writeAndSync(segment: LogSegment, file: LogFile, batch: RecordBatch): Promise<void> {
    // Marks and new zeros wait for a sync, and it has to be one of the whole file.
    await doing('writing', writeFully(file, batch.pieces(), batch.offset));
    await doing('fdatasync', segment.sync(file));
  }

  #writeMark(sealedBy = 0): Promise<void> {
    this.#mark = 'written';
    const facts = { durablePosition: this.#durablePosition, keptFrom: this.#keptFrom, sealedBy };
    return this.#active.segment.writeMark(this.#active.file, facts);
  }

  /**
   * Lengthens the file before it is full, beside the loop: a sync that changes no length costs a third less. It has no
   * sync of its own: the system reports a lost write to one sync only, and that has to be the one of a batch.
   */
  #extendAhead(segment: LogSegment, file: LogFile): void {
    const left = segment.writtenBytes - segment.endOffset;
    const isLow = left < Math.min(segment.writtenBytes / 2, MAX_GROWTH_BYTES / 2);
    const wanted = this.#grownLength(segment, 0);
    if (this.#extending !== undefined || !isLow || wanted <= segment.writtenBytes) return;
    this.#extending = doing('lengthening a segment', segment.lengthen(file, wanted))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#extending = undefined;
      });
  }

  #grownLength(segment: LogSegment, needed: number): number {
    const grown = segment.writtenBytes + Math.min(segment.writtenBytes, MAX_GROWTH_BYTES);
    return Math.max(needed, Math.min(grown, this.#start.sizes.segmentBytes));
  }

  /** Makes the file of the next segment, and then writes into the one before that it is sealed. */
  async #roll(next: LogSegment, headerBlock: Buffer, batchBytes: number): Promise<void> {
    await this.#extending;
    const needed = Math.max(INITIAL_BYTES, HEADER_BLOCK_BYTES + batchBytes);
    const wanted = Math.max(
      HEADER_BLOCK_BYTES + batchBytes,
      Math.min(needed, this.#start.sizes.segmentBytes),
    );
    const spare = this.#spareBytes >= wanted ? this.#spareBytes : 0;
    const file = await createSegmentFile(this.#start.files, next, headerBlock, wanted, spare);
    if (spare > 0) this.#spareBytes = 0;
    const sealed = this.#active.file;
    await this.#writeMark(next.firstPosition);
    await sealed.datasync();
    this.segments.push(next);
    this.#active = { segment: next, file };
    await sealed.close();
  }

  /** Lets whole segments go, oldest first, so that what is left always hangs together. */
  async #dropSegments(before: number): Promise<void> {
    const files = this.#start.files;
    const kept = this.segments.findLastIndex((segment) => segment.firstPosition <= before);
    if (kept <= 0) return;
    // First it is on disk that these files may be missing; else a missing file could not be told from a lost one.
    this.#keptFrom = this.segments[kept]?.firstPosition ?? this.#keptFrom;
    await this.#writeMark();
    await this.#active.file.datasync();
    for (const segment of this.segments.splice(0, kept)) {
      await this.#start.onDropped(segment.fileName);
      if (this.#spareBytes === 0 && segment.allocatedBytes === this.#start.sizes.segmentBytes) {
        await files.rename(segment.fileName, SPARE_FILE);
        this.#spareBytes = segment.allocatedBytes;
      } else {
        await files.remove(segment.fileName);
      }
      await files.syncDirectory();
    }
  }

  /** The first failure is the last word. */
  #fail(thrown: unknown): void {
    if (this.#failure !== undefined) return;
    const [what, cause] = thrown instanceof Failure ? [thrown.what, thrown.cause] : ['committing', thrown];
    const failure = logFailed(this.#start.name, what, cause);
    this.#failure = failure;
    for (const batch of this.#queue.splice(0)) batch.fail(failure);
    for (const drop of this.#drops.splice(0)) drop.reject(failure);
    const listener = this.#start.onFailed;
    if (listener !== undefined) queueMicrotask(() => listener(failure));
  }

  async #shutDown(): Promise<void> {
    this.#idleTimer?.cancel();
    // A failed log has nothing left to write. A failure now is heard by whoever waits for an append, or by nobody.
    while (this.#loop !== undefined || this.#extending !== undefined) {
      await this.#loop;
      await this.#extending;
    }
    try {
      if (this.#failure === undefined && this.#mark !== 'written') {
        await doing('writing a mark', this.#writeMark());
        await doing('fdatasync', this.#active.file.datasync());
      }
    } catch (error) {
      this.#fail(error);
      throw this.#failure ?? error;
    } finally {
      await this.#active.file.close();
    }
  }
}

/** A failure, with what was being done. */
class Failure extends Error {
  constructor(
    readonly what: string,
    override readonly cause: unknown,
  ) {
    super(what);
  }
}

/** Says of a failure what was being done. A failure that says so already stays as it is. */
async function doing<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(what, error);
  }
}

/**
 * Resolves when everything that follows from promises settled so far has run. A turn of the event loop would gather
 * more, but what comes in the next turn can share the next sync, and the first append need not wait for it.
 */
function promisesTaken(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
