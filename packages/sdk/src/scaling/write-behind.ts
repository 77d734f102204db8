// Changes of a cache on their way to its store. Each stays here, and counts against a bound, until the store has said
// that it is on disk: an evicted entry is never the only copy, and a failing store is heard of and never lost to.

import type { BatchOperation, IPersistentBackingStore } from '../persistence/index.js';
import type { Clock, TimerHandle } from '../time/index.js';
import { isDwError } from '../errors/index.js';

/** Changes in one batch at most; a batch is one durable step of the store. */
const BATCH_ENTRIES = 256;
const BATCH_BYTES = 1024 * 1024;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/** A change that is not on disk yet. `value` undefined: the key was deleted. */
export interface DirtyEntry<V> {
  readonly path: string;
  readonly data: Uint8Array | undefined;
  readonly value: V | undefined;
}

/** Options of a {@link WriteBehind}. */
export interface WriteBehindOptions {
  readonly store: IPersistentBackingStore;
  readonly clock: Clock;
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** How long a change may wait for others to share its batch. */
  readonly delayMs: number;
  /** Told of each failed write. The changes stay, and are tried again. Must not throw. */
  readonly onFailure: (error: unknown, paths: readonly string[]) => void;
}

/** The changes that one cache has yet to write. */
export class WriteBehind<K, V> {
  written = 0;
  failures = 0;
  private readonly dirty = new Map<K, DirtyEntry<V>>();
  private bytes = 0;
  private timer: TimerHandle | undefined;
  private running: Promise<unknown> | undefined;
  private retryMs = 0;
  private hurried = false;
  private readonly waiters = new Set<() => void>();

  constructor(private readonly options: WriteBehindOptions) {}

  get size(): number {
    return this.dirty.size;
  }

  get byteSize(): number {
    return this.bytes;
  }

  /** Those who wait for room. */
  get waiting(): number {
    return this.waiters.size;
  }

  peek(key: K): DirtyEntry<V> | undefined {
    return this.dirty.size === 0 ? undefined : this.dirty.get(key);
  }

  /** Whether a change of `key` with so many bytes can be taken now. */
  hasRoom(key: K, bytes: number): boolean {
    const old = this.dirty.get(key);
    const entries = this.dirty.size + (old === undefined ? 1 : 0);
    const total = this.bytes + bytes - (old?.data?.length ?? 0);
    // One change is always taken when nothing waits, however large: the store says whether it is too large.
    return entries <= this.options.maxEntries && (total <= this.options.maxBytes || this.dirty.size === 0);
  }

  /** Takes a change; the caller has made sure of room. */
  add(key: K, entry: DirtyEntry<V>): void {
    this.forget(key);
    this.dirty.set(key, entry);
    this.bytes += entry.data?.length ?? 0;
    const { maxEntries, maxBytes, delayMs } = this.options;
    const pressed = this.dirty.size * 2 >= maxEntries || this.bytes * 2 >= maxBytes;
    if (pressed && this.retryMs === 0) this.hurry();
    else this.schedule(Math.max(delayMs, this.retryMs));
  }

  /** Resolves when something was written, or when the signal aborts. */
  async changed(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    let wake: () => void = () => {};
    let onAbort: () => void = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        wake = resolve;
        onAbort = () => reject(signal?.reason as Error);
        this.waiters.add(wake);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      this.waiters.delete(wake);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Writes everything that waits now.
   * @returns the error of a write that failed, if any did; what failed is kept.
   */
  async flush(): Promise<unknown> {
    const wanted = [...this.dirty];
    const isLeft = (): boolean => wanted.some(([key, entry]) => this.dirty.get(key) === entry);
    let error: unknown;
    // A run under way may have begun before the latest changes: then one more is needed.
    for (let run = 0; run < 2 && isLeft(); run++) error = await this.run();
    // A change that was overtaken by a newer one of its key while it failed is not on disk in any form.
    return wanted.some(([key]) => this.dirty.has(key)) ? error : undefined;
  }

  /** Stops the timer. Call {@link flush} first. */
  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.hurried = false;
  }

  /** Wakes all who wait for room. */
  wakeAll(): void {
    for (const wake of this.waiters) wake();
  }

  /** Writes in the next turn instead of after the delay. */
  private hurry(): void {
    if (this.hurried) return;
    this.stop();
    this.schedule(0);
    this.hurried = this.timer !== undefined;
  }

  private schedule(delayMs: number): void {
    if (this.timer !== undefined || this.running !== undefined) return;
    this.timer = this.options.clock.setTimeout(() => {
      this.timer = undefined;
      // Its failures are told to onFailure, and what failed is tried again.
      void this.run();
    }, delayMs);
  }

  private run(): Promise<unknown> {
    this.running ??= this.writeAll().finally(() => {
      this.running = undefined;
      if (this.dirty.size > 0) this.schedule(Math.max(this.options.delayMs, this.retryMs));
    });
    return this.running;
  }

  /** Writes what waits as it begins, in batches. Never rejects. @returns the first error. */
  private async writeAll(): Promise<unknown> {
    this.stop();
    const work = [...this.dirty];
    let first: unknown;
    for (let start = 0; start < work.length;) {
      const batch = nextBatch(work, start);
      start += batch.length;
      const error = await this.writeBatch(batch);
      first ??= error;
      if (isFinal(error)) break;
    }
    this.retryMs =
      first === undefined ? 0 : Math.min(LAST_RETRY_MS, Math.max(FIRST_RETRY_MS, this.retryMs * 2));
    return first;
  }

  private async writeBatch(batch: readonly (readonly [K, DirtyEntry<V>])[]): Promise<unknown> {
    const error = await this.attempt(batch);
    if (error === undefined || batch.length === 1 || isFinal(error)) return error;
    // One change that the store refuses must not hold back the others in its batch.
    let first: unknown;
    for (const one of batch) {
      const refused = await this.attempt([one]);
      first ??= refused;
    }
    return first;
  }

  private async attempt(batch: readonly (readonly [K, DirtyEntry<V>])[]): Promise<unknown> {
    const { store, onFailure } = this.options;
    try {
      await store.batchAsync(batch.map(([, entry]) => operation(entry)));
    } catch (thrown) {
      this.failures++;
      onFailure(
        thrown,
        batch.map(([, entry]) => entry.path),
      );
      return thrown;
    }
    this.written += batch.length;
    for (const [key, entry] of batch) if (this.dirty.get(key) === entry) this.forget(key);
    this.wakeAll();
    return undefined;
  }

  private forget(key: K): void {
    const entry = this.dirty.get(key);
    if (entry === undefined) return;
    this.dirty.delete(key);
    this.bytes -= entry.data?.length ?? 0;
  }
}

function operation<V>({ path, data }: DirtyEntry<V>): BatchOperation {
  return data === undefined ? { type: 'delete', path } : { type: 'write', path, data };
}

function nextBatch<T extends readonly [unknown, DirtyEntry<unknown>]>(
  work: readonly T[],
  start: number,
): readonly T[] {
  const batch: T[] = [];
  let bytes = 0;
  for (let i = start; i < work.length && batch.length < BATCH_ENTRIES; i++) {
    const one = work[i];
    if (one === undefined) break;
    bytes += one[1].data?.length ?? 0;
    if (batch.length > 0 && bytes > BATCH_BYTES) break;
    batch.push(one);
  }
  return batch;
}

/** The store takes nothing more at all: trying the changes one by one is of no use. */
function isFinal(error: unknown): boolean {
  return isDwError(error, 'store-failed') || isDwError(error, 'store-closed');
}
