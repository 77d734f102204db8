// What is known to be wrong in limiters elsewhere, tried on each of those here that let calls wait.

import { describe, expect, it } from 'vitest';
import type { Strategy } from '../../engine/strategy.js';
import { ADAPTIVE_CONCURRENCY_OPTIONS } from '../adaptive-concurrency/adaptive-concurrency-options.js';
import { AdaptiveConcurrencyStrategy } from '../adaptive-concurrency/adaptive-concurrency-strategy.js';
import { BULKHEAD_OPTIONS } from '../bulkhead/bulkhead-options.js';
import { BulkheadStrategy } from '../bulkhead/bulkhead-strategy.js';
import { RATE_LIMIT_OPTIONS } from '../rate-limit/rate-limit-options.js';
import { RateLimitStrategy } from '../rate-limit/rate-limit-strategy.js';
import { optionsOf } from '../row.test.kit.js';
import { StrategyBench, hold, turns } from '../strategy-bench.test.kit.js';

interface Limited {
  readonly strategy: Strategy;
  /** Sets how many may go at once, and how many may wait. */
  readonly set: (most: number, queue: number) => void;
}

/** Each limiter: two calls may go, and three wait. */
const limiters: Record<string, (bench: StrategyBench) => Limited> = {
  bulkhead: ({ context }) => {
    const of = (concurrency: number, queue: number) => optionsOf(BULKHEAD_OPTIONS, { concurrency, queue });
    const strategy = new BulkheadStrategy(of(2, 3), context);
    return { strategy, set: (most, queue) => strategy.configure(of(most, queue)) };
  },
  'rate limit': ({ context }) => {
    const of = (limit: number, queue: number) =>
      optionsOf(RATE_LIMIT_OPTIONS, { limit, perMs: 100, maxWaitMs: 10_000, queue });
    const strategy = new RateLimitStrategy(of(2, 3), context);
    return { strategy, set: (most, queue) => strategy.configure(of(most, queue)) };
  },
  'adaptive limit': ({ context }) => {
    const of = (max: number, queue: number) =>
      optionsOf(ADAPTIVE_CONCURRENCY_OPTIONS, { initial: 2, min: 1, max, queue });
    const strategy = new AdaptiveConcurrencyStrategy(of(2, 3), context);
    return { strategy, set: (most, queue) => strategy.configure(of(most, queue)) };
  },
};

describe.each(Object.entries(limiters))('a %s', (_name, make) => {
  const given = () => {
    const bench = new StrategyBench();
    const { strategy, set } = make(bench);
    bench.use(strategy);
    const gauge = (name: string): number => strategy.counters()[name] ?? 0;
    return { bench, set, gauge };
  };

  it('does not reject an accepted queued call later', async () => {
    const { bench, set } = given();
    const calls = Array.from({ length: 5 }, () => hold(bench));
    set(1, 0);
    await turns();
    expect(calls.map(({ outcome }) => outcome)).toEqual(Array(5).fill('pending'));
    for (let round = 0; round < 5; round++) {
      bench.clock.advance(1_000);
      for (const call of calls) call.finish();
      await turns();
    }
    expect(calls.map(({ outcome }) => outcome)).toEqual(Array(5).fill('succeeded'));
  });

  it('keeps no place for a queued call that was aborted', async () => {
    const { bench, gauge } = given();
    const [first, second, ...waiting] = Array.from({ length: 5 }, () => hold(bench));
    for (const call of waiting) call.cancel();
    expect(gauge('waiting')).toBe(0);
    const later = hold(bench);
    expect(gauge('waiting')).toBe(1);
    first?.finish();
    second?.finish();
    bench.clock.advance(1_000);
    await turns();
    expect(later.begun).toBe(true);
    expect(waiting.map(({ begun }) => begun)).toEqual([false, false, false]);
  });

  it('lets no unbounded number wait', async () => {
    const { bench, gauge } = given();
    const calls = Array.from({ length: 50 }, () => hold(bench));
    await turns();
    expect(gauge('waiting')).toBe(3);
    expect(calls.filter(({ outcome }) => outcome === 'failed')).toHaveLength(45);
  });

  it('does not check in one turn and take in another', async () => {
    const { bench } = given();
    let begun = 0;
    // Those that are let in at once begin further calls before anybody else has a turn.
    const spawn = (depth: number): void => {
      hold(bench, {
        onBegin: () => {
          begun++;
          if (depth > 0) for (let n = 0; n < 3; n++) spawn(depth - 1);
        },
      });
    };
    spawn(3);
    await turns(50);
    expect(begun).toBe(2);
  });
});
