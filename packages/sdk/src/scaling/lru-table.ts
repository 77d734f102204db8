// The memory of a bounded cache: least recently used order from lru-cache, and on top of it what that does not have:
// a bound that can be changed in place without a stall, expiry that is counted, and evictions handed out only when
// the table is whole again.
//
// lru-cache fixes `max` when it is made and sets memory aside for all of it. So it is made without one, and the bound
// is kept here after each change.

import { LRUCache } from 'lru-cache';
import type { Clock, TimerHandle } from '../time/index.js';
import { ExpiryHeap } from './expiry-heap.js';

/** Why an entry left: `capacity` (too many entries or bytes) or `expired`. */
export type EvictionReason = 'capacity' | 'expired';

/** Entries that are evicted in one turn of the event loop at most when the bound has been lowered. */
export const TRIM_SLICE = 1_000;
/** A slice ends sooner when it has taken this long, in ms, on a machine that is slower than that. */
const TRIM_SLICE_MS = 2;
/** The clock is read once in this many entries. */
const CLOCK_MASK = 63;
/** What a change gives back beyond what it adds, while a lowered bound is being reached. */
const TRIM_AHEAD = 2;
/** Expired entries are looked for at most this often, in ms. Before that they are only hidden. */
const MIN_PURGE_MS = 100;

/** Options of an {@link LruTable}. */
export interface LruTableOptions<K, V> {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Bytes of an entry. Left out: bytes are not counted. */
  readonly sizeOf: ((value: V, key: K) => number) | undefined;
  readonly clock: Clock;
  /** Left out: evictions are only counted, and leave no garbage. */
  readonly onEvicted: ((key: K, value: V, reason: EvictionReason) => void) | undefined;
}

/** Entries in order of use, bounded in number and bytes. */
export class LruTable<K extends {}, V extends {}> {
  evictions = 0;
  expirations = 0;
  private readonly lru: LRUCache<K, V>;
  private readonly expiry = new ExpiryHeap<K>();
  private readonly counted: boolean;
  private readonly sizeOf: (value: V, key: K) => number;
  private readonly clock: Clock;
  private readonly onEvicted: ((key: K, value: V, reason: EvictionReason) => void) | undefined;
  private bound: number;
  private byteBound: number;
  private readonly evicted: { readonly key: K; readonly value: V; readonly reason: EvictionReason }[] = [];
  private reason: EvictionReason | undefined;
  private announcing = false;
  private slice: NodeJS.Immediate | undefined;
  private purgeTimer: TimerHandle | undefined;

  constructor(options: LruTableOptions<K, V>) {
    this.bound = options.maxEntries;
    this.byteBound = options.maxBytes;
    this.clock = options.clock;
    this.onEvicted = options.onEvicted;
    this.counted = options.sizeOf !== undefined;
    const sizeOf = options.sizeOf ?? (() => 1);
    // lru-cache wants whole numbers from 1.
    this.sizeOf = (value, key) => Math.max(1, Math.ceil(sizeOf(value, key)));
    this.lru = new LRUCache<K, V>({
      maxSize: Number.MAX_SAFE_INTEGER,
      sizeCalculation: this.sizeOf,
      dispose: (value, key) => this.left(key, value),
    });
  }

  /** Entries that can be seen: never more than the bound, and none that has expired. */
  get size(): number {
    const expired = this.expiry.size === 0 ? 0 : this.expiry.countExpired(this.clock.now());
    return Math.min(this.bound, this.lru.size - expired);
  }

  /** Entries in memory: more than {@link size} while a lowered bound is being reached or expired ones wait. */
  get resident(): number {
    return this.lru.size;
  }

  /** Bytes in memory by the size function; 0 without one. */
  get bytes(): number {
    return this.counted ? this.lru.calculatedSize : 0;
  }

  get maxEntries(): number {
    return this.bound;
  }

  get maxBytes(): number {
    return this.byteBound;
  }

  /** Whether entries are still being evicted after a bound was lowered. */
  get shrinking(): boolean {
    return this.slice !== undefined;
  }

  /** Hot path. */
  get(key: K): V | undefined {
    return this.expiry.size === 0 || !this.hasExpired(key) ? this.lru.get(key) : undefined;
  }

  /** As {@link get}, without counting as use. */
  peek(key: K): V | undefined {
    return this.expiry.size === 0 || !this.hasExpired(key) ? this.lru.peek(key) : undefined;
  }

  /** Sets an entry. One that is larger than all bytes allowed is not kept, and counts as evicted. */
  set(key: K, value: V, ttlMs: number | undefined): void {
    if (this.expiry.size !== 0 && this.hasExpired(key)) this.expire(key);
    if (!this.counted) this.lru.set(key, value);
    else if (!this.setCounted(key, value)) return;
    if (ttlMs !== undefined) this.expireAt(key, this.clock.now() + ttlMs);
    else if (this.expiry.size !== 0) this.expiry.delete(key);
    if (this.isOver()) this.trim();
    else if (this.evicted.length > 0) this.announce();
  }

  delete(key: K): boolean {
    if (this.expiry.size !== 0) {
      if (this.hasExpired(key)) this.expire(key);
      this.expiry.delete(key);
    }
    const there = this.lru.delete(key);
    this.announce();
    return there;
  }

  /** Forgets everything without telling of it. */
  clear(): void {
    this.lru.clear();
    this.expiry.clear();
    this.stop();
  }

  /**
   * Changes the bounds. They hold at once for all that can be seen: `size` and iteration never show more, and no
   * change adds to what is in memory. The memory of a large surplus is given back over the next turns of the event
   * loop, least recently used first, {@link TRIM_SLICE} entries a turn. A get of an entry that waits to be given back
   * still finds it, and makes it the most recent: another one goes in its place.
   */
  resize(maxEntries: number, maxBytes: number): void {
    this.bound = maxEntries;
    this.byteBound = maxBytes;
    this.trimSlice(TRIM_SLICE);
  }

  /** What can be seen, most recently used first. */
  *entries(): Generator<[K, V]> {
    let left = this.bound;
    for (const [key, value] of this.lru.entries()) {
      if (this.expiry.size !== 0 && this.hasExpired(key)) continue;
      if (left-- <= 0) return;
      yield [key, value];
    }
  }

  /** Stops what runs in the background. */
  stop(): void {
    clearImmediate(this.slice);
    this.slice = undefined;
    this.purgeTimer?.cancel();
    this.purgeTimer = undefined;
  }

  private setCounted(key: K, value: V): boolean {
    const size = this.sizeOf(value, key);
    if (size <= this.byteBound) {
      this.lru.set(key, value, { size });
      return true;
    }
    // Making room for it would cost every other entry, and still not be enough.
    this.delete(key);
    this.evictions++;
    if (this.onEvicted !== undefined) this.evicted.push({ key, value, reason: 'capacity' });
    this.announce();
    return false;
  }

  private expire(key: K): void {
    this.reason = 'expired';
    this.lru.delete(key);
    this.reason = undefined;
  }

  private hasExpired(key: K): boolean {
    const expiresAt = this.expiry.expiresAt(key);
    return expiresAt !== undefined && expiresAt <= this.clock.now();
  }

  private isOver(): boolean {
    return this.lru.size > this.bound || (this.counted && this.lru.calculatedSize > this.byteBound);
  }

  /** After a change: gives back what is over. While a lowered bound is being reached, only a little more than was added. */
  private trim(): void {
    this.trimSlice(this.slice === undefined ? TRIM_SLICE : TRIM_AHEAD);
  }

  private trimSlice(most: number): void {
    let deadline = Number.POSITIVE_INFINITY;
    this.reason = 'capacity';
    for (let count = 1; count <= most && this.isOver(); count++) {
      this.makeRoom();
      if ((count & CLOCK_MASK) !== 0) continue;
      const now = this.clock.now();
      if (now >= deadline) break;
      deadline = Math.min(deadline, now + TRIM_SLICE_MS);
    }
    this.reason = undefined;
    if (this.slice === undefined && this.isOver()) this.slice = setImmediate(this.nextSlice);
    this.announce();
  }

  /** Lets one entry go: one whose time is over if there is any, else the least recently used. */
  private makeRoom(): void {
    const expired = this.expiry.size === 0 ? undefined : this.expiry.firstExpired(this.clock.now());
    if (expired === undefined) this.lru.pop();
    else this.lru.delete(expired);
  }

  private readonly nextSlice = (): void => {
    this.slice = undefined;
    this.trimSlice(TRIM_SLICE);
  };

  private expireAt(key: K, expiresAt: number): void {
    this.expiry.set(key, expiresAt);
    this.schedulePurge();
  }

  private schedulePurge(): void {
    const next = this.expiry.next;
    if (this.purgeTimer !== undefined || next === undefined) return;
    const delay = Math.max(MIN_PURGE_MS, next - this.clock.now());
    this.purgeTimer = this.clock.setTimeout(this.purge, delay);
  }

  /** Gives back the memory of expired entries, a slice at a time. */
  private readonly purge = (): void => {
    this.purgeTimer = undefined;
    const now = this.clock.now();
    this.reason = 'expired';
    for (let count = 0; count < TRIM_SLICE; count++) {
      const key = this.expiry.firstExpired(now);
      if (key === undefined) break;
      this.lru.delete(key);
    }
    this.reason = undefined;
    this.schedulePurge();
    this.announce();
  };

  /** lru-cache has let go of an entry: by `pop` or `purge` here, or because it was overwritten or deleted. */
  private left(key: K, value: V): void {
    const { reason } = this;
    if (reason === undefined) return;
    const expired = reason === 'expired' || (this.expiry.size !== 0 && this.hasExpired(key));
    if (this.expiry.size !== 0) this.expiry.delete(key);
    if (expired) this.expirations++;
    else this.evictions++;
    if (this.onEvicted === undefined) return;
    this.evicted.push({ key, value, reason: expired ? 'expired' : 'capacity' });
  }

  /** Tells of evictions, now that the table is whole. A listener may change the cache: what that evicts follows. */
  private announce(): void {
    const { onEvicted } = this;
    if (onEvicted === undefined || this.announcing || this.evicted.length === 0) return;
    this.announcing = true;
    try {
      for (const { key, value, reason } of this.evicted) onEvicted(key, value, reason);
    } finally {
      this.evicted.length = 0;
      this.announcing = false;
    }
  }
}
