import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/index.js';
import { MemoryBackingStore } from '../persistence/index.js';
import type { BatchOperation } from '../persistence/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import { BoundedCache } from './bounded-cache.js';
import type { BoundedCacheOptions, CachePersistence } from './bounded-cache-options.js';

/** A store that can be made to fail and to hang. */
class TestableStore extends MemoryBackingStore {
  failing: DwError | undefined;
  refusedPath: string | undefined;
  gates: (() => void)[] | undefined;
  batches = 0;
  reads = 0;

  override async batchAsync(operations: readonly BatchOperation[]): Promise<readonly number[]> {
    this.batches++;
    if (this.gates !== undefined) await new Promise<void>((resolve) => this.gates?.push(resolve));
    if (this.failing !== undefined) throw this.failing;
    if (operations.some((operation) => operation.path === this.refusedPath)) {
      throw new DwError({ code: 'store-value-too-large', message: 'too large' });
    }
    return super.batchAsync(operations);
  }

  override async readAsync(path: string): Promise<Uint8Array | null> {
    this.reads++;
    return super.readAsync(path);
  }

  async open(): Promise<void> {
    await settle();
    for (const gate of this.gates?.splice(0) ?? []) gate();
    await settle();
  }
}

let clock: FakeClock;
let store: TestableStore;
let failed: string[];

beforeEach(() => {
  clock = new FakeClock();
  store = new TestableStore();
  failed = [];
});

const pathOf = (key: string): string => `dw://cache/${key}`;

function cacheOf(
  mode: 'write-through' | 'write-behind',
  options: BoundedCacheOptions<string, string> = {},
  persistence: Partial<CachePersistence<string, string>> = {},
): BoundedCache<string, string> {
  return new BoundedCache<string, string>({
    clock,
    ...options,
    persistence: {
      store,
      mode,
      pathOf,
      serialize: (value) => Buffer.from(value),
      deserialize: (data) => Buffer.from(data).toString(),
      onWriteFailed: (error, paths) => failed.push(`${(error as DwError).code} ${paths.join(' ')}`),
      ...persistence,
    },
  });
}

async function stored(key: string): Promise<string | undefined> {
  const versioned = await store.readVersionedAsync(pathOf(key));
  return versioned === null ? undefined : Buffer.from(versioned.data).toString();
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (thrown) {
    return isDwError(thrown) ? thrown.code : String(thrown);
  }
  return 'nothing';
}

const down = new DwError({ code: 'store-full', message: 'full' });

describe('write-through', () => {
  it('has the value on disk when it answers, and shows it only then', async () => {
    store.gates = [];
    const cache = cacheOf('write-through');
    const writing = cache.putAsync('a', '1');
    await settle();
    expect(cache.peek('a')).toBeUndefined();
    await store.open();
    await writing;
    expect(cache.peek('a')).toBe('1');
    expect(await stored('a')).toBe('1');
    expect(cache.statistics()).toMatchObject({ writes: 1, dirty: 0 });
  });

  it('refuses a put or delete that could not wait, instead of not writing it', async () => {
    const cache = cacheOf('write-through');
    expect(await codeOf(() => cache.put('a', '1'))).toBe('cache-needs-async');
    expect(await codeOf(() => cache.delete('a'))).toBe('cache-needs-async');
    expect(cache.size).toBe(0);
  });

  it('reads from the store what was evicted', async () => {
    const cache = cacheOf('write-through', { maxEntries: 1 });
    await cache.putAsync('a', '1');
    await cache.putAsync('b', '2');
    expect(cache.get('a')).toBeUndefined();
    expect(await cache.getAsync('a')).toBe('1');
  });

  it('deletes from the store too, so that a deleted key does not come back', async () => {
    const cache = cacheOf('write-through');
    await cache.putAsync('a', '1');
    await cache.deleteAsync('a');
    expect(await stored('a')).toBeUndefined();
    expect(await cache.getAsync('a')).toBeUndefined();
  });

  it('passes on a failed write, and forgets the copy that may be wrong', async () => {
    const cache = cacheOf('write-through');
    await cache.putAsync('a', '1');
    store.failing = down;
    expect(await codeOf(() => cache.putAsync('a', '2'))).toBe('store-full');
    expect(cache.peek('a')).toBeUndefined();
    expect(await cache.getAsync('a')).toBe('1');
    expect(cache.statistics()).toMatchObject({ writeFailures: 1 });
  });

  it('writes the changes of one key in order', async () => {
    store.gates = [];
    const cache = cacheOf('write-through');
    const all = [cache.putAsync('a', '1'), cache.deleteAsync('a'), cache.putAsync('a', '3')];
    for (let i = 0; i < 3; i++) await store.open();
    await Promise.all(all);
    expect(await stored('a')).toBe('3');
    expect(cache.peek('a')).toBe('3');
  });

  it('bounds the writes under way, and waits for them when it closes', async () => {
    store.gates = [];
    const cache = cacheOf('write-through', { maxConcurrentOperations: 1 });
    const writing = cache.putAsync('a', '1');
    expect(await codeOf(() => cache.putAsync('b', '1'))).toBe('cache-busy');
    let closed = false;
    const closing = cache.closeAsync().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    await store.open();
    await Promise.all([writing, closing]);
    expect(await stored('a')).toBe('1');
  });
});

describe('write-behind', () => {
  it('gathers changes into one batch', async () => {
    const cache = cacheOf('write-behind');
    cache.put('a', '1');
    cache.put('b', '1');
    cache.put('a', '2');
    cache.delete('b');
    expect(cache.statistics().dirty).toBe(2);
    expect(await stored('a')).toBeUndefined();
    await clock.advanceAsync(1_000);
    expect([await stored('a'), await stored('b')]).toEqual(['2', undefined]);
    expect(store.batches).toBe(1);
    expect(cache.statistics()).toMatchObject({ dirty: 0, writes: 2 });
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('never loses an evicted entry that is not written yet', async () => {
    const cache = cacheOf('write-behind', { maxEntries: 1 });
    cache.put('a', '1');
    cache.put('b', '2');
    expect(cache.get('a')).toBeUndefined();
    expect(await cache.getAsync('a')).toBe('1');
    expect(store.reads).toBe(0);
    await cache.flushAsync();
    expect([await stored('a'), await stored('b')]).toEqual(['1', '2']);
  });

  it('does not read back a key whose deletion is not written yet', async () => {
    const cache = cacheOf('write-behind');
    cache.put('a', '1');
    await cache.flushAsync();
    cache.delete('a');
    expect(await cache.getAsync('a')).toBeUndefined();
    await cache.flushAsync();
    expect(await stored('a')).toBeUndefined();
  });

  it('bounds what is not written: put is refused whole, putAsync waits', async () => {
    store.gates = [];
    const cache = cacheOf('write-behind', {}, { maxDirtyEntries: 2 });
    cache.put('a', '1');
    cache.put('b', '1');
    expect(await codeOf(() => cache.put('c', '1'))).toBe('cache-dirty-full');
    expect(cache.peek('c')).toBeUndefined();
    cache.put('b', '2');
    let taken = false;
    const waiting = cache.putAsync('c', '1').then(() => (taken = true));
    await clock.advanceAsync(0);
    expect(taken).toBe(false);
    await store.open();
    await waiting;
    expect(cache.peek('c')).toBe('1');
    store.gates = undefined;
    await cache.closeAsync();
    expect([await stored('a'), await stored('b'), await stored('c')]).toEqual(['1', '2', '1']);
  });

  it('bounds the bytes that are not written', async () => {
    const cache = cacheOf('write-behind', {}, { maxDirtyBytes: 10 });
    cache.put('a', 'x'.repeat(8));
    expect(await codeOf(() => cache.put('b', 'x'.repeat(3)))).toBe('cache-dirty-full');
    cache.put('a', 'x'.repeat(10));
    await cache.flushAsync();
    for (const key of ['b', 'c']) cache.put(key, 'x'.repeat(4));
    await cache.closeAsync();
  });

  it('ends the wait for room when the signal aborts or the cache closes', async () => {
    const cache = cacheOf('write-behind', {}, { maxDirtyEntries: 1 });
    store.failing = down;
    cache.put('a', '1');
    const controller = new AbortController();
    const one = codeOf(() => cache.putAsync('b', '1', { signal: controller.signal }));
    expect(await codeOf(() => cache.putAsync('c', '1'))).toBe('cache-busy');
    controller.abort(new Error('enough'));
    expect(await one).toBe('Error: enough');
    const other = codeOf(() => cache.putAsync('b', '1'));
    store.failing = undefined;
    await Promise.all([cache.closeAsync(), other]);
    expect(await other).toBe('cache-closed');
    expect(await stored('a')).toBe('1');
  });

  it('reports a failed write, keeps the change, and tries again later and later', async () => {
    store.failing = down;
    const cache = cacheOf('write-behind');
    cache.put('a', '1');
    await clock.advanceAsync(1_000);
    expect(failed).toEqual(['store-full dw://cache/a']);
    expect(cache.statistics()).toMatchObject({ dirty: 1, writeFailures: 1 });
    const before = store.batches;
    await clock.advanceAsync(60_000);
    expect(store.batches - before).toBeLessThanOrEqual(7);
    store.failing = undefined;
    await clock.advanceAsync(30_000);
    expect(await stored('a')).toBe('1');
    expect(cache.statistics().dirty).toBe(0);
  });

  it('writes the others when the store refuses one of them', async () => {
    store.refusedPath = pathOf('bad');
    const cache = cacheOf('write-behind');
    for (const key of ['a', 'bad', 'c']) cache.put(key, '1');
    expect(await codeOf(() => cache.flushAsync())).toBe('cache-flush-failed');
    expect([await stored('a'), await stored('bad'), await stored('c')]).toEqual(['1', undefined, '1']);
    expect(cache.statistics().dirty).toBe(1);
    expect(failed.at(-1)).toBe('store-value-too-large dw://cache/bad');
    cache.delete('bad');
    store.refusedPath = undefined;
    await cache.closeAsync();
  });

  it('keeps a change that was made while an older one of the key was being written', async () => {
    store.gates = [];
    const cache = cacheOf('write-behind');
    cache.put('a', '1');
    const flushing = cache.flushAsync();
    await settle();
    cache.put('a', '2');
    await store.open();
    await flushing;
    expect(await stored('a')).toBe('1');
    expect(cache.statistics().dirty).toBe(1);
    store.gates = undefined;
    await cache.closeAsync();
    expect(await stored('a')).toBe('2');
  });

  it('writes everything when it closes, and says so when it cannot', async () => {
    const cache = cacheOf('write-behind');
    for (let i = 0; i < 400; i++) cache.put(`k${i}`, '1');
    store.failing = down;
    expect(await codeOf(() => cache.closeAsync())).toBe('cache-flush-failed');
    expect(cache.statistics().dirty).toBe(400);
    expect(await codeOf(() => cache.put('x', '1'))).toBe('cache-closed');
    store.failing = undefined;
    await cache.closeAsync();
    expect(await store.listAsync('dw://cache/')).toHaveLength(400);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('takes a value as it is when it is put, and refuses what cannot be serialized', async () => {
    const cache = new BoundedCache<string, { n: number }>({
      clock,
      persistence: {
        store,
        mode: 'write-behind',
        pathOf,
        serialize: (value) => {
          if (value.n < 0) throw new Error('negative');
          return Buffer.from(String(value.n));
        },
        deserialize: (data) => ({ n: Number(Buffer.from(data).toString()) }),
      },
    });
    const value = { n: 1 };
    cache.put('a', value);
    value.n = 2;
    expect(await codeOf(() => cache.put('b', { n: -1 }))).toBe('Error: negative');
    expect(cache.has('b')).toBe(false);
    await cache.closeAsync();
    expect(await stored('a')).toBe('1');
  });

  it('keeps memory and store agreed when put and putAsync of one key meet', async () => {
    const cache = cacheOf('write-behind');
    const first = cache.putAsync('a', '1');
    cache.put('a', '2');
    await first;
    const shown = cache.peek('a');
    await cache.closeAsync();
    expect(await stored('a')).toBe(shown);
  });

  it('contains a listener that throws', async () => {
    const heard: unknown[] = [];
    const onWriteFailed = (): void => {
      throw new Error('boom');
    };
    const cache = cacheOf(
      'write-behind',
      { onListenerFailed: (error) => heard.push(error) },
      { onWriteFailed },
    );
    store.failing = down;
    cache.put('a', '1');
    await clock.advanceAsync(1_000);
    expect(heard).toHaveLength(1);
    store.failing = undefined;
    await cache.closeAsync();
  });
});

describe('against a model, with a store', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const action = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key }),
    fc.record({ kind: fc.constant('delete' as const), key }),
    fc.record({ kind: fc.constant('get' as const), key }),
    fc.record({ kind: fc.constant('fail' as const), failing: fc.boolean() }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 1_000, 30_000) }),
  );

  it('always reads what was put last, however much is evicted and however often the store fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('write-through' as const, 'write-behind' as const),
        fc.array(action, { maxLength: 30 }),
        async (mode, actions) => {
          clock = new FakeClock();
          store = new TestableStore();
          const cache = cacheOf(mode, { maxEntries: 2 });
          const model = new Map<string, string>();
          let value = 0;
          for (const step of actions) {
            if (step.kind === 'fail') store.failing = step.failing ? down : undefined;
            else if (step.kind === 'wait') await clock.advanceAsync(step.ms);
            else if (step.kind === 'get') expect(await cache.getAsync(step.key)).toBe(model.get(step.key));
            else {
              const next = step.kind === 'put' ? String(++value) : undefined;
              const change =
                next === undefined ? cache.deleteAsync(step.key) : cache.putAsync(step.key, next);
              const accepted = await change.then(
                () => true,
                () => false,
              );
              if (accepted && next === undefined) model.delete(step.key);
              else if (accepted && next !== undefined) model.set(step.key, next);
            }
          }
          store.failing = undefined;
          await cache.closeAsync();
          for (const one of ['a', 'b', 'c', 'd']) expect(await stored(one)).toBe(model.get(one));
          expect(clock.pendingTimers()).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});
