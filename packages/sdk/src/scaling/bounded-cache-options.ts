// What a bounded cache is made of, and what it says of itself.

import type { IPersistentBackingStore } from '../persistence/index.js';
import type { Clock } from '../time/index.js';
import type { EvictionReason } from './lru-table.js';

/**
 * Where the entries of a cache live. The cache holds copies; the store has what counts.
 *
 * - `write-through`: `putAsync` and `deleteAsync` resolve once the store has it on disk. `put` and `delete`, which
 *   cannot wait, are refused with `cache-needs-async`
 * - `write-behind`: changes are gathered and written in batches. They are kept apart from the cached copies until
 *   then, so that eviction loses none; a process that dies loses those of the last `delayMs`
 */
export interface CachePersistence<K, V> {
  readonly store: IPersistentBackingStore;
  readonly mode: 'write-through' | 'write-behind';
  /** The path of a key, such as `(key) => context.storePath('users', key)`. Different keys need different paths. */
  readonly pathOf: (key: K) => string;
  readonly serialize: (value: V) => Uint8Array;
  readonly deserialize: (data: Uint8Array) => V;
  /** Milliseconds that a change may wait for others. Default 1 000. Write-behind only. */
  readonly delayMs?: number;
  /** Changes that are not on disk yet. Default 1 000; more are refused (`put`) or wait (`putAsync`). Write-behind only. */
  readonly maxDirtyEntries?: number;
  /** Bytes of changes that are not on disk yet. Default 16 MiB. Write-behind only. */
  readonly maxDirtyBytes?: number;
  /**
   * Told of each write-behind that failed, with the paths that are not on disk. The changes are kept and tried again
   * after 1 s, then 2 s, up to 30 s.
   */
  readonly onWriteFailed?: (error: unknown, paths: readonly string[]) => void;
}

/** Options of a {@link BoundedCache}. */
export interface BoundedCacheOptions<K, V> {
  /** Used in errors. Default `cache`. */
  readonly name?: string;
  /** Entries at most; from 1. Default 10 000. */
  readonly maxEntries?: number;
  /** Bytes at most, by {@link sizeOf}. Default: no bound by bytes. */
  readonly maxBytes?: number;
  /** Bytes of an entry, from 1. Needed for `maxBytes`; without it bytes are not counted. */
  readonly sizeOf?: (value: V, key: K) => number;
  /** Milliseconds after which an entry is no longer given out. Default: never. */
  readonly ttlMs?: number;
  /** Reads what is not in memory. Not together with `persistence`, which reads from its store. */
  readonly load?: (key: K, signal: AbortSignal) => Promise<V | undefined>;
  readonly persistence?: CachePersistence<K, V>;
  /** Milliseconds that a load may take. Default 30 000. */
  readonly loadTimeoutMs?: number;
  /** Loads, and write-throughs, under way at once. Default 1 000; more are refused with `cache-busy`. */
  readonly maxConcurrentOperations?: number;
  /**
   * Told of an entry that was evicted, once the cache is whole again, so that it may use the cache. Not called for
   * `delete`, an overwrite, or `clear`. What it throws is counted and goes to {@link onListenerFailed}.
   */
  readonly onEvicted?: (key: K, value: V, reason: EvictionReason) => void;
  /** Told of what `onEvicted` or `onWriteFailed` throws. Default: a process warning. */
  readonly onListenerFailed?: (error: unknown) => void;
  /** Default: the machine's clock, whose timers do not keep the process alive. */
  readonly clock?: Clock;
}

/** Options of one put. */
export interface PutOptions {
  /** Milliseconds after which this entry is no longer given out. Default: the cache's. */
  readonly ttlMs?: number;
}

/** Counters of a cache since it was made, and what it holds now. */
export interface CacheStatistics {
  /** Entries that can be seen. */
  readonly size: number;
  readonly maxEntries: number;
  /** By the size function; 0 without one. */
  readonly bytes: number;
  /** Asked for and found in memory. Each `get` and `getAsync` counts once, here or in `misses`. */
  readonly hits: number;
  readonly misses: number;
  /** `hits / (hits + misses)`; 0 before the first. */
  readonly hitRate: number;
  /** Left because there were too many entries or bytes. */
  readonly evictions: number;
  /** Left because their time was over. */
  readonly expirations: number;
  /** Loads begun; callers that shared one count once. */
  readonly loads: number;
  readonly loadFailures: number;
  /** Changes that are not on disk yet. */
  readonly dirty: number;
  /** Changes that the store took. */
  readonly writes: number;
  /** Writes that the store refused or failed. */
  readonly writeFailures: number;
  readonly listenerFailures: number;
}
