import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import { BoundedCache } from './bounded-cache.js';

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (thrown) {
    return isDwError(thrown) ? thrown.code : String(thrown);
  }
  return 'nothing';
}

function keysOf(cache: BoundedCache<string, number>): string {
  return [...cache.entries()].map(([key]) => key).join('');
}

describe('BoundedCache in memory', () => {
  it('evicts the least recently used entry, and no other', () => {
    const cache = new BoundedCache<string, number>({ maxEntries: 3, clock });
    for (const key of ['a', 'b', 'c']) cache.put(key, 1);
    cache.get('a');
    cache.put('d', 1);
    expect(keysOf(cache)).toBe('dac');
    expect(cache.peek('b')).toBeUndefined();
    expect(cache.has('c')).toBe(true);
  });

  it('does not evict while there is room, nor when a key is overwritten', () => {
    const cache = new BoundedCache<string, number>({ maxEntries: 2, clock });
    cache.put('a', 1);
    cache.put('b', 1);
    cache.put('b', 2);
    expect(cache.statistics()).toMatchObject({ size: 2, evictions: 0 });
    expect(cache.get('b')).toBe(2);
  });

  it('counts each get once', async () => {
    const cache = new BoundedCache<string, number>({ clock });
    cache.put('a', 1);
    cache.get('a');
    cache.get('x');
    await cache.getAsync('a');
    await cache.getAsync('x');
    cache.peek('a');
    cache.has('x');
    expect(cache.statistics()).toMatchObject({ hits: 2, misses: 2, hitRate: 0.5 });
  });

  it('bounds bytes by the size function, and does not keep what is larger than all of them', () => {
    const cache = new BoundedCache<string, string>({ maxBytes: 10, sizeOf: (value) => value.length, clock });
    cache.put('a', 'xxxx');
    cache.put('b', 'xxxx');
    cache.put('c', 'xxxx');
    expect(cache.statistics()).toMatchObject({ size: 2, bytes: 8, evictions: 1 });
    cache.put('b', 'x'.repeat(11));
    expect(cache.has('b')).toBe(false);
    expect(cache.has('c')).toBe(true);
    expect(cache.statistics()).toMatchObject({ size: 1, bytes: 4, evictions: 2 });
  });

  it.each([
    [{ maxEntries: 0 }],
    [{ maxEntries: 1.5 }],
    [{ maxEntries: Number.NaN }],
    [{ maxBytes: 5 }],
    [{ ttlMs: 0 }],
    [{ maxBytes: 0, sizeOf: () => 1 }],
  ])('refuses %j', async (options) => {
    expect(await codeOf(() => new BoundedCache(options))).toBe('cache-option-invalid');
  });

  it('takes no memory in advance for entries that it may hold', () => {
    const cache = new BoundedCache<string, number>({ maxEntries: Number.MAX_SAFE_INTEGER, clock });
    cache.put('a', 1);
    expect(cache.get('a')).toBe(1);
  });
});

describe('expiry', () => {
  it('hides an expired entry from everything at once, and counts it', async () => {
    const cache = new BoundedCache<string, number>({ ttlMs: 1_000, clock });
    cache.put('a', 1);
    cache.put('b', 1, { ttlMs: 5_000 });
    clock.advance(1_000);
    expect(cache.get('a')).toBeUndefined();
    expect(cache.has('a')).toBe(false);
    expect(keysOf(cache)).toBe('b');
    expect(cache.size).toBe(1);
    clock.advance(4_000);
    expect(cache.statistics()).toMatchObject({ size: 0, expirations: 2, evictions: 0 });
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('starts anew with each put, and ends when a put has no time', () => {
    const cache = new BoundedCache<string, number>({ clock });
    cache.put('a', 1, { ttlMs: 10 });
    clock.advance(9);
    cache.put('a', 2, { ttlMs: 10 });
    clock.advance(9);
    expect(cache.get('a')).toBe(2);
    cache.put('a', 3);
    clock.advance(10_000);
    expect(cache.get('a')).toBe(3);
  });

  it('gives back the memory of expired entries without being asked, and tells why they left', () => {
    const left: string[] = [];
    const cache = new BoundedCache<string, number>({
      ttlMs: 10,
      clock,
      onEvicted: (key, _value, reason) => left.push(`${key} ${reason}`),
    });
    cache.put('a', 1);
    cache.put('b', 1);
    clock.advance(200);
    expect(left).toEqual(['a expired', 'b expired']);
  });

  it('lets expired entries go before any other when room is needed', () => {
    const cache = new BoundedCache<string, number>({ maxEntries: 2, clock });
    cache.put('old', 1);
    cache.put('brief', 1, { ttlMs: 10 });
    clock.advance(20);
    cache.put('new', 1);
    expect(keysOf(cache)).toBe('newold');
  });

  it('counts an expired entry also when it is overwritten or deleted before its memory was given back', () => {
    const cache = new BoundedCache<string, number>({ ttlMs: 10, clock });
    cache.put('a', 1);
    cache.put('b', 1);
    clock.advance(20);
    cache.put('a', 2);
    expect(cache.delete('b')).toBe(false);
    expect(cache.get('a')).toBe(2);
    expect(cache.statistics().expirations).toBe(2);
  });
});

describe('onEvicted', () => {
  it('is called when the cache is whole, so that it may use it', () => {
    const seen: [string, number][] = [];
    const cache: BoundedCache<string, number> = new BoundedCache({
      maxEntries: 2,
      clock,
      onEvicted: (key) => {
        seen.push([key, cache.size]);
        if (key === 'a') cache.put('again', 1);
      },
    });
    for (const key of ['a', 'b', 'c']) cache.put(key, 1);
    expect(seen).toEqual([
      ['a', 2],
      ['b', 2],
    ]);
    expect(keysOf(cache)).toBe('againc');
  });

  it('is contained when it throws', () => {
    const heard: unknown[] = [];
    const cache = new BoundedCache<string, number>({
      maxEntries: 1,
      clock,
      onEvicted: () => {
        throw new Error('boom');
      },
      onListenerFailed: (error) => heard.push(error),
    });
    for (const key of ['a', 'b', 'c']) cache.put(key, 1);
    expect(keysOf(cache)).toBe('c');
    expect(heard).toHaveLength(2);
    expect(cache.statistics()).toMatchObject({ evictions: 2, listenerFailures: 2 });
  });

  it('is not called for delete, overwrite and clear', () => {
    let count = 0;
    const cache = new BoundedCache<string, number>({ clock, onEvicted: () => count++ });
    cache.put('a', 1);
    cache.put('a', 2);
    cache.delete('a');
    cache.put('b', 1);
    cache.clear();
    expect(count).toBe(0);
    expect(cache.size).toBe(0);
  });
});

describe('resize', () => {
  it('obeys the new bound at once, keeps the most recent, and gives memory back in slices', async () => {
    let evicted = 0;
    const cache = new BoundedCache<number, number>({ maxEntries: 10_000, clock, onEvicted: () => evicted++ });
    for (let i = 0; i < 10_000; i++) cache.put(i, i);
    cache.resize(5_000);
    expect(cache.size).toBe(5_000);
    expect([...cache.entries()].map(([key]) => key)).toEqual(
      Array.from({ length: 5_000 }, (_, i) => 9_999 - i),
    );
    let before = evicted;
    while (cache.shrinking) {
      await settle();
      expect(evicted - before).toBeLessThanOrEqual(2_000);
      expect(cache.size).toBe(5_000);
      before = evicted;
    }
    expect(evicted).toBe(5_000);
    expect(cache.get(4_999)).toBeUndefined();
    expect(cache.get(5_000)).toBe(5_000);
  });

  it('adds nothing to memory while it shrinks, however much is put', async () => {
    let evicted = 0;
    const cache = new BoundedCache<number, number>({ maxEntries: 5_000, clock, onEvicted: () => evicted++ });
    for (let i = 0; i < 5_000; i++) cache.put(i, i);
    cache.resize(100);
    const resident = (put: number): number => 5_000 + put - evicted;
    let before = resident(0);
    for (let put = 1; put <= 500; put++) {
      cache.put(10_000 + put, put);
      expect(resident(put)).toBeLessThan(before);
      before = resident(put);
      expect(cache.size).toBe(100);
    }
    while (cache.shrinking) await settle();
    expect(resident(500)).toBe(100);
    expect(cache.get(10_500)).toBe(500);
  });

  it('grows in place', () => {
    const cache = new BoundedCache<number, number>({ maxEntries: 1, clock });
    cache.put(1, 1);
    cache.resize(3);
    for (const key of [2, 3]) cache.put(key, key);
    expect(cache.size).toBe(3);
    expect(cache.maxEntries).toBe(3);
  });

  it('lowers the bound of bytes as well', async () => {
    const cache = new BoundedCache<number, string>({ maxBytes: 100, sizeOf: (value) => value.length, clock });
    for (let i = 0; i < 10; i++) cache.put(i, 'x'.repeat(10));
    cache.resize(1_000, 25);
    expect(cache.statistics()).toMatchObject({ size: 2, bytes: 20 });
    expect(await codeOf(() => cache.resize(0))).toBe('cache-option-invalid');
  });
});

describe('loading', () => {
  /** A loader whose answers the test gives. */
  function source(options: { maxConcurrentOperations?: number } = {}) {
    const asked: string[] = [];
    const answers: { resolve: (value: number | undefined) => void; reject: (error: Error) => void }[] = [];
    const signals: AbortSignal[] = [];
    const cache = new BoundedCache<string, number>({
      clock,
      loadTimeoutMs: 100,
      ...options,
      load: (key, signal) => {
        asked.push(key);
        signals.push(signal);
        return new Promise((resolve, reject) => answers.push({ resolve, reject }));
      },
    });
    return { cache, asked, answers, signals };
  }

  it('loads once, however many ask', async () => {
    const { cache, asked, answers } = source();
    const waiting = [cache.getAsync('a'), cache.getAsync('a'), cache.getAsync('a')];
    answers[0]?.resolve(7);
    expect(await Promise.all(waiting)).toEqual([7, 7, 7]);
    expect(await cache.getAsync('a')).toBe(7);
    expect(asked).toEqual(['a']);
    expect(cache.statistics()).toMatchObject({ loads: 1, hits: 1, misses: 3 });
  });

  it('never puts what it read over a newer put', async () => {
    const { cache, answers } = source();
    const waiting = cache.getAsync('a');
    cache.put('a', 2);
    answers[0]?.resolve(1);
    expect(await waiting).toBe(2);
    expect(cache.get('a')).toBe(2);
  });

  it('does not bring back what was deleted while it loaded', async () => {
    const { cache, answers, asked } = source();
    const waiting = cache.getAsync('a');
    cache.delete('a');
    answers[0]?.resolve(1);
    await settle();
    expect(cache.peek('a')).toBeUndefined();
    expect(asked).toEqual(['a', 'a']);
    answers[1]?.resolve(undefined);
    expect(await waiting).toBeUndefined();
  });

  it('begins another load for who asks after a change, instead of sharing the one that was overtaken', async () => {
    const { cache, answers, asked } = source();
    const before = cache.getAsync('a');
    cache.delete('a');
    const after = cache.getAsync('a');
    expect(asked).toEqual(['a', 'a']);
    answers[1]?.resolve(2);
    expect(await after).toBe(2);
    answers[0]?.resolve(1);
    expect(await before).toBe(2);
    expect(cache.get('a')).toBe(2);
  });

  it('does not put back what was read before a clear', async () => {
    const { cache, answers } = source();
    const waiting = cache.getAsync('a');
    cache.clear();
    answers[0]?.resolve(1);
    await settle();
    expect(cache.peek('a')).toBeUndefined();
    answers[1]?.resolve(2);
    expect(await waiting).toBe(2);
  });

  it('tells all who wait of a failure, keeps nothing of it, and loads again', async () => {
    const { cache, answers } = source();
    const waiting = [codeOf(() => cache.getAsync('a')), codeOf(() => cache.getAsync('a'))];
    answers[0]?.reject(new DwError({ code: 'down', message: '' }));
    expect(await Promise.all(waiting)).toEqual(['down', 'down']);
    const again = cache.getAsync('a');
    answers[1]?.resolve(3);
    expect(await again).toBe(3);
    expect(cache.statistics()).toMatchObject({ loads: 2, loadFailures: 1 });
  });

  it('ends the wait of one caller when its signal aborts, and not the load', async () => {
    const { cache, answers, signals } = source();
    const controller = new AbortController();
    const one = codeOf(() => cache.getAsync('a', controller.signal));
    const other = cache.getAsync('a');
    controller.abort(new Error('enough'));
    expect(await one).toBe('Error: enough');
    expect(signals[0]?.aborted).toBe(false);
    answers[0]?.resolve(1);
    expect(await other).toBe(1);
  });

  it('gives up on a load that does not end, and ignores what comes too late', async () => {
    const { cache, answers, signals } = source();
    const waiting = codeOf(() => cache.getAsync('a'));
    clock.advance(100);
    expect(await waiting).toBe('cache-load-timeout');
    expect(signals[0]?.aborted).toBe(true);
    answers[0]?.resolve(1);
    await settle();
    expect(cache.peek('a')).toBeUndefined();
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('bounds the loads under way', async () => {
    const { cache, answers } = source({ maxConcurrentOperations: 1 });
    const first = cache.getAsync('a');
    expect(await codeOf(() => cache.getAsync('b'))).toBe('cache-busy');
    const second = cache.getAsync('a');
    answers[0]?.resolve(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
  });

  it('ends with the cache', async () => {
    const { cache } = source();
    const waiting = codeOf(() => cache.getAsync('a'));
    await cache.closeAsync();
    expect(await waiting).toBe('cache-closed');
    expect(await codeOf(() => cache.put('a', 1))).toBe('cache-closed');
    expect(await codeOf(() => cache.getAsync('a'))).toBe('cache-closed');
    expect(clock.pendingTimers()).toEqual([]);
  });
});

describe('against a model', () => {
  const key = fc.integer({ min: 0, max: 7 });
  const action = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key, ttl: fc.constantFrom(undefined, 5, 50) }),
    fc.record({ kind: fc.constant('get' as const), key }),
    fc.record({ kind: fc.constant('peek' as const), key }),
    fc.record({ kind: fc.constant('delete' as const), key }),
    fc.record({ kind: fc.constant('resize' as const), to: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 200) }),
  );

  /** An array in order of use, latest first: too slow to use and too simple to be wrong. */
  class Model {
    entries: { key: number; value: number; expiresAt: number }[] = [];
    constructor(public bound: number) {}
    live(now: number): this {
      this.entries = this.entries.filter((entry) => entry.expiresAt > now);
      return this;
    }
    take(key: number): { key: number; value: number; expiresAt: number } | undefined {
      const index = this.entries.findIndex((entry) => entry.key === key);
      return index === -1 ? undefined : this.entries.splice(index, 1)[0];
    }
  }

  it('holds the same entries in the same order', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const clock = new FakeClock();
        const cache = new BoundedCache<number, number>({ maxEntries: 4, clock });
        const model = new Model(4);
        let value = 0;
        for (const step of actions) {
          if (step.kind === 'wait') clock.advance(step.ms);
          const now = clock.now();
          model.live(now);
          if (step.kind === 'put') {
            model.take(step.key);
            cache.put(step.key, ++value, step.ttl === undefined ? {} : { ttlMs: step.ttl });
            model.entries.unshift({ key: step.key, value, expiresAt: step.ttl ? now + step.ttl : Infinity });
            model.entries.length = Math.min(model.entries.length, model.bound);
          } else if (step.kind === 'get') {
            const expected = model.entries.find((entry) => entry.key === step.key);
            expect(cache.get(step.key)).toBe(expected?.value);
            if (expected !== undefined) model.entries.unshift(model.take(step.key)!);
          } else if (step.kind === 'peek') {
            const expected = model.entries.find((entry) => entry.key === step.key);
            expect(cache.peek(step.key)).toBe(expected?.value);
          } else if (step.kind === 'delete') {
            expect(cache.delete(step.key)).toBe(model.take(step.key) !== undefined);
          } else if (step.kind === 'resize') {
            model.bound = step.to;
            cache.resize(step.to);
            model.entries.length = Math.min(model.entries.length, model.bound);
          }
          expect([...cache.entries()]).toEqual(model.entries.map((entry) => [entry.key, entry.value]));
          expect(cache.size).toBe(model.entries.length);
          expect(cache.size).toBeLessThanOrEqual(cache.maxEntries);
        }
        cache.clear();
        expect(clock.pendingTimers()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
