// Many waiters for whom there is room at once: they go in a slice in each turn of the event loop, whatever lets them in.

import { nextTurn } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import type { Strategy } from '../../engine/strategy.js';
import { ADAPTIVE_CONCURRENCY_OPTIONS } from '../adaptive-concurrency/adaptive-concurrency-options.js';
import { AdaptiveConcurrencyStrategy } from '../adaptive-concurrency/adaptive-concurrency-strategy.js';
import { BULKHEAD_OPTIONS } from '../bulkhead/bulkhead-options.js';
import { BulkheadStrategy } from '../bulkhead/bulkhead-strategy.js';
import { RATE_LIMIT_OPTIONS } from '../rate-limit/rate-limit-options.js';
import { RateLimitStrategy } from '../rate-limit/rate-limit-strategy.js';
import { optionsOf } from '../row.test.kit.js';
import type { HeldCallOptions } from '../strategy-bench.test.kit.js';
import { StrategyBench, hold, turns } from '../strategy-bench.test.kit.js';
import { MAX_LET_IN_PER_TURN } from './entry-turns.js';

interface Limited {
  readonly strategy: Strategy;
  /** Sets how many may be inside, or begin in a while. */
  readonly set: (most: number, others?: { readonly queue?: number; readonly dryRun?: boolean }) => void;
}

const QUEUE = 2_000;

/** Each limiter: one call may go, and thousands wait. */
const limiters: Record<string, (bench: StrategyBench) => Limited> = {
  bulkhead: ({ context }) => {
    const of = (concurrency: number, others = {}) =>
      optionsOf(BULKHEAD_OPTIONS, { concurrency, queue: QUEUE, ...others });
    const strategy = new BulkheadStrategy(of(1), context);
    return { strategy, set: (most, others) => strategy.configure(of(most, others)) };
  },
  'rate limit': ({ context }) => {
    const of = (limit: number, others = {}) =>
      optionsOf(RATE_LIMIT_OPTIONS, {
        algorithm: 'sliding-window',
        limit,
        perMs: 60_000,
        maxWaitMs: 3_600_000,
        queue: QUEUE,
        ...others,
      });
    const strategy = new RateLimitStrategy({ ...of(1), maxWaitMs: 1e9 }, context);
    return { strategy, set: (most, others) => strategy.configure({ ...of(most, others), maxWaitMs: 1e9 }) };
  },
  'adaptive limit': ({ context }) => {
    const of = (min: number, others = {}) =>
      optionsOf(ADAPTIVE_CONCURRENCY_OPTIONS, { initial: 1, min, max: 100_000, queue: QUEUE, ...others });
    const strategy = new AdaptiveConcurrencyStrategy(of(1), context);
    return { strategy, set: (most, others) => strategy.configure(of(most, others)) };
  },
};

describe.each(Object.entries(limiters))('a %s that is raised for a thousand who wait', (_name, make) => {
  const given = () => {
    const bench = new StrategyBench();
    const { strategy, set } = make(bench);
    bench.use(strategy);
    const begun: (number | string)[] = [];
    const call = (name: number | string, options: HeldCallOptions = {}) =>
      hold(bench, { ...options, onBegin: () => void begun.push(name) });
    const calls = Array.from({ length: 1_001 }, (_, n) => call(n));
    expect(begun).toEqual([0]);
    return { bench, set, begun, call, calls, waiting: () => strategy.counters()['waiting'] };
  };

  it('lets no more than a slice in in one turn, in order, and all in the end', async () => {
    const { set, begun, bench, waiting } = given();
    set(10_000);
    const counts: number[] = [];
    while (begun.length < 1_001) {
      const before = begun.length;
      await turns(200);
      counts.push(begun.length - before);
      await nextTurn(bench.clock);
      if (counts.length > 20) break;
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(MAX_LET_IN_PER_TURN);
    expect(begun.findIndex((name, n) => name !== n)).toBe(-1);
    expect(begun.length).toBe(1_001);
    expect(waiting()).toBe(0);
    expect(bench.clock.pendingTimers()).toEqual([]);
  });

  it('lets nobody pass who comes meanwhile, nor turns them away because others have not gone in yet', async () => {
    const { set, begun, call, bench } = given();
    set(10_000, { queue: 0 });
    await turns();
    const late = [call('late 1'), call('late 2')];
    await turns();
    expect(begun.includes('late 1')).toBe(false);
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.slice(-3)).toEqual([1_000, 'late 1', 'late 2']);
    expect(late.map(({ outcome }) => outcome)).toEqual(['pending', 'pending']);
  });

  it('passes no limit that is lowered meanwhile, and goes on when it is raised again', async () => {
    const { set, begun, calls, bench } = given();
    set(10_000);
    await turns();
    const inside = begun.length;
    expect(inside).toBeLessThan(600);
    set(300);
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.length).toBe(300);
    set(10_000);
    set(700);
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.length).toBe(700);
    expect(calls.every(({ outcome }) => outcome === 'pending')).toBe(true);
  });

  it('forgets those who are given up before their turn, and nobody else', async () => {
    const { set, begun, calls, bench, waiting } = given();
    set(10_000);
    await turns();
    for (const call of calls.slice(500, 900)) call.cancel();
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.length).toBe(601);
    expect(begun.at(-1)).toBe(1_000);
    expect(calls.slice(500, 900).every(({ begun: had, settled }) => !had && settled === 1)).toBe(true);
    expect(waiting()).toBe(0);
  });

  it('leaves nothing behind when all are given up before their turn', async () => {
    const { set, begun, calls, bench, waiting } = given();
    set(10_000);
    await turns();
    const before = begun.length;
    for (const call of calls.toReversed()) call.cancel();
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.length).toBe(before);
    expect(waiting()).toBe(0);
    expect(calls.every(({ settled }) => settled === 1)).toBe(true);
    expect(bench.clock.pendingTimers()).toEqual([]);
  });

  it('lets them in a slice in each turn when a dry run begins, too, and then whoever comes', async () => {
    const { set, begun, call, bench } = given();
    set(1, { dryRun: true });
    await turns();
    expect(begun.length).toBeLessThanOrEqual(1 + MAX_LET_IN_PER_TURN);
    call('newcomer');
    for (let n = 0; n < 8; n++) await nextTurn(bench.clock);
    expect(begun.length).toBe(1_002);
    expect(begun.at(-1)).toBe('newcomer');
    call('later');
    expect(begun.at(-1)).toBe('later');
  });
});

it('calls that leave one after another in one turn let in a slice, and no place is lost', async () => {
  const bench = new StrategyBench();
  const strategy = new BulkheadStrategy(
    optionsOf(BULKHEAD_OPTIONS, { concurrency: 1, queue: QUEUE }),
    bench.context,
  );
  bench.use(strategy);
  let ended = 0;
  const first = hold(bench);
  const calls = Array.from({ length: 1_000 }, () => bench.run(() => void ended++));
  first.finish();
  await turns(5_000);
  expect(ended).toBe(MAX_LET_IN_PER_TURN);
  await Promise.all(calls);
  expect(strategy.counters()).toMatchObject({ inside: 0, waiting: 0, letInAfterWait: 1_000 });
});

it('keys with waiters are all looked at after a change, also one that comes while they are', async () => {
  const bench = new StrategyBench();
  const of = (concurrency: number) => optionsOf(BULKHEAD_OPTIONS, { concurrency, queue: 10 });
  const strategy = new BulkheadStrategy(of(1), bench.context);
  bench.use(strategy);
  const begun = new Map<string, number>();
  for (let n = 0; n < 3_000; n++) {
    const key = `k${n}`;
    const onBegin = (): void => void begun.set(key, (begun.get(key) ?? 0) + 1);
    for (let call = 0; call < 4; call++) hold(bench, { key, onBegin });
  }
  strategy.configure(of(2));
  for (let n = 0; n < 3; n++) await nextTurn(bench.clock);
  expect(Math.max(...begun.values())).toBe(2);
  expect([...begun.values()].filter((count) => count === 1).length).toBeGreaterThan(1_000);
  // Keys that were looked at have room again.
  strategy.configure(of(3));
  for (let n = 0; n < 40; n++) await nextTurn(bench.clock);
  expect(new Set(begun.values())).toEqual(new Set([3]));
  expect(strategy.counters()).toMatchObject({ inside: 9_000, waiting: 3_000 });
});
