// The default backing store: values in an append log, an index of them in memory. A write is one record; reading goes
// to where the record is; what is no longer needed is cleaned away in the background (store-upkeep.ts). All that makes
// it survive crashes is the log's.

import type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from '../backing-store.js';
import {
  storeBatchTooLarge,
  storeBusy,
  storeDamaged,
  storeFull,
  storeInvalidData,
  storeValueTooLarge,
  storeVersionMismatch,
} from '../errors.js';
import { FileAppendLog } from '../log/file-append-log.js';
import type { FileBackingStoreOptions, StoreBounds } from './file-store-options.js';
import { storeBounds } from './file-store-options.js';
import type { NewOperation } from './store-journal.js';
import { StoreJournal } from './store-journal.js';
import { checkStorePath, checkStorePrefix } from './store-path.js';
import { MAX_HEAD_BYTES, MAX_OPERATIONS } from './store-record.js';
import { StoreUpkeep } from './store-upkeep.js';
import { readExtents } from './value-reader.js';

/** A value in more parts than this takes no more appends until some were joined. */
const MAX_EXTENTS = 4096;
/** How often a read starts again because cleaning moved the value under it. */
const MAX_READ_ATTEMPTS = 100;
const NOTHING = new Uint8Array(0);

/** What a path will be like after the operations of a batch before this one. */
interface Planned {
  readonly version: number | 'absent';
}

/** An {@link IPersistentBackingStore} in the files of a directory. Made by {@link FileBackingStore.open}. */
export class FileBackingStore implements IPersistentBackingStore {
  readonly #upkeep: StoreUpkeep;
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly journal: StoreJournal,
    private readonly bounds: StoreBounds,
  ) {
    this.#upkeep = new StoreUpkeep(journal, bounds);
  }

  /**
   * Opens the store in a directory, making both if they are not there. Reads all of its files once.
   * @throws DwError `log-damaged`, `store-damaged`, `log-locked` when another process has it open.
   */
  static async open(options: FileBackingStoreOptions): Promise<FileBackingStore> {
    const bounds = storeBounds(options);
    const maxRecordBytes = bounds.maxValueBytes + MAX_HEAD_BYTES;
    const log = await FileAppendLog.open({
      directory: options.directory,
      name: options.name ?? options.directory,
      segmentBytes: bounds.segmentBytes,
      maxRecordBytes,
      maxPendingBytes: Math.max(bounds.maxPendingBytes, 2 * maxRecordBytes),
      // The store hears of it even when nobody is waiting for a write.
      onFailed: (error) => journal.fail(error),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      ...(options.randomBytes === undefined ? {} : { randomBytes: options.randomBytes }),
      ...(options.files === undefined ? {} : { files: options.files }),
    });
    const journal = new StoreJournal(log, options.onFailed);
    try {
      await journal.replay();
    } catch (error) {
      await log.close();
      throw error;
    }
    return new FileBackingStore(journal, bounds);
  }

  async writeAsync(path: string, data: Uint8Array, condition: WriteCondition = {}): Promise<number> {
    const [version] = await this.batchAsync([{ ...condition, type: 'write', path, data }]);
    return version ?? 0;
  }

  async readAsync(path: string): Promise<Uint8Array | null> {
    return (await this.readVersionedAsync(path))?.data ?? null;
  }

  async readVersionedAsync(path: string): Promise<VersionedValue | null> {
    this.journal.check();
    checkStorePath(path);
    for (let attempt = 0; attempt < MAX_READ_ATTEMPTS; attempt++) {
      const entry = this.journal.index.get(path);
      // What is seen now is what is answered, once it is on disk; later changes do not hold the answer up.
      const seen = entry && { version: entry.version, length: entry.length, extents: entry.extents.slice() };
      await this.journal.settled(path);
      if (seen === undefined) return null;
      const data = await readExtents(this.journal, seen.extents, seen.length);
      if (data !== undefined) return { data, version: seen.version };
    }
    throw storeDamaged(`${path} could not be read: its records are gone`);
  }

  async deleteAsync(path: string, condition: WriteCondition = {}): Promise<boolean> {
    this.journal.check();
    checkStorePath(path);
    const there = this.journal.index.get(path) !== undefined;
    await this.batchAsync([{ ...condition, type: 'delete', path }]);
    return there;
  }

  async listAsync(prefix: string): Promise<readonly string[]> {
    this.journal.check();
    checkStorePrefix(prefix);
    const found = this.journal.index.withPrefix(prefix);
    await this.journal.allSettled();
    return found;
  }

  async existsAsync(path: string): Promise<boolean> {
    this.journal.check();
    checkStorePath(path);
    const there = this.journal.index.get(path) !== undefined;
    await this.journal.settled(path);
    return there;
  }

  async appendAsync(path: string, data: Uint8Array): Promise<number> {
    this.journal.check();
    checkStorePath(path);
    const entry = this.journal.index.get(path);
    if (entry === undefined) {
      await this.writeAsync(path, data);
      return data.byteLength;
    }
    checkData(path, data);
    const start = entry.length;
    const length = start + data.byteLength;
    if (length > this.bounds.maxValueBytes) throw storeValueTooLarge(path, length, this.bounds.maxValueBytes);
    if (entry.extents.length >= MAX_EXTENTS) throw storeBusy(`${path} is in ${entry.extents.length} parts`);
    this.#upkeep.checkRoom();
    if (data.byteLength === 0) {
      await this.journal.settled(path);
      return length;
    }
    const { generation } = entry;
    const version = ++this.journal.lastVersion;
    await this.#record([{ type: 'append', path, version, generation, start, data: data.slice() }]);
    return length;
  }

  async batchAsync(operations: readonly BatchOperation[]): Promise<readonly number[]> {
    this.journal.check();
    const mismatch = this.#check(operations);
    if (mismatch !== undefined) {
      // The version that was seen may still be on its way to the disk. Nobody is told of it before.
      await this.journal.settled(mismatch.path);
      throw mismatch.error;
    }
    this.#upkeep.checkRoom();
    const versions: number[] = [];
    const planned: NewOperation[] = [];
    let last = this.journal.lastVersion;
    const there = new Map<string, boolean>();
    for (const operation of operations) {
      const { type, path } = operation;
      if (operation.type === 'write') {
        const version = ++last;
        const data = operation.data.slice();
        planned.push({ type: 'write', path, version, generation: version, start: 0, data });
        versions.push(version);
      } else {
        versions.push(0);
        const exists = there.get(path) ?? this.journal.index.get(path) !== undefined;
        if (exists) {
          const version = ++last;
          planned.push({ type: 'delete', path, version, generation: version, start: 0, data: NOTHING });
        }
      }
      there.set(path, type === 'write');
    }
    if (planned.length === 0) {
      // Nothing to do; but that a path is absent may be news that is still on its way to the disk.
      for (const { path } of operations) await this.journal.settled(path);
      return versions;
    }
    this.journal.lastVersion = last;
    await this.#record(planned);
    return versions;
  }

  async barrierAsync(): Promise<void> {
    this.journal.check();
    await this.journal.allSettled();
  }

  closeAsync(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    this.journal.shut();
    await this.#upkeep.stop();
    await this.journal.log.close();
  }

  async #record(operations: readonly NewOperation[]): Promise<void> {
    const done = this.journal.record(operations);
    this.#upkeep.noticed(operations);
    await done;
  }

  /**
   * Plays a batch through without changing anything.
   * @returns the first condition that does not hold.
   * @throws DwError when the batch is not allowed whatever the state.
   */
  #check(
    operations: readonly BatchOperation[],
  ): { readonly path: string; readonly error: Error } | undefined {
    if (operations.length > MAX_OPERATIONS) throw storeBatchTooLarge(operations.length, MAX_OPERATIONS);
    const { maxValueBytes, maxPaths } = this.bounds;
    const planned = new Map<string, Planned>();
    let bytes = 0;
    let paths = this.journal.index.size;
    let version = this.journal.lastVersion;
    let mismatch: { readonly path: string; readonly error: Error } | undefined;
    for (const operation of operations) {
      const { path, ifVersion } = operation;
      checkStorePath(path);
      const before = planned.get(path)?.version ?? this.journal.index.get(path)?.version ?? 'absent';
      if (ifVersion !== undefined && ifVersion !== before) {
        mismatch ??= { path, error: storeVersionMismatch(path, ifVersion, before) };
      }
      if (operation.type === 'write') {
        checkData(path, operation.data);
        bytes += operation.data.byteLength;
        if (bytes > maxValueBytes) {
          throw storeValueTooLarge(operations.length === 1 ? path : 'the batch', bytes, maxValueBytes);
        }
        if (before === 'absent') paths += 1;
        if (before === 'absent' && paths > maxPaths) throw storeFull('paths', paths, maxPaths);
        planned.set(path, { version: ++version });
      } else {
        if (before !== 'absent') {
          paths -= 1;
          version += 1;
        }
        planned.set(path, { version: 'absent' });
      }
    }
    return mismatch;
  }
}

function checkData(path: string, data: unknown): void {
  if (!(data instanceof Uint8Array)) throw storeInvalidData(path);
}
