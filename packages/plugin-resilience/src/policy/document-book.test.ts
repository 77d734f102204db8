import { MemoryBackingStore, SystemClock } from '@datawarehouse/sdk';
import { createTestContext } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { PolicyBook } from './document-book.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

const timeout = (timeoutMs: number) => ({ name: 'db', strategies: [{ type: 'timeout', timeoutMs }] });

function setUp(store = new MemoryBackingStore(), maxPolicies = 100) {
  const { context, logs } = createTestContext();
  const service = new ResilienceService({ clock: new SystemClock(false), strategies: STRATEGY_CLASSES });
  const book = new PolicyBook({
    store,
    path: (name) => `dw://plugins/p/policies/${name}`,
    target: service,
    log: context.log,
    wallTime: () => 1_700_000_000_000,
    maxPolicies: () => maxPolicies,
  });
  const inForce = (name = 'db'): unknown => service.show(name).document.strategies[0];
  return { book, service, store, logs, inForce };
}

describe('the book of policies', () => {
  it('lets the configuration win over what ships, and what was set at run time over both', async () => {
    const { book, inForce } = setUp();
    book.provide(timeout(1), 'shipped');
    book.provide(timeout(2), 'configured');
    expect(inForce()).toMatchObject({ timeoutMs: 2 });
    await expect(book.set(timeout(3), 'http')).resolves.toMatchObject({
      policy: 'db',
      change: 'replaced',
      source: 'run-time',
    });
    expect(inForce()).toMatchObject({ timeoutMs: 3 });
    expect(book.kept('db')).toMatchObject({ source: 'run-time', by: 'http', at: 1_700_000_000_000 });
  });

  it('keeps what was set across a restart, and who set it', async () => {
    const first = setUp();
    await first.book.set(timeout(3), 'bus:com.example.a');
    const second = setUp(first.store);
    second.book.provide(timeout(2), 'configured');
    await second.book.restore();
    expect(second.inForce()).toMatchObject({ timeoutMs: 3 });
    expect(second.book.kept('db')).toMatchObject({ source: 'run-time', by: 'bus:com.example.a' });
  });

  it('brings back what was there before when what was set is removed, also after a restart', async () => {
    const { book, inForce, store } = setUp();
    book.provide(timeout(2), 'configured');
    await book.set(timeout(3), 'http');
    await expect(book.remove('db', 'http')).resolves.toMatchObject({
      change: 'restored',
      source: 'configured',
    });
    expect(inForce()).toMatchObject({ timeoutMs: 2 });
    const second = setUp(store);
    await second.book.restore();
    expect(second.book.names()).toEqual([]);
  });

  it('removes for good what only was set, and refuses what would be there again', async () => {
    const { book, service } = setUp();
    await book.set(timeout(3), 'http');
    await expect(book.remove('db', 'http')).resolves.toMatchObject({ change: 'removed', document: null });
    expect(service.policies()).toEqual([]);
    await expect(book.remove('db', 'http')).rejects.toMatchObject({ code: 'policy-unknown' });
    book.provide(timeout(2), 'configured');
    await expect(book.remove('db', 'http')).rejects.toMatchObject({
      code: 'policy-not-removable',
      status: 409,
    });
    expect(service.policies()).toHaveLength(1);
  });

  it('refuses what is invalid or unworkable, and nothing has changed on disk nor in force', async () => {
    const { book, inForce, store } = setUp();
    book.provide(timeout(2), 'shipped');
    const unworkable = {
      name: 'db',
      strategies: [
        { type: 'timeout', name: 'total', timeoutMs: 5 },
        { type: 'timeout', timeoutMs: 10 },
      ],
    };
    for (const given of [timeout(0), unworkable]) {
      await expect(book.set(given, 'http')).rejects.toMatchObject({ code: 'policy-invalid' });
    }
    expect(inForce()).toMatchObject({ timeoutMs: 2 });
    expect(await store.listAsync('dw://')).toEqual([]);
  });

  it('takes a change back when the disk refuses it', async () => {
    const { book, service, inForce, store } = setUp();
    book.provide(timeout(2), 'shipped');
    store.writeAsync = () => Promise.reject(new Error('the disk is full'));
    await expect(book.set(timeout(3), 'http')).rejects.toThrow('the disk is full');
    expect(inForce()).toMatchObject({ timeoutMs: 2 });
    await expect(book.set({ ...timeout(3), name: 'new' }, 'http')).rejects.toThrow('the disk is full');
    expect(service.policies().map(({ name }) => name)).toEqual(['db']);
    expect(book.names()).toEqual(['db']);
  });

  it('makes changes one after the other, and bounds how many wait', async () => {
    const { book, store, inForce } = setUp();
    let release: (() => void) | undefined;
    const write = store.writeAsync.bind(store);
    const order: number[] = [];
    store.writeAsync = async (path, data) => {
      order.push(1);
      await new Promise<void>((resolve) => (release = resolve));
      store.writeAsync = write;
      return write(path, data);
    };
    const changes = Array.from({ length: 64 }, (_, n) => book.set(timeout(n + 1), 'http'));
    await expect(book.set(timeout(99), 'http')).rejects.toMatchObject({ code: 'policies-busy' });
    expect(order).toEqual([1]);
    release?.();
    await Promise.all(changes);
    expect(inForce()).toMatchObject({ timeoutMs: 64 });
    await book.set(timeout(99), 'http');
  });

  it('does not follow what the giver does to its own object afterwards', async () => {
    const { book, inForce } = setUp();
    const given = timeout(3);
    await book.set(given, 'http');
    given.strategies[0] = { type: 'timeout', timeoutMs: 99 };
    book.readjust();
    expect(inForce()).toMatchObject({ timeoutMs: 3 });
  });

  it('keeps what is on its way to the disk in force when limits change meanwhile', async () => {
    const { book, store, inForce } = setUp();
    await book.set(timeout(3), 'http');
    const write = store.writeAsync.bind(store);
    store.writeAsync = async (path, data) => {
      book.readjust();
      const written = await write(path, data);
      book.readjust();
      return written;
    };
    await book.set(timeout(4), 'http');
    expect(inForce()).toMatchObject({ timeoutMs: 4 });
    await book.set({ ...timeout(5), name: 'new' }, 'http');
    expect(inForce('new')).toMatchObject({ timeoutMs: 5 });
    store.writeAsync = () => {
      book.readjust();
      return Promise.reject(new Error('the disk is full'));
    };
    await expect(book.set(timeout(6), 'http')).rejects.toThrow('the disk is full');
    book.readjust();
    expect(inForce()).toMatchObject({ timeoutMs: 4 });
  });

  it('has a bound on how many there are', async () => {
    const { book } = setUp(new MemoryBackingStore(), 1);
    await book.set(timeout(1), 'http');
    await book.set(timeout(2), 'http');
    await expect(book.set({ ...timeout(1), name: 'other' }, 'http')).rejects.toMatchObject({
      code: 'policies-exhausted',
    });
  });

  it('shows what is on disk and cannot be used, goes on without it, and lets it be removed or replaced', async () => {
    const store = new MemoryBackingStore();
    await store.writeAsync('dw://plugins/p/policies/db', Buffer.from('{"given":{"name":"db"}}'));
    await store.writeAsync('dw://plugins/p/policies/torn', Buffer.from('{'));
    const { book, logs, service } = setUp(store);
    book.provide({ ...timeout(1), name: 'other' }, 'shipped');
    await book.restore();
    expect([...book.problems.keys()]).toEqual(['db', 'torn']);
    expect(logs.filter(({ level }) => level === 'error')).toHaveLength(2);
    expect(service.policies().map(({ name }) => name)).toEqual(['other']);
    await book.remove('torn', 'http');
    await book.set(timeout(1), 'http');
    expect(book.problems.size).toBe(0);
    expect(await store.listAsync('dw://')).toEqual(['dw://plugins/p/policies/db']);
  });
});
