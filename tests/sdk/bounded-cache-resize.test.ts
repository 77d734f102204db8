// A million entries halved: what that may cost one turn of the event loop, in entries. In milliseconds it is measured
// by bench/cache.mjs, for no test may depend on how fast the machine is.

import { BoundedCache } from '@datawarehouse/sdk';
import { expect, it } from 'vitest';

const MILLION = 1_000_000;

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

it('halves a million entries a thousand a turn, keeps the most recent, and shows no more than the new bound', async () => {
  let evicted = 0;
  const cache = new BoundedCache<number, number>({ maxEntries: MILLION, onEvicted: () => evicted++ });
  for (let i = 0; i < MILLION; i++) cache.put(i, i);
  // The oldest thousand are used again, and so are the last to go.
  for (let i = 0; i < 1_000; i++) cache.get(i);

  cache.resize(MILLION / 2);
  expect(cache.size).toBe(MILLION / 2);
  let before = evicted;
  let largest = before;
  for (let turns = 0; cache.shrinking; turns++) {
    expect(turns).toBeLessThan(1_000);
    await turn();
    largest = Math.max(largest, evicted - before);
    before = evicted;
    expect(cache.size).toBe(MILLION / 2);
  }
  expect(largest).toBeLessThanOrEqual(1_000);
  expect(evicted).toBe(MILLION / 2);
  expect(cache.statistics()).toMatchObject({ size: MILLION / 2, evictions: MILLION / 2 });

  for (let i = 0; i < 1_000; i++) expect(cache.peek(i)).toBe(i);
  expect(cache.peek(1_000)).toBeUndefined();
  expect(cache.peek(MILLION / 2 + 999)).toBeUndefined();
  for (let i = MILLION / 2 + 1_000; i < MILLION; i += 997) expect(cache.peek(i)).toBe(i);
});
