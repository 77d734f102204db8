// An ordered map from keys to values that can hand out an unchanging view of itself at no cost.
//
// Keys lie sorted in chunks of at most 512, so that an insert moves a few hundred pointers and not millions. A view
// shares all chunks; a change made afterwards copies the one chunk it touches (and once the list of chunks). So a
// snapshot of the state can be written over minutes while writes go on, and neither waits for the other.
//
// A value lies in a cell, and an index finds the cell of a key without a search: a key that is there is read and written
// at the cost of a hash map. A cell, like a chunk, may be shared with a view that is not older than it.

import { KeyIndex } from './key-index.js';
import { compareUtf8 } from './utf8-order.js';

const MAX_CHUNK = 512;
const MERGE_BELOW = 128;

/** The place of a key that is there. */
export interface Cell<V> {
  /** The map's epoch when it was made. A cell of an older epoch may be shared with a view, and stays as it is. */
  readonly epoch: number;
  /** The key as the map has it: whoever keeps it keeps no copy of its own. */
  readonly key: string;
  value: V;
}

interface Chunk<V> {
  /** The map's epoch when this chunk was made. A chunk of an older epoch may be shared with a view. */
  readonly epoch: number;
  /** Sorted. `cells[i]` belongs to `keys[i]`; never empty. */
  readonly keys: string[];
  readonly cells: Cell<V>[];
}

/** An unchanging, ordered view of a {@link CowOrderedMap}. */
export interface OrderedView<V> {
  readonly size: number;
  /** Entries in key order. */
  entries(): IterableIterator<readonly [string, V]>;
}

/** An ordered map with cheap views. Keys are ordered by their UTF-8 bytes. */
export class CowOrderedMap<V> {
  private chunks: Chunk<V>[] = [];
  /** The cell of each key that is there: the one that its chunk has. */
  private readonly index = new KeyIndex<Cell<V>>();
  private epoch = 0;
  /** True while `chunks` itself (not only what is in it) is shared with a view. */
  private listShared = false;
  private count = 0;

  /** Number of keys. */
  get size(): number {
    return this.count;
  }

  /** The key's value, or undefined. */
  get(key: string): V | undefined {
    return this.index.get(key)?.value;
  }

  /** Puts a value and returns the one it replaces, or undefined. */
  set(key: string, value: V): V | undefined {
    const cell = this.index.get(key);
    if (cell === undefined) {
      this.add(key, value);
      return undefined;
    }
    const previous = cell.value;
    this.replace(cell, value);
    return previous;
  }

  /** The key's place, only to be looked at, until the map is changed; undefined when it is not there. */
  find(key: string): Readonly<Cell<V>> | undefined {
    return this.index.get(key);
  }

  /** Puts a value in the place of another, which {@link find} gave. Hot path. */
  replace(cell: Cell<V>, value: V): void {
    if (cell.epoch === this.epoch) cell.value = value;
    else this.exchange(cell.key, this.newCell(cell.key, value));
  }

  /** Puts the value of a key that is not there. */
  add(key: string, value: V): void {
    this.insert(key, this.newCell(key, value));
  }

  /** Adds a key that comes after all others. @returns false when it does not, and nothing was added. */
  append(key: string, value: V): boolean {
    const last = this.chunks.length - 1;
    const tail = this.chunks[last];
    const lastKey = tail?.keys[tail.keys.length - 1];
    if (lastKey !== undefined && compareUtf8(lastKey, key) >= 0) return false;
    const cell = this.newCell(key, value);
    if (tail === undefined || tail.keys.length >= MAX_CHUNK) {
      this.ownList().push({ epoch: this.epoch, keys: [key], cells: [cell] });
    } else {
      const own = this.ownChunk(last);
      own.keys.push(key);
      own.cells.push(cell);
    }
    this.count++;
    return true;
  }

  /** Removes a key and returns its value, or undefined when it was not there. */
  delete(key: string): V | undefined {
    const index = this.chunkOf(key);
    const seen = this.chunks[index];
    if (seen === undefined) return undefined;
    const at = lowerBound(seen.keys, key);
    if (seen.keys[at] !== key) return undefined;
    const chunk = this.ownChunk(index);
    const value = chunk.cells[at]?.value;
    chunk.keys.splice(at, 1);
    chunk.cells.splice(at, 1);
    this.index.delete(key);
    this.count--;
    this.shrink(index, chunk);
    return value;
  }

  /** Up to `limit` entries whose keys begin with `prefix` and come after `after`, in key order. */
  page(prefix: string, after: string | undefined, limit: number): (readonly [string, V])[] {
    const found: (readonly [string, V])[] = [];
    const exclusive = after !== undefined && compareUtf8(after, prefix) >= 0;
    const start = exclusive ? after : prefix;
    if (this.chunks.length === 0) return found;
    let index = this.chunkOf(start);
    let at = lowerBound(this.chunks[index]?.keys ?? [], start);
    while (found.length < limit) {
      const chunk = this.chunks[index];
      if (chunk === undefined) break;
      const key = chunk.keys[at];
      if (key === undefined) {
        index++;
        at = 0;
        continue;
      }
      if (!key.startsWith(prefix)) break;
      if (!(exclusive && key === start)) found.push([key, (chunk.cells[at] as Cell<V>).value]);
      at++;
    }
    return found;
  }

  /** A view of the map as it is now. It stays so, whatever is changed afterwards. */
  view(): OrderedView<V> {
    const chunks: readonly Chunk<V>[] = this.chunks;
    const size = this.count;
    this.listShared = true;
    this.epoch++;
    return {
      size,
      *entries(): IterableIterator<readonly [string, V]> {
        for (const chunk of chunks) {
          for (let at = 0; at < chunk.keys.length; at++) {
            yield [chunk.keys[at] as string, (chunk.cells[at] as Cell<V>).value];
          }
        }
      },
    };
  }

  private newCell(key: string, value: V): Cell<V> {
    const cell: Cell<V> = { epoch: this.epoch, key, value };
    this.index.set(key, cell);
    return cell;
  }

  /** Adds a key that is not there. */
  private insert(key: string, cell: Cell<V>): void {
    this.count++;
    if (this.chunks.length === 0) {
      this.ownList().push({ epoch: this.epoch, keys: [key], cells: [cell] });
      return;
    }
    const index = this.chunkOf(key);
    const chunk = this.ownChunk(index);
    const at = lowerBound(chunk.keys, key);
    chunk.keys.splice(at, 0, key);
    chunk.cells.splice(at, 0, cell);
    if (chunk.keys.length > MAX_CHUNK) this.split(index, chunk);
  }

  /** Puts another cell in the place of one that a view may share. */
  private exchange(key: string, cell: Cell<V>): void {
    const chunk = this.ownChunk(this.chunkOf(key));
    chunk.cells[lowerBound(chunk.keys, key)] = cell;
  }

  /** Index of the chunk in which the key is or would be; 0 when there are none. */
  private chunkOf(key: string): number {
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = this.chunks[middle]?.keys[0] as string;
      if (compareUtf8(first, key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private ownList(): Chunk<V>[] {
    if (this.listShared) {
      this.chunks = this.chunks.slice();
      this.listShared = false;
    }
    return this.chunks;
  }

  private ownChunk(index: number): Chunk<V> {
    const chunk = this.chunks[index] as Chunk<V>;
    if (chunk.epoch === this.epoch) return chunk;
    const own: Chunk<V> = { epoch: this.epoch, keys: chunk.keys.slice(), cells: chunk.cells.slice() };
    this.ownList()[index] = own;
    return own;
  }

  private split(index: number, chunk: Chunk<V>): void {
    const half = chunk.keys.length >>> 1;
    const upper: Chunk<V> = {
      epoch: this.epoch,
      keys: chunk.keys.splice(half),
      cells: chunk.cells.splice(half),
    };
    this.ownList().splice(index + 1, 0, upper);
  }

  /** Keeps many deletes from leaving many chunks of a few keys each. */
  private shrink(index: number, chunk: Chunk<V>): void {
    if (chunk.keys.length === 0) {
      this.ownList().splice(index, 1);
      return;
    }
    const next = this.chunks[index + 1];
    if (next === undefined || chunk.keys.length + next.keys.length > MERGE_BELOW) return;
    chunk.keys.push(...next.keys);
    chunk.cells.push(...next.cells);
    this.ownList().splice(index + 1, 1);
  }
}

/** Index of the first key that is not before `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(keys[middle] as string, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
