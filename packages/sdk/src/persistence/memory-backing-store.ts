// A backing store that lives in memory, for tests and for values that may die with the process.

import type {
  BatchOperation,
  IPersistentBackingStore,
  VersionedValue,
  WriteCondition,
} from './backing-store.js';
import { storeClosed, storeFull, storeValueTooLarge, storeVersionMismatch } from './errors.js';
import { SortedPaths } from './store/sorted-paths.js';
import { checkStorePath, checkStorePrefix } from './store/store-path.js';

/** Options of a {@link MemoryBackingStore}. */
export interface MemoryBackingStoreOptions {
  /** Largest value, in bytes. Default 16 MiB. */
  readonly maxValueBytes?: number;
  /** Bytes of all values together; beyond, writes fail with `store-full`. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Paths it may hold; beyond, writes fail with `store-full`. Default 1 000 000. */
  readonly maxPaths?: number;
}

/** A value with spare room behind `length`, so that appending does not copy it each time. */
interface Slot {
  bytes: Uint8Array;
  length: number;
  version: number;
}

const MIB = 1024 * 1024;

/** An {@link IPersistentBackingStore} in memory. "On disk" means nothing here; all else is as the contract says. */
export class MemoryBackingStore implements IPersistentBackingStore {
  readonly #maxValueBytes: number;
  readonly #maxBytes: number;
  readonly #maxPaths: number;
  readonly #slots = new Map<string, Slot>();
  readonly #paths = new SortedPaths();
  #bytes = 0;
  /** One counter for all paths, so that a path which is deleted and made again never sees an old version. */
  #lastVersion = 0;
  #closed = false;

  constructor(options: MemoryBackingStoreOptions = {}) {
    this.#maxValueBytes = options.maxValueBytes ?? 16 * MIB;
    this.#maxBytes = options.maxBytes ?? 256 * MIB;
    this.#maxPaths = options.maxPaths ?? 1_000_000;
  }

  async writeAsync(path: string, data: Uint8Array, condition: WriteCondition = {}): Promise<number> {
    const [version] = await this.batchAsync([{ ...condition, type: 'write', path, data }]);
    return version ?? 0;
  }

  async readAsync(path: string): Promise<Uint8Array | null> {
    return (await this.readVersionedAsync(path))?.data ?? null;
  }

  async readVersionedAsync(path: string): Promise<VersionedValue | null> {
    this.#checkOpen();
    checkStorePath(path);
    const slot = this.#slots.get(path);
    return slot === undefined ? null : { data: slot.bytes.slice(0, slot.length), version: slot.version };
  }

  async deleteAsync(path: string, condition: WriteCondition = {}): Promise<boolean> {
    this.#checkOpen();
    checkStorePath(path);
    const there = this.#slots.has(path);
    await this.batchAsync([{ ...condition, type: 'delete', path }]);
    return there;
  }

  async listAsync(prefix: string): Promise<readonly string[]> {
    this.#checkOpen();
    checkStorePrefix(prefix);
    return this.#paths.withPrefix(prefix);
  }

  async existsAsync(path: string): Promise<boolean> {
    this.#checkOpen();
    checkStorePath(path);
    return this.#slots.has(path);
  }

  async appendAsync(path: string, data: Uint8Array): Promise<number> {
    this.#checkOpen();
    checkStorePath(path);
    const slot = this.#slots.get(path);
    if (slot === undefined) {
      await this.writeAsync(path, data);
      return data.byteLength;
    }
    const length = slot.length + data.byteLength;
    this.#checkRoom(path, length, data.byteLength, 0);
    if (length > slot.bytes.byteLength) {
      const grown = new Uint8Array(Math.max(length, slot.bytes.byteLength * 2));
      grown.set(slot.bytes.subarray(0, slot.length));
      slot.bytes = grown;
    }
    slot.bytes.set(data, slot.length);
    slot.length = length;
    slot.version = ++this.#lastVersion;
    this.#bytes += data.byteLength;
    return length;
  }

  async batchAsync(operations: readonly BatchOperation[]): Promise<readonly number[]> {
    this.#checkOpen();
    this.#checkBatch(operations);
    return operations.map((operation) => this.#apply(operation));
  }

  async barrierAsync(): Promise<void> {
    this.#checkOpen();
  }

  async closeAsync(): Promise<void> {
    this.#closed = true;
    this.#slots.clear();
  }

  /** Plays the batch through without changing anything, so that it applies whole or not at all. */
  #checkBatch(operations: readonly BatchOperation[]): void {
    const lengths = new Map<string, { readonly length: number; readonly version: number } | undefined>();
    let addedBytes = 0;
    let addedPaths = 0;
    let version = this.#lastVersion;
    for (const operation of operations) {
      checkStorePath(operation.path);
      const path = operation.path;
      const before = lengths.has(path) ? lengths.get(path) : this.#slots.get(path);
      const actual = before?.version ?? 'absent';
      if (operation.ifVersion !== undefined && operation.ifVersion !== actual) {
        throw storeVersionMismatch(path, operation.ifVersion, actual);
      }
      const length = operation.type === 'write' ? operation.data.byteLength : 0;
      addedBytes += length - (before?.length ?? 0);
      if (operation.type === 'write') {
        if (before === undefined) addedPaths += 1;
        lengths.set(path, { length, version: ++version });
      } else {
        if (before !== undefined) addedPaths -= 1;
        lengths.set(path, undefined);
      }
      this.#checkRoom(path, length, addedBytes, addedPaths);
    }
  }

  #checkRoom(path: string, length: number, addedBytes: number, addedPaths: number): void {
    if (length > this.#maxValueBytes) throw storeValueTooLarge(path, length, this.#maxValueBytes);
    const bytes = this.#bytes + addedBytes;
    if (addedBytes > 0 && bytes > this.#maxBytes) throw storeFull('bytes of values', bytes, this.#maxBytes);
    const paths = this.#slots.size + addedPaths;
    if (addedPaths > 0 && paths > this.#maxPaths) throw storeFull('paths', paths, this.#maxPaths);
  }

  #apply(operation: BatchOperation): number {
    const { path } = operation;
    this.#bytes -= this.#slots.get(path)?.length ?? 0;
    if (operation.type === 'delete') {
      if (this.#slots.delete(path)) this.#paths.delete(path);
      return 0;
    }
    const version = ++this.#lastVersion;
    this.#slots.set(path, { bytes: operation.data.slice(), length: operation.data.byteLength, version });
    this.#paths.add(path);
    this.#bytes += operation.data.byteLength;
    return version;
  }

  #checkOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}
