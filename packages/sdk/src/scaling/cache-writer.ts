// Between a cache and its backing store: paths, bytes, and the two ways of writing.

import type { Clock } from '../time/index.js';
import type { CachePersistence } from './bounded-cache-options.js';
import { cacheBusy, cacheClosed, cacheDirtyFull, cacheFlushFailed, cacheOptionInvalid } from './errors.js';
import type { DirtyEntry } from './write-behind.js';
import { WriteBehind } from './write-behind.js';

const DEFAULT_DELAY_MS = 1_000;
const DEFAULT_MAX_DIRTY_ENTRIES = 1_000;
const DEFAULT_MAX_DIRTY_BYTES = 16 * 1024 * 1024;

/** Reads and writes the entries of one cache. */
export class CacheWriter<K, V> {
  private readonly behind: WriteBehind<K, V> | undefined;
  private readonly maxDirtyEntries: number;
  private through = 0;
  private throughFailures = 0;
  private refusing = false;

  /** @param onListenerFailed told of what `onWriteFailed` throws. */
  constructor(
    private readonly cache: string,
    private readonly persistence: CachePersistence<K, V>,
    clock: Clock,
    onListenerFailed: (error: unknown) => void,
  ) {
    const { store, mode, delayMs = DEFAULT_DELAY_MS, maxDirtyBytes = DEFAULT_MAX_DIRTY_BYTES } = persistence;
    this.maxDirtyEntries = persistence.maxDirtyEntries ?? DEFAULT_MAX_DIRTY_ENTRIES;
    if (!Number.isSafeInteger(this.maxDirtyEntries) || this.maxDirtyEntries < 1) {
      throw cacheOptionInvalid(cache, 'maxDirtyEntries', this.maxDirtyEntries, 'a whole number from 1');
    }
    if (!(delayMs >= 0)) throw cacheOptionInvalid(cache, 'delayMs', delayMs, 'a number from 0');
    if (mode === 'write-through') return;
    this.behind = new WriteBehind<K, V>({
      store,
      clock,
      maxEntries: this.maxDirtyEntries,
      maxBytes: maxDirtyBytes,
      delayMs,
      onFailure: (error, paths) => {
        try {
          persistence.onWriteFailed?.(error, paths);
        } catch (thrown) {
          onListenerFailed(thrown);
        }
      },
    });
  }

  get isBehind(): boolean {
    return this.behind !== undefined;
  }

  /** Changes that are not on disk yet. */
  get dirty(): number {
    return this.behind?.size ?? 0;
  }

  get written(): number {
    return this.through + (this.behind?.written ?? 0);
  }

  get failures(): number {
    return this.throughFailures + (this.behind?.failures ?? 0);
  }

  /** The change of a key that is not on disk yet. */
  pending(key: K): DirtyEntry<V> | undefined {
    return this.behind?.peek(key);
  }

  /** Reads from the store. */
  async read(key: K): Promise<V | undefined> {
    const { store, pathOf, deserialize } = this.persistence;
    const data = await store.readAsync(pathOf(key));
    return data === null ? undefined : deserialize(data);
  }

  /** Resolves when the store has the change on disk. */
  async changeThrough(key: K, value: V | undefined): Promise<void> {
    const { store } = this.persistence;
    const { path, data } = this.entry(key, value);
    try {
      if (data === undefined) await store.deleteAsync(path);
      else await store.writeAsync(path, data);
    } catch (thrown) {
      this.throughFailures++;
      throw thrown;
    }
    this.through++;
  }

  /** Takes a change that will be written. @throws DwError `cache-dirty-full`; what `serialize` throws. */
  changeBehind(key: K, value: V | undefined): void {
    const { behind } = this;
    if (behind === undefined) return;
    const entry = this.entry(key, value);
    if (!behind.hasRoom(key, entry.data?.length ?? 0))
      throw cacheDirtyFull(this.cache, behind.size, behind.byteSize);
    behind.add(key, entry);
  }

  /**
   * As {@link changeBehind}, but waits for room, and calls `taken` in the same step in which the change is taken.
   * @throws DwError `cache-busy`, `cache-closed`; the signal's reason.
   */
  async changeBehindWhenRoom(
    key: K,
    value: V | undefined,
    signal: AbortSignal | undefined,
    taken: () => void,
  ): Promise<void> {
    const { behind } = this;
    if (behind === undefined) return;
    const entry = this.entry(key, value);
    while (!behind.hasRoom(key, entry.data?.length ?? 0)) {
      if (behind.waiting >= this.maxDirtyEntries)
        throw cacheBusy(this.cache, 'waiting writes', behind.waiting);
      await behind.changed(signal);
      if (this.refusing) throw cacheClosed(this.cache);
    }
    behind.add(key, entry);
    taken();
  }

  /** Writes all changes that wait now. @throws DwError `cache-flush-failed`. */
  async flush(): Promise<void> {
    const error = await this.behind?.flush();
    if (error !== undefined) throw cacheFlushFailed(this.cache, this.dirty, error);
  }

  /** The cache is closing: those who wait for room are refused. */
  refuseWaiting(): void {
    this.refusing = true;
    this.behind?.wakeAll();
  }

  /** Stops the timer of write-behind. */
  stop(): void {
    this.behind?.stop();
  }

  private entry(key: K, value: V | undefined): DirtyEntry<V> {
    const { pathOf, serialize } = this.persistence;
    const data = value === undefined ? undefined : serialize(value);
    return { path: pathOf(key), data, value };
  }
}
