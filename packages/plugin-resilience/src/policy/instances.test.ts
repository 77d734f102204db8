// The bounded registry of instances, through the service.

import { describe, expect, it } from 'vitest';
import { Held, gate, plain, testService, turns } from '../testing/policy.test.kit.js';

const breaker = plain('circuit-breaker');

describe('the registry of instances', () => {
  it('forgets the least recently used, over all policies', async () => {
    const { service } = testService({ maxCacheEntries: 3 });
    service.set({ name: 'a', strategies: [gate(1)] });
    service.set({ name: 'b', strategies: [gate(1)] });
    await service.execute('a', () => 1, { key: '1' });
    await service.execute('b', () => 1, { key: '2' });
    await service.execute('a', () => 1, { key: '3' });
    await service.execute('a', () => 1, { key: '1' });
    await service.execute('b', () => 1, { key: '4' });
    expect(service.show('a').keys.map(({ key }) => key)).toEqual(['1', '3']);
    expect(service.show('b').keys.map(({ key }) => key)).toEqual(['4']);
    expect(service.instances).toEqual({ size: 3, limit: 3, evictions: 1, refusals: 0 });
  });

  it('never forgets an open breaker, nor a key with a call under way', async () => {
    const { service } = testService({ maxCacheEntries: 3 });
    service.set({ name: 'db', strategies: [breaker] });
    service.isolate('db', 'open', 'maintenance');
    const held = new Held<string>();
    const call = service.execute('db', held.action, { key: 'running' });
    for (let n = 0; n < 100; n++) await service.execute('db', () => n, { key: `k${n}` });
    expect(service.show('db').keys.map(({ key }) => key)).toEqual(['open', 'running', 'k99']);
    held.end('done');
    await expect(call).resolves.toBe('done');
    await service.execute('db', () => 1, { key: 'one' });
    await service.execute('db', () => 1, { key: 'two' });
    expect(service.show('db').keys.map(({ key }) => key)).toEqual(['open', 'one', 'two']);
    await expect(service.execute('db', () => 1, { key: 'open' })).rejects.toMatchObject({
      code: 'circuit-isolated',
    });
  });

  it('refuses a new key when all are busy, and the old ones go on', async () => {
    const { service } = testService({ maxCacheEntries: 2 });
    service.set({ name: 'db', strategies: [breaker] });
    service.isolate('db', 'a', 'maintenance');
    service.isolate('db', 'b', 'maintenance');
    await expect(service.execute('db', () => 1, { key: 'c' })).rejects.toMatchObject({
      code: 'resilience-keys-exhausted',
      retryable: true,
    });
    expect(() => service.isolate('db', 'c', 'maintenance')).toThrow('cannot be forgotten');
    expect(service.stats()[0]).toMatchObject({ calls: 1, rejections: 1, inFlight: 0, keys: 2 });
    expect(service.instances.refusals).toBe(2);
    service.reset('db', 'a');
    await expect(service.execute('db', () => 1, { key: 'c' })).resolves.toBe(1);
  });

  it('finds the idle one among many that are busy, looking at a few each time', async () => {
    const { service } = testService({ maxCacheEntries: 101 });
    service.set({ name: 'db', strategies: [breaker] });
    for (let n = 0; n < 100; n++) service.isolate('db', `k${n}`, 'maintenance');
    await service.execute('db', () => 1, { key: 'idle' });
    const outcomes = [];
    for (let n = 0; n < 4; n++) {
      outcomes.push(
        await service
          .execute('db', () => 'in', { key: 'new' })
          .catch((error: { code: string }) => error.code),
      );
    }
    const refused = 'resilience-keys-exhausted';
    expect(outcomes).toEqual([refused, refused, refused, 'in']);
  });

  it('forgets what is above a lower limit in the turns that follow, but nothing that is busy', async () => {
    const { service, clock } = testService({ maxCacheEntries: 2_000 });
    service.set({ name: 'db', strategies: [breaker] });
    for (let n = 0; n < 2_000; n++) await service.execute('db', () => n, { key: `k${n}` });
    for (let n = 0; n < 20; n++) service.isolate('db', `k${n}`, 'maintenance');
    service.setMaxCacheEntries(10);
    expect(service.instances.size).toBe(2_000);
    await turns(clock);
    expect(service.instances.size).toBe(20);
    expect(clock.pendingTimers()).toEqual([]);
    service.dispose();
    expect(service.instances.size).toBe(0);
  });
});
