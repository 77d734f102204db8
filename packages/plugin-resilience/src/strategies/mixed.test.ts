// Strategies together, under any schedule of answers, cancellations and changes: every call settles once and in time, and
// nothing is left behind, neither a timer nor an attempt that nobody waits for.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../engine/layer.js';
import { CHAOS_OPTIONS } from './chaos/chaos-options.js';
import { ChaosStrategy } from './chaos/chaos-strategy.js';
import { FALLBACK_OPTIONS } from './fallback/fallback-options.js';
import { FallbackStrategy } from './fallback/fallback-strategy.js';
import { HEDGE_OPTIONS } from './hedge/hedge-options.js';
import { HedgeStrategy } from './hedge/hedge-strategy.js';
import { RETRY_OPTIONS } from './retry/retry-options.js';
import { RetryStrategy } from './retry/retry-strategy.js';
import { RowKit, optionsOf } from './row.test.kit.js';
import { TIMEOUT_OPTIONS } from './timeout/timeout-options.js';
import { TimeoutStrategy } from './timeout/timeout-strategy.js';

/** No attempt takes longer, whether it heeds its signal or not. */
const LONGEST_ATTEMPT_MS = 60;

const attempt = fc.record({
  ms: fc.nat({ max: LONGEST_ATTEMPT_MS }),
  ends: fc.constantFrom('value', 'error', 'throws', 'at once'),
  heeds: fc.boolean(),
});

const fallback = fc.constantFrom('none', 'value', 'error', 'never', 'later');

const call = fc.record({
  afterMs: fc.nat({ max: 40 }),
  attempts: fc.array(attempt, { minLength: 1, maxLength: 6 }),
  fallback,
  cancelAfterMs: fc.option(fc.nat({ max: 150 })),
});

const limits = fc.record({
  totalMs: fc.integer({ min: 1, max: 200 }),
  eachMs: fc.integer({ min: 1, max: 60 }),
  eachMode: fc.constantFrom('aggressive' as const, 'cooperative' as const),
  maxRetries: fc.nat({ max: 4 }),
  baseDelayMs: fc.nat({ max: 30 }),
  maxHedges: fc.nat({ max: 2 }),
  hedgeAfterMs: fc.nat({ max: 30 }),
  chaos: fc.boolean(),
  dryRun: fc.boolean(),
});

type Limits = typeof limits extends fc.Arbitrary<infer T> ? T : never;
type Planned = typeof attempt extends fc.Arbitrary<infer T> ? T : never;

/** All five strategies, around a layer that counts who is inside. */
function built(kit: RowKit, mode: 'aggressive' | 'cooperative', initial: Limits) {
  const options = (given: Limits) => ({
    fallback: optionsOf(FALLBACK_OPTIONS),
    total: optionsOf(TIMEOUT_OPTIONS, { timeoutMs: given.totalMs, mode }),
    retry: optionsOf(RETRY_OPTIONS, {
      maxRetries: given.maxRetries,
      baseDelayMs: given.baseDelayMs,
      dryRun: given.dryRun,
    }),
    hedge: optionsOf(HEDGE_OPTIONS, {
      maxHedges: given.maxHedges,
      delayMs: given.hedgeAfterMs,
      dryRun: given.dryRun,
    }),
    each: optionsOf(TIMEOUT_OPTIONS, {
      timeoutMs: given.eachMs,
      mode: given.eachMode,
      dryRun: given.dryRun,
      name: 'each',
    }),
    chaos: optionsOf(CHAOS_OPTIONS, {
      enabled: given.chaos,
      latencyRate: 0.3,
      latencyMaxMs: 20,
      faultRate: 0.2,
      resultRate: 0.1,
      result: 'chaos',
    }),
  });
  const first = options(initial);
  const strategies = {
    fallback: new FallbackStrategy(first.fallback, kit.context),
    total: new TimeoutStrategy(first.total, kit.context),
    retry: new RetryStrategy(first.retry, kit.context),
    hedge: new HedgeStrategy(first.hedge, kit.context),
    each: new TimeoutStrategy(first.each, kit.context),
    chaos: new ChaosStrategy(first.chaos, kit.context),
  };
  /** Attempts of each key that are inside. */
  const inside = new Map<string, number>();
  const insideOf = (key: string): number => inside.get(key) ?? 0;
  const counting: Layer = {
    type: 'bulkhead',
    enter: ({ key }) => {
      inside.set(key, insideOf(key) + 1);
      return 'in';
    },
    leave: ({ key }) => {
      inside.set(key, insideOf(key) - 1);
      return 'out';
    },
    abandon: ({ key }) => void inside.set(key, insideOf(key) - 1),
    idle: () => true,
  };
  const { fallback, total, retry, hedge, each, chaos } = strategies;
  const row = kit.row(total, fallback, retry, hedge, each, chaos, {
    layer: () => counting,
    givesUp: false,
  });
  const configure = (given: Limits): void => {
    const next = options(given);
    total.configure(next.total);
    retry.configure(next.retry);
    hedge.configure(next.hedge);
    each.configure(next.each);
    chaos.configure(next.chaos);
  };
  return { row, strategies, configure, insideOf };
}

function acting(kit: RowKit, planned: readonly Planned[]): (signal: AbortSignal) => unknown {
  let n = 0;
  return (signal) => {
    const { ms, ends, heeds } = planned[n++ % planned.length] as Planned;
    if (ends === 'throws') throw new Error('at once');
    if (ends === 'at once') return 'at once';
    return new Promise((resolve, reject) => {
      kit.clock.setTimeout(() => {
        if (ends === 'value') resolve('value');
        else reject(new Error('failed'));
      }, ms);
      if (heeds) signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  };
}

function standIn(kit: RowKit, kind: string): ((error: unknown) => unknown) | undefined {
  if (kind === 'none') return undefined;
  if (kind === 'value') return () => 'stands in';
  if (kind === 'never') return () => new Promise(() => {});
  if (kind === 'later') return () => kit.taking(25, 'stands in')();
  return (error) => {
    throw error;
  };
}

describe('strategies together', () => {
  for (const mode of ['aggressive', 'cooperative'] as const) {
    it(`under any schedule settle every call once, in the time of its ${mode} timeout, and leave nothing`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(call, { minLength: 1, maxLength: 5 }),
          fc.array(limits, { minLength: 1, maxLength: 6 }),
          fc.integer({ min: 1, max: 1_000_000 }),
          async (calls, changes, seed) => {
            const kit = new RowKit();
            let drawn = seed;
            kit.randoms = Array.from(
              { length: 400 },
              () => (drawn = (drawn * 16_807) % 2_147_483_647) / 2_147_483_647,
            );
            const { row, strategies, configure, insideOf } = built(kit, mode, changes[0] as Limits);
            const begun: { outcome: ReturnType<typeof row.run>; latest: number; cancelled: number }[] = [];
            /** Attempts that were inside when their call settled. */
            const left: number[] = [];
            let inForce = changes[0] as Limits;
            for (const [n, one] of calls.entries()) {
              await kit.clock.advanceAsync(one.afterMs);
              const controller = new AbortController();
              const began = kit.clock.now();
              const options = { signal: controller.signal, fallback: standIn(kit, one.fallback) };
              const latest = began + inForce.totalMs + (mode === 'cooperative' ? LONGEST_ATTEMPT_MS : 0);
              const cancelled = began + (one.cancelAfterMs ?? Infinity);
              const outcome = row.run(acting(kit, one.attempts), { ...options, key: `${n}` });
              outcome.onSettled = () => left.push(insideOf(`${n}`));
              begun.push({ outcome, latest, cancelled });
              if (one.cancelAfterMs !== null) {
                kit.clock.setTimeout(() => controller.abort('cancelled'), one.cancelAfterMs);
              }
              inForce = changes[(n + 1) % changes.length] as Limits;
              configure(inForce);
            }
            await kit.clock.advanceAsync(1_000);
            for (const { outcome, latest, cancelled } of begun) {
              expect(outcome.settled).toBe(1);
              expect(outcome.at).toBeLessThanOrEqual(Math.min(latest, cancelled));
              if (outcome.value === 'cancelled') expect(outcome.at).toBe(cancelled);
            }
            expect(row.endings).toHaveLength(calls.length);
            expect(left).toEqual(calls.map(() => 0));
            expect(strategies.retry.counters()['waiting']).toBe(0);
            expect(strategies.fallback.counters()['waiting']).toBe(0);
            expect(strategies.chaos.counters()['waiting']).toBe(0);
            expect(kit.clock.pendingTimers()).toEqual([]);
          },
        ),
        { numRuns: 60 },
      );
    });
  }
});
