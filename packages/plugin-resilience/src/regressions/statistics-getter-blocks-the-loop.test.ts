// Elsewhere: reading statistics sorts all samples or walks all keys, and a scrape stops the process for a while.

import { expect, it } from 'vitest';
import { POLICY, policyOf } from './regressions.test.kit.js';

const MANY = 50_000;
const READS = 200;

/** The shortest of many reads: what else the machine does makes some of them longer, and none shorter. */
function shortestMs(read: () => unknown): number {
  let shortest = Infinity;
  for (let n = 0; n < READS; n++) {
    const began = performance.now();
    read();
    shortest = Math.min(shortest, performance.now() - began);
  }
  return shortest;
}

it('a statistics getter that blocks the loop', async () => {
  // given a policy with one key and one call, and another with many
  const used = async (keys: number) => {
    const { service } = policyOf(
      { type: 'retry' },
      { type: 'circuit-breaker', window: { kind: 'time' } },
      { type: 'bulkhead' },
      { type: 'timeout' },
    );
    for (let n = 0; n < keys; n++) await service.execute(POLICY, () => n, { key: `k${n}` });
    return service;
  };
  const few = await used(1);
  const many = await used(MANY);
  expect(many.stats()[0]).toMatchObject({ calls: MANY, keys: MANY });
  for (const read of ['stats', 'health'] as const) {
    // when they are read, then the one with many takes no longer, and far less than a look at each key would
    const allowed = shortestMs(() => few[read]()) * 10 + 0.05;
    expect(shortestMs(() => many[read]())).toBeLessThan(allowed);
  }
  // What an operator is shown of the keys is a bounded number of them.
  const { keys, keyCount } = many.show(POLICY);
  expect(keyCount).toBe(MANY);
  expect(keys.length).toBeLessThanOrEqual(1_000);
});
