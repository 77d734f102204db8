// Where the values of a file store are: for each path its version and the extents of its value in the log. The same
// code applies an operation when it is made and when it is read back, so both give the same index.

import { storeDamaged } from '../errors.js';
import { SortedPaths } from './sorted-paths.js';
import type { RecordedOperation } from './store-record.js';

/** A part of a value: `length` bytes that start at `offset` in the record at `position`. */
export interface Extent {
  /** Where in the value it starts. */
  readonly start: number;
  readonly length: number;
  readonly position: number;
  readonly offset: number;
}

/** One value. */
export interface Entry {
  /** Version of the write that made it. */
  readonly generation: number;
  /** Version of its last change. */
  version: number;
  length: number;
  /**
   * In order of `start`, without gaps once all is read back. Appending adds at the end; any other change makes a new
   * array, so that a reader may keep the array and the count it has seen.
   */
  extents: Extent[];
}

/** What an entry costs on disk beside its bytes, roughly; part of deciding when to clean. */
const ENTRY_OVERHEAD = 64;

/** The index of a store. Memory: a path, an entry and its extents for each value; no values. */
export class ValueIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #paths = new SortedPaths();
  #liveBytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes that would be left if all that is not needed were gone; an estimate. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  withPrefix(prefix: string): string[] {
    return this.#paths.withPrefix(prefix);
  }

  /** Applies one operation of the record at `position`. */
  apply(operation: RecordedOperation, position: number): void {
    if (operation.type === 'write') this.#put(operation, position);
    else if (operation.type === 'delete') this.#remove(operation.path);
    else this.#place(operation, position);
  }

  /** The parts of a record that are still needed. */
  live(operation: RecordedOperation, position: number): Entry | undefined {
    const entry = this.#entries.get(operation.path);
    const isHere = (extent: Extent): boolean =>
      extent.position === position && extent.offset === operation.offset;
    return entry?.generation === operation.generation && entry.extents.some(isHere) ? entry : undefined;
  }

  /** Checks that every value is there from end to end. @throws DwError `store-damaged`. */
  verify(): void {
    for (const [path, entry] of this.#entries) {
      let next = 0;
      for (const extent of entry.extents) {
        if (extent.start !== next) break;
        next += extent.length;
      }
      if (next !== entry.length) throw storeDamaged(`a part of ${path} is missing at byte ${next}`);
    }
  }

  #put(operation: RecordedOperation, position: number): void {
    const { path, version, generation, length } = operation;
    this.#remove(path);
    this.#paths.add(path);
    this.#entries.set(path, { generation, version, length, extents: [extentOf(operation, position)] });
    this.#liveBytes += length + path.length + ENTRY_OVERHEAD;
  }

  #remove(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    this.#paths.delete(path);
    this.#liveBytes -= entry.length + path.length + ENTRY_OVERHEAD;
  }

  #place(operation: RecordedOperation, position: number): void {
    const { path, generation, version, start } = operation;
    const entry = this.#entries.get(path);
    if (entry !== undefined && entry.generation > generation) return;
    if (entry === undefined || entry.generation < generation) {
      // The record of the write is gone, since all it held was moved; this is the first that is known of the value.
      this.#put({ ...operation, type: 'write' }, position);
      const made = this.#entries.get(path);
      if (made !== undefined) this.#grow(made, start + operation.length);
      return;
    }
    const extent = extentOf(operation, position);
    const last = entry.extents.at(-1);
    if (operation.type === 'append' && last !== undefined && last.length > 0 && last.start < start) {
      entry.extents.push(extent);
    } else {
      const end = start + operation.length;
      const outside = entry.extents.filter((other) => !isWithin(other, start, end));
      entry.extents = [...outside, extent].sort((a, b) => a.start - b.start);
    }
    entry.version = Math.max(entry.version, version);
    this.#grow(entry, start + operation.length);
  }

  #grow(entry: Entry, length: number): void {
    if (length <= entry.length) return;
    this.#liveBytes += length - entry.length;
    entry.length = length;
  }
}

function extentOf(operation: RecordedOperation, position: number): Extent {
  return { start: operation.start, length: operation.length, position, offset: operation.offset };
}

/** Whether an extent is replaced by the bytes from `start` to `end`; an empty one holds nothing that could be missed. */
function isWithin(extent: Extent, start: number, end: number): boolean {
  return extent.length === 0 || (extent.start >= start && extent.start + extent.length <= end);
}
