import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { PoolCache } from './pool-cache.js';

function filled(maxEntries: number, ids: readonly string[]) {
  const cache = new PoolCache(maxEntries, new FakeClock());
  const closed: string[] = [];
  for (const id of ids) {
    cache.put(id, {
      close: (reason) => {
        closed.push(`${id}:${reason}`);
        // As a link does that hears of the end of its connection.
        cache.remove(id);
      },
    });
  }
  return { cache, closed };
}

describe('the cache of connection pools', () => {
  it('closes the connections of the pool that it has to let go', () => {
    const { cache, closed } = filled(2, ['n2', 'n3', 'n4']);
    expect(closed).toEqual(['n2:evicted']);
    expect(cache.size).toBe(2);
  });

  it('keeps those whose bulk connections were used last', () => {
    const { cache, closed } = filled(3, ['n2', 'n3', 'n4']);
    cache.use('n2');
    cache.resize(1);
    expect(closed.toSorted()).toEqual(['n3:evicted', 'n4:evicted']);
    expect(cache.size).toBe(1);
    cache.use('n3');
    expect(cache.hitRate).toBe(0.5);
  });

  it('closes nothing when a pool is gone already, or all are closed by who owns them', () => {
    const { cache, closed } = filled(2, ['n2', 'n3']);
    cache.remove('n2');
    cache.clear();
    expect(closed).toEqual([]);
    expect(cache.size).toBe(0);
  });
});
