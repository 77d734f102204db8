import { MemoryBackingStore, SystemClock } from '@datawarehouse/sdk';
import { createTestContext } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from './document.js';
import { IsolationBook } from './isolation-book.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

function setUp(store = new MemoryBackingStore()) {
  const { context, logs } = createTestContext();
  const service = new ResilienceService({ clock: new SystemClock(false), strategies: STRATEGY_CLASSES });
  service.set(readPolicyDocument({ name: 'db', strategies: [{ type: 'circuit-breaker' }] }));
  service.set(readPolicyDocument({ name: 'plain', strategies: [] }));
  const book = new IsolationBook({
    store,
    path: (name) => `dw://plugins/p/isolations/${name}`,
    service,
    log: context.log,
    wallTime: () => 0,
  });
  const stateOf = (key: string): string | undefined => {
    const [breaker] = service.breakers('db', key, true);
    return breaker?.view(0).state;
  };
  return { book, service, store, logs, stateOf };
}

describe('what is isolated by hand', () => {
  it('stays so after a restart, single keys and all of them', async () => {
    const first = setUp();
    await first.book.isolate('db', 'a', 'broken', 'http');
    const second = setUp(first.store);
    await second.book.restore();
    expect([second.stateOf('a'), second.stateOf('b')]).toEqual(['isolated', 'closed']);
    await second.book.isolate('db', undefined, 'all broken', 'http');
    const third = setUp(first.store);
    await third.book.restore();
    expect([third.stateOf('a'), third.stateOf('b')]).toEqual(['isolated', 'isolated']);
    expect(third.service.show('db', 'b').keys[0]?.layers[0]?.state).toMatchObject({
      transitions: [{ reason: 'all broken' }],
    });
  });

  it('is closed by a reset, for good', async () => {
    const { book, store, stateOf } = setUp();
    await book.isolate('db', 'a', 'broken', 'http');
    await book.isolate('db', 'b', 'broken', 'http');
    await book.reset('db', 'a', 'mended', 'http');
    const second = setUp(store);
    await second.book.restore();
    expect([second.stateOf('a'), second.stateOf('b')]).toEqual(['closed', 'isolated']);
    await book.reset('db', undefined, 'mended', 'http');
    expect([stateOf('a'), stateOf('b')]).toEqual(['closed', 'closed']);
    expect(await store.listAsync('dw://')).toEqual([]);
  });

  it('is reset also when its breaker went with a change of the policy, and is not isolated after a restart', async () => {
    const { book, service, store } = setUp();
    await book.isolate('db', 'a', 'broken', 'http');
    service.set(readPolicyDocument({ name: 'db', strategies: [] }));
    await expect(book.reset('db', 'b', 'mended', 'http')).rejects.toMatchObject({
      code: 'policy-has-no-breaker',
    });
    await book.reset('db', 'a', 'mended', 'http');
    expect(await store.listAsync('dw://')).toEqual([]);
  });

  it('is taken from the disk as it was kept, and nothing else is', async () => {
    const whole = { reason: 'broken', by: 'http', at: 0 };
    for (const kept of ['null', '7', '{}', '{"keys":{"a":null}}', '{"keys":{},"all":{"reason":7}}', '{']) {
      const { book, store, logs, stateOf } = setUp();
      await store.writeAsync('dw://plugins/p/isolations/db', Buffer.from(kept));
      await store.writeAsync(
        'dw://plugins/p/isolations/plain',
        Buffer.from(JSON.stringify({ keys: { a: whole, b: 1 } })),
      );
      await book.restore();
      expect(stateOf('a')).toBe('closed');
      expect(logs.filter(({ level }) => level === 'error')).toHaveLength(2);
    }
  });

  it('is forgotten with its policy', async () => {
    const { book, store } = setUp();
    await book.isolate('db', undefined, 'broken', 'http');
    await book.forget('db');
    expect(await store.listAsync('dw://')).toEqual([]);
  });

  it('has a breaker, is one of a bounded number of keys, and leaves no trace if refused', async () => {
    const { book, store, service } = setUp();
    await expect(book.isolate('plain', 'a', 'x', 'http')).rejects.toMatchObject({
      code: 'policy-has-no-breaker',
    });
    await expect(book.isolate('none', undefined, 'x', 'http')).rejects.toMatchObject({
      code: 'policy-unknown',
    });
    expect(await store.listAsync('dw://')).toEqual([]);
    const keys = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n) => [`k${n}`, { reason: 'x', by: 'http', at: 0 }]),
    );
    await store.writeAsync('dw://plugins/p/isolations/db', Buffer.from(JSON.stringify({ keys })));
    await book.restore();
    await expect(book.isolate('db', 'one-more', 'x', 'http')).rejects.toMatchObject({
      code: 'isolations-exhausted',
    });
    await book.isolate('db', 'k7', 'again', 'http');
    expect(service.breakers('db', 'one-more')).toEqual([]);
  });

  it('holds, and the asker is told that it is not kept, when the disk refuses it', async () => {
    const { book, store, stateOf } = setUp();
    store.writeAsync = () => Promise.reject(new Error('the disk is full'));
    await expect(book.isolate('db', 'a', 'broken', 'http')).rejects.toMatchObject({
      code: 'resilience-order-not-kept',
      message: expect.stringContaining('the disk is full') as string,
    });
    expect(stateOf('a')).toBe('isolated');
  });

  it('that cannot be isolated again is logged, and nothing else is held up by it', async () => {
    const store = new MemoryBackingStore();
    await store.writeAsync('dw://plugins/p/isolations/gone', Buffer.from('{"all":{"reason":"x"},"keys":{}}'));
    await store.writeAsync('dw://plugins/p/isolations/torn', Buffer.from('{'));
    await store.writeAsync('dw://plugins/p/isolations/db', Buffer.from('{"all":{"reason":"x"}}'));
    const { book, logs } = setUp(store);
    await book.restore();
    await book.isolate('db', 'a', 'broken', 'http');
    expect(logs.filter(({ level }) => level === 'error').map(({ fields }) => fields['policy'])).toEqual([
      'db',
      'gone',
      'torn',
    ]);
  });
});
