// The strategies that hold calls back, in any order and among those that give attempts up and begin new ones: whatever
// happens, every call settles once, no bound is passed, and in the end nobody holds a place or waits for one.

import { FakeClock } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callThrough } from '../engine/call.js';
import type { CallPath } from '../engine/call.js';
import type { Layer } from '../engine/layer.js';
import type { Strategy, StrategyContext } from '../engine/strategy.js';
import { ADAPTIVE_CONCURRENCY_OPTIONS } from './adaptive-concurrency/adaptive-concurrency-options.js';
import { AdaptiveConcurrencyStrategy } from './adaptive-concurrency/adaptive-concurrency-strategy.js';
import { BULKHEAD_OPTIONS } from './bulkhead/bulkhead-options.js';
import { BulkheadStrategy } from './bulkhead/bulkhead-strategy.js';
import { COALESCE_OPTIONS } from './coalesce/coalesce-options.js';
import { CoalesceStrategy } from './coalesce/coalesce-strategy.js';
import { HEDGE_OPTIONS } from './hedge/hedge-options.js';
import { HedgeStrategy } from './hedge/hedge-strategy.js';
import { RATE_LIMIT_OPTIONS } from './rate-limit/rate-limit-options.js';
import { RateLimitStrategy } from './rate-limit/rate-limit-strategy.js';
import { RETRY_OPTIONS } from './retry/retry-options.js';
import { RetryStrategy } from './retry/retry-strategy.js';
import { optionsOf } from './row.test.kit.js';
import { TIMEOUT_OPTIONS } from './timeout/timeout-options.js';
import { TimeoutStrategy } from './timeout/timeout-strategy.js';

const CONCURRENCY = 2;

/** The strategies that a row is made of, each at most once. */
const makers = {
  coalesce: (context: StrategyContext) => new CoalesceStrategy(optionsOf(COALESCE_OPTIONS), context),
  bulkhead: (context: StrategyContext) =>
    new BulkheadStrategy(
      optionsOf(BULKHEAD_OPTIONS, { concurrency: CONCURRENCY, queue: 3, queueTimeoutMs: 40 }),
      context,
    ),
  rate: (context: StrategyContext) =>
    new RateLimitStrategy(
      optionsOf(RATE_LIMIT_OPTIONS, { limit: 3, perMs: 30, maxWaitMs: 60, queue: 4 }),
      context,
    ),
  adaptive: (context: StrategyContext) =>
    new AdaptiveConcurrencyStrategy(
      optionsOf(ADAPTIVE_CONCURRENCY_OPTIONS, { initial: 3, min: 1, max: 6, queue: 2 }),
      context,
    ),
  retry: (context: StrategyContext) =>
    new RetryStrategy(optionsOf(RETRY_OPTIONS, { maxRetries: 2, baseDelayMs: 5 }), context),
  hedge: (context: StrategyContext) =>
    new HedgeStrategy(optionsOf(HEDGE_OPTIONS, { delayMs: 10, maxHedges: 2 }), context),
  timeout: (context: StrategyContext) =>
    new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 25 }), context),
} as const;

type Made = { readonly [name in keyof typeof makers]?: ReturnType<(typeof makers)[name]> };

const rows = fc.shuffledSubarray(Object.keys(makers) as (keyof typeof makers)[], { minLength: 2 });

const calls = fc.array(
  fc.record({
    afterMs: fc.constantFrom(0, 0, 0, 1, 7, 30),
    takesMs: fc.constantFrom(0, 3, 12, 45),
    ends: fc.constantFrom('value', 'error', 'at once'),
    heeds: fc.boolean(),
    identity: fc.constantFrom('a', 'b', 'c'),
    priority: fc.integer({ min: 0, max: 2 }),
    cancelAfterMs: fc.option(fc.constantFrom(0, 1, 11, 28), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 16 },
);

describe('the strategies that hold calls back, together with others in any order', () => {
  it('settle every call once, pass no bound, and hold nothing in the end', async () => {
    await fc.assert(
      fc.asyncProperty(rows, calls, async (names, plan) => {
        const clock = new FakeClock({ now: 0.5 });
        const context: StrategyContext = { policy: 'p', clock, random: () => 0.3, report: () => {} };
        const made: Made = Object.fromEntries(names.map((name) => [name, makers[name](context)]));
        const strategies = names.map((name) => made[name] as Strategy);
        const { layer, most } = counting();
        const layers = strategies.flatMap((strategy) =>
          strategy === made.bulkhead ? [strategy.layer(''), layer] : [strategy.layer('')],
        );
        let ended = 0;
        const path: CallPath = {
          layers,
          givesUp: strategies.some(({ givesUp }) => givesUp),
          ended: () => void ended++,
        };
        let settled = 0;
        for (const { afterMs, takesMs, ends, heeds, identity, priority, cancelAfterMs } of plan) {
          await clock.advanceAsync(afterMs);
          const controller = new AbortController();
          const action = (signal: AbortSignal): unknown => {
            if (ends === 'at once') return 'at once';
            return new Promise((resolve, reject) => {
              clock.setTimeout(() => (ends === 'value' ? resolve(1) : reject(new Error('down'))), takesMs);
              if (heeds) signal.addEventListener('abort', () => reject(signal.reason as Error));
            });
          };
          const options = { signal: controller.signal, identity, priority };
          const count = (): void => void settled++;
          callThrough(path, '', action, clock.now(), options).then(count, count);
          if (cancelAfterMs === 0) controller.abort(new Error('not wanted'));
          else if (cancelAfterMs !== undefined) {
            clock.setTimeout(() => controller.abort(new Error('not wanted')), cancelAfterMs);
          }
        }
        await clock.advanceAsync(3_000);
        expect([settled, ended]).toEqual([plan.length, plan.length]);
        expect(most()).toBeLessThanOrEqual(made.bulkhead === undefined ? 0 : CONCURRENCY);
        const { bulkhead, rate, adaptive, coalesce } = made;
        for (const strategy of [bulkhead, rate, adaptive, coalesce]) {
          const counters = strategy?.counters() ?? {};
          for (const gauge of ['inside', 'waiting', 'underWay', 'callers', 'oldestWaitMs']) {
            expect(counters[gauge] ?? 0, `${strategy?.type} ${gauge}`).toBe(0);
          }
        }
        await clock.advanceAsync(120_000);
        for (const one of layers) expect(one.idle(clock.now()), one.type).toBe(true);
        expect(clock.pendingTimers()).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});

/** A layer that knows how many are inside of it, and how many were at most. */
function counting(): { layer: Layer; most: () => number } {
  let inside = 0;
  let highest = 0;
  const layer: Layer = {
    type: 'chaos',
    enter: () => {
      highest = Math.max(highest, ++inside);
      return 'in';
    },
    leave: () => {
      inside--;
      return 'out';
    },
    abandon: () => void inside--,
    idle: () => inside === 0,
  };
  return { layer, most: () => highest };
}
