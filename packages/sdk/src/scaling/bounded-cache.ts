// A cache that is never larger than it may be: in memory the least recently used entries go, and what must not be lost
// lives in a backing store, of which this holds copies.

import type { Clock } from '../time/index.js';
import { SystemClock } from '../time/index.js';
import type { BoundedCacheOptions, CacheStatistics, PutOptions } from './bounded-cache-options.js';
import { cacheBusy, cacheClosed, cacheLoadTimeout, cacheNeedsAsync, cacheOptionInvalid } from './errors.js';
import { checkCacheBounds, checkCacheOptions, DEFAULT_MAX_ENTRIES } from './check-cache-options.js';
import { KeyedQueue } from './keyed-queue.js';
import type { EvictionReason } from './lru-table.js';
import { LruTable } from './lru-table.js';
import { CacheWriter } from './cache-writer.js';
import { SingleFlight } from './single-flight.js';
import { unlessAborted } from './unless-aborted.js';

const DEFAULT_LOAD_TIMEOUT_MS = 30_000;
const DEFAULT_CONCURRENCY = 1_000;
/** A load that is overtaken this often gives up on being cached, and hands out what it read last. */
const MAX_ATTEMPTS = 10;

/**
 * A bounded cache: least recently used entries and those whose time is over leave. It can load what it does not hold
 * (once, however many ask), and write changes through to a backing store or behind.
 *
 * `get`, `peek`, `has` and iteration look at memory only; `getAsync` also looks into the store.
 */
export class BoundedCache<K extends {}, V extends {}> {
  private readonly name: string;
  private readonly clock: Clock;
  private readonly table: LruTable<K, V>;
  private readonly flights: SingleFlight<K, V> | undefined;
  private readonly writer: CacheWriter<K, V> | undefined;
  private readonly writes = new KeyedQueue<K>();
  private hits = 0;
  private misses = 0;
  private loads = 0;
  private loadFailures = 0;
  private listenerFailures = 0;
  private closed = false;

  /** @throws DwError `cache-option-invalid`. */
  constructor(private readonly options: BoundedCacheOptions<K, V> = {}) {
    this.name = options.name ?? 'cache';
    this.clock = options.clock ?? new SystemClock(false);
    checkCacheOptions(this.name, options);
    this.table = new LruTable<K, V>({
      maxEntries: options.maxEntries ?? DEFAULT_MAX_ENTRIES,
      maxBytes: options.maxBytes ?? Number.POSITIVE_INFINITY,
      sizeOf: options.sizeOf,
      clock: this.clock,
      onEvicted:
        options.onEvicted === undefined
          ? undefined
          : (key, value, reason) => this.evicted(key, value, reason),
    });
    const { persistence } = options;
    if (persistence !== undefined) {
      this.writer = new CacheWriter(this.name, persistence, this.clock, (error) =>
        this.listenerFailed(error),
      );
    }
    this.flights = this.makeFlights();
  }

  /** Entries that can be seen; never more than {@link maxEntries}, and none whose time is over. */
  get size(): number {
    return this.table.size;
  }

  get maxEntries(): number {
    return this.table.maxEntries;
  }

  /** Whether memory is still being given back after {@link resize}. */
  get shrinking(): boolean {
    return this.table.shrinking;
  }

  /** The value in memory, which becomes the most recently used. Hot path. */
  get(key: K): V | undefined {
    const value = this.table.get(key);
    if (value === undefined) this.misses++;
    else this.hits++;
    return value;
  }

  /** As {@link get}, but it counts neither as use nor in the statistics. */
  peek(key: K): V | undefined {
    return this.table.peek(key);
  }

  /** Whether the key is in memory. */
  has(key: K): boolean {
    return this.table.peek(key) !== undefined;
  }

  /** What is in memory, most recently used first. */
  entries(): IterableIterator<[K, V]> {
    return this.table.entries();
  }

  /**
   * Sets a value. With write-behind it is on its way to the store.
   * @throws DwError `cache-needs-async` with write-through, `cache-dirty-full` with write-behind when too many changes
   * wait, `cache-closed`. Then nothing has changed.
   */
  put(key: K, value: V, options?: PutOptions): void {
    this.assertOpen();
    const ttlMs = this.ttl(options);
    if (this.writer?.isBehind === false) throw cacheNeedsAsync(this.name, 'put');
    this.writer?.changeBehind(key, value);
    this.setInMemory(key, value, ttlMs);
  }

  /**
   * Removes a key, also from the store that writes go to; one that is loaded from elsewhere is loaded again when asked
   * for.
   * @returns whether it was in memory.
   * @throws as {@link put}.
   */
  delete(key: K): boolean {
    this.assertOpen();
    if (this.writer?.isBehind === false) throw cacheNeedsAsync(this.name, 'delete');
    this.writer?.changeBehind(key, undefined);
    return this.deleteInMemory(key);
  }

  /**
   * The value from memory, or else from the store or loader. A load is shared by all who ask for the key meanwhile;
   * a change that is made meanwhile wins over what it reads.
   * @throws what the load throws; DwError `cache-busy`, `cache-load-timeout`, `cache-closed`; the signal's reason,
   * which ends this wait but not the load that others share.
   */
  async getAsync(key: K, signal?: AbortSignal): Promise<V | undefined> {
    this.assertOpen();
    const known = this.lookUp(key);
    if (known !== undefined) {
      if (known.value === undefined) this.misses++;
      else this.hits++;
      return known.value;
    }
    this.misses++;
    return this.flights === undefined ? undefined : this.load(this.flights, key, signal);
  }

  /**
   * Sets a value. With write-through it resolves when the value is on disk, and only then can be read here; with
   * write-behind it waits for room among the changes that are not written yet.
   * @throws what the store throws; DwError `cache-busy`, `cache-closed`; the signal's reason while it waits for room.
   */
  async putAsync(key: K, value: V, options?: PutOptions & { readonly signal?: AbortSignal }): Promise<void> {
    this.assertOpen();
    const ttlMs = this.ttl(options);
    await this.change(key, value, options?.signal, () => this.setInMemory(key, value, ttlMs));
  }

  /** Removes a key from memory and store. Waits and throws as {@link putAsync}. */
  async deleteAsync(key: K, signal?: AbortSignal): Promise<void> {
    this.assertOpen();
    await this.change(key, undefined, signal, () => this.deleteInMemory(key));
  }

  /** Forgets what is in memory. Changes that are not written yet are still written. */
  clear(): void {
    this.flights?.overtakeAll();
    this.table.clear();
  }

  /**
   * Changes the bounds. What can be seen ({@link size}, iteration) obeys them at once; most recently used entries are
   * kept. The memory of a large surplus is given back over the next turns of the event loop, a thousand entries a
   * turn, and nothing is added to it meanwhile. An entry that waits to be given back and is asked for is still found,
   * and another one goes in its place.
   * @throws DwError `cache-option-invalid`.
   */
  resize(maxEntries: number, maxBytes: number = this.table.maxBytes): void {
    checkCacheBounds(this.name, maxEntries, maxBytes, this.options.sizeOf !== undefined);
    this.table.resize(maxEntries, maxBytes);
  }

  statistics(): CacheStatistics {
    const { hits, misses, table, writer } = this;
    return {
      size: table.size,
      maxEntries: table.maxEntries,
      bytes: table.bytes,
      hits,
      misses,
      hitRate: hits + misses === 0 ? 0 : hits / (hits + misses),
      evictions: table.evictions,
      expirations: table.expirations,
      loads: this.loads,
      loadFailures: this.loadFailures,
      dirty: writer?.dirty ?? 0,
      writes: writer?.written ?? 0,
      writeFailures: writer?.failures ?? 0,
      listenerFailures: this.listenerFailures,
    };
  }

  /** Writes all changes that wait now. @throws DwError `cache-flush-failed`; what could not be written is kept. */
  async flushAsync(): Promise<void> {
    await this.writer?.flush();
  }

  /**
   * Refuses new work, waits for writes under way, and writes what waits. Calling it again tries again what could not
   * be written.
   * @throws DwError `cache-flush-failed` when changes could not be written; they are kept. The signal's reason.
   */
  async closeAsync(signal?: AbortSignal): Promise<void> {
    this.closed = true;
    const reason = cacheClosed(this.name);
    this.flights?.abortAll(reason);
    this.writer?.refuseWaiting();
    const finish = async (): Promise<void> => {
      await this.writes.settled();
      await this.writer?.flush();
    };
    await unlessAborted(finish(), signal);
    this.writer?.stop();
    this.table.clear();
  }

  private makeFlights(): SingleFlight<K, V> | undefined {
    const { writer, options } = this;
    const source = writer === undefined ? options.load : (key: K) => writer.read(key);
    if (source === undefined) return undefined;
    const timeoutMs = options.loadTimeoutMs ?? DEFAULT_LOAD_TIMEOUT_MS;
    return new SingleFlight<K, V>({
      clock: this.clock,
      timeoutMs,
      load: source,
      onLoaded: (key, value) => {
        if (!this.closed) this.table.set(key, value, this.options.ttlMs);
      },
      timedOut: () => cacheLoadTimeout(this.name, timeoutMs),
    });
  }

  /** What is known without asking the store: a value in memory, or a change that is on its way there. */
  private lookUp(key: K): { readonly value: V | undefined } | undefined {
    const value = this.table.get(key);
    if (value !== undefined) return { value };
    const change = this.writer?.pending(key);
    if (change?.value !== undefined) this.table.set(key, change.value, this.options.ttlMs);
    return change;
  }

  private async load(
    flights: SingleFlight<K, V>,
    key: K,
    signal: AbortSignal | undefined,
  ): Promise<V | undefined> {
    let value: V | undefined;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      signal?.throwIfAborted();
      const flight = this.takeOff(flights, key);
      value = await unlessAborted(flight.result, signal);
      if (!flight.overtaken) return value;
      this.assertOpen();
      // A change was made while it loaded. What that says is newer than what was read.
      const known = this.lookUp(key);
      if (known !== undefined) return known.value;
    }
    return value;
  }

  private takeOff(flights: SingleFlight<K, V>, key: K): ReturnType<SingleFlight<K, V>['join']> {
    if (flights.has(key)) return flights.join(key);
    const limit = this.options.maxConcurrentOperations ?? DEFAULT_CONCURRENCY;
    if (flights.size >= limit) throw cacheBusy(this.name, 'loads', limit);
    this.loads++;
    const flight = flights.join(key);
    flight.result.catch(() => void this.loadFailures++);
    return flight;
  }

  /**
   * Brings a change to the store, or on its way there, and calls `apply` in the same step: no other change of the key
   * may come between, or memory and store would disagree.
   */
  private async change(
    key: K,
    value: V | undefined,
    signal: AbortSignal | undefined,
    apply: () => void,
  ): Promise<void> {
    const { writer } = this;
    if (writer === undefined) return apply();
    if (writer.isBehind) return writer.changeBehindWhenRoom(key, value, signal, apply);
    const limit = this.options.maxConcurrentOperations ?? DEFAULT_CONCURRENCY;
    if (this.writes.size >= limit) throw cacheBusy(this.name, 'writes', limit);
    await this.writes.run(key, async () => {
      try {
        await writer.changeThrough(key, value);
      } catch (thrown) {
        // Whether the store has it is not known: the copy in memory may be wrong, and goes.
        this.deleteInMemory(key);
        throw thrown;
      }
      if (!this.closed) apply();
    });
  }

  private setInMemory(key: K, value: V, ttlMs: number | undefined): void {
    this.flights?.overtake(key);
    this.table.set(key, value, ttlMs);
  }

  private deleteInMemory(key: K): boolean {
    this.flights?.overtake(key);
    return this.table.delete(key);
  }

  private evicted(key: K, value: V, reason: EvictionReason): void {
    try {
      this.options.onEvicted?.(key, value, reason);
    } catch (thrown) {
      this.listenerFailed(thrown);
    }
  }

  private listenerFailed(thrown: unknown): void {
    this.listenerFailures++;
    const { onListenerFailed } = this.options;
    try {
      if (onListenerFailed !== undefined) onListenerFailed(thrown);
      else if (this.listenerFailures === 1)
        process.emitWarning(thrown as Error, { type: 'BoundedCacheListener' });
    } catch (second) {
      // The one that hears of failures fails itself: this is the last place where it can be said.
      process.emitWarning(second as Error, { type: 'BoundedCacheListener' });
    }
  }

  private ttl(options: PutOptions | undefined): number | undefined {
    const ttlMs = options?.ttlMs;
    if (ttlMs === undefined) return this.options.ttlMs;
    if (!(ttlMs > 0)) throw cacheOptionInvalid(this.name, 'ttlMs', ttlMs, 'above 0');
    return ttlMs;
  }

  private assertOpen(): void {
    if (this.closed) throw cacheClosed(this.name);
  }
}
