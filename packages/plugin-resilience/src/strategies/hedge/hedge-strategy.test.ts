// More than one attempt at once.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../../engine/layer.js';
import { RowKit, optionsOf } from '../row.test.kit.js';
import { RETRY_OPTIONS } from '../retry/retry-options.js';
import { RetryStrategy } from '../retry/retry-strategy.js';
import { TIMEOUT_OPTIONS } from '../timeout/timeout-options.js';
import { TimeoutStrategy } from '../timeout/timeout-strategy.js';
import type { HedgeOptions } from './hedge-options.js';
import { HEDGE_OPTIONS } from './hedge-options.js';
import { HedgeStrategy } from './hedge-strategy.js';

const hedgeOf = (given: Partial<HedgeOptions>) => optionsOf(HEDGE_OPTIONS, given);

function kitWith(given: Partial<HedgeOptions>) {
  const kit = new RowKit();
  const hedge = new HedgeStrategy(hedgeOf({ delayMs: 100, ...given }), kit.context);
  return { kit, hedge, row: kit.row(hedge) };
}

/** Attempts of one call: when each begins, and why it was given up. Each takes its time, and gives or throws. */
function attempts(kit: RowKit, ...plan: readonly (readonly [ms: number, value: unknown])[]) {
  const begun: number[] = [];
  const givenUp: { n: number; at: number; why: unknown }[] = [];
  let running = 0;
  let most = 0;
  const action = (signal: AbortSignal): Promise<unknown> => {
    const n = begun.push(kit.clock.now()) - 1;
    most = Math.max(most, ++running);
    return new Promise((resolve, reject) => {
      const [ms, value] = plan[Math.min(n, plan.length - 1)] as readonly [number, unknown];
      const timer = kit.clock.setTimeout(() => {
        running--;
        if (value instanceof Error) reject(value);
        else resolve(value);
      }, ms);
      signal.addEventListener('abort', () => {
        running--;
        timer.cancel();
        givenUp.push({ n, at: kit.clock.now(), why: signal.reason });
        reject(signal.reason as Error);
      });
    });
  };
  return { action, begun, givenUp, most: () => most, running: () => running };
}

/** A layer that counts who is inside of it, and that nobody is let go of twice. */
function counting(): { layer: Layer; inside: () => number } {
  let inside = 0;
  const layer: Layer = {
    type: 'bulkhead',
    enter: () => {
      inside++;
      return 'in';
    },
    leave: () => {
      inside--;
      return 'out';
    },
    abandon: () => void inside--,
    idle: () => inside === 0,
  };
  return { layer, inside: () => inside };
}

describe('a hedge', () => {
  it('begins no other attempt when the first answers in time, and holds nothing afterwards', async () => {
    const { kit, hedge, row } = kitWith({});
    const { action, begun } = attempts(kit, [99, 'first']);
    const call = row.run(action);
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ state: 'succeeded', value: 'first', at: 99 });
    expect(begun).toEqual([0]);
    expect(hedge.counters()).toEqual({ hedges: 0, wins: 0, exhausted: 0, wouldHedge: 0 });
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('begins another when the first takes long, takes the first success, and gives the other up', async () => {
    const { kit, hedge, row } = kitWith({});
    const { action, begun, givenUp } = attempts(kit, [1_000, 'first'], [30, 'second']);
    const call = row.run(action);
    await kit.clock.advanceAsync(130);
    expect(begun).toEqual([0, 100]);
    expect(call).toMatchObject({ state: 'succeeded', value: 'second', at: 130, settled: 1 });
    expect(givenUp).toMatchObject([{ n: 0, at: 130 }]);
    expect(isDwError(givenUp[0]?.why, 'attempt-not-needed')).toBe(true);
    expect(hedge.counters()).toMatchObject({ hedges: 1, wins: 1 });
    expect(kit.acted).toEqual(['hedge 1 of 1 begun']);
    await kit.clock.advanceAsync(5_000);
    expect(kit.clock.pendingTimers()).toEqual([]);
    expect(row.endings).toEqual(['succeeded']);
  });

  it('gives up the other attempt when the first is first after all', async () => {
    const { kit, hedge, row } = kitWith({});
    const { action, givenUp } = attempts(kit, [120, 'first'], [500, 'second']);
    const call = row.run(action);
    await kit.clock.advanceAsync(120);
    expect(call).toMatchObject({ value: 'first', at: 120 });
    expect(givenUp).toMatchObject([{ n: 1, at: 120 }]);
    expect(hedge.counters()).toMatchObject({ hedges: 1, wins: 0 });
  });

  it('begins one after another while none answers, and never more than maxHedges', async () => {
    const { kit, row } = kitWith({ maxHedges: 3 });
    const { action, begun, most } = attempts(kit, [10_000, 'slow']);
    row.run(action);
    await kit.clock.advanceAsync(5_000);
    expect(begun).toEqual([0, 100, 200, 300]);
    expect(most()).toBe(4);
  });

  it('with no delay begins all at once', async () => {
    const { kit, row } = kitWith({ delayMs: 0, maxHedges: 2 });
    const { action, begun, givenUp } = attempts(kit, [50, 'a'], [40, 'b'], [60, 'c']);
    const call = row.run(action);
    await kit.clock.advanceAsync(40);
    expect(begun).toEqual([0, 0, 0]);
    expect(call).toMatchObject({ value: 'b', at: 40 });
    expect(givenUp.map(({ n }) => n).sort((a, b) => a - b)).toEqual([0, 2]);
  });

  it('with no delay calls nobody twice when the first answers at once', async () => {
    const { kit, row } = kitWith({ delayMs: 0, maxHedges: 2 });
    let called = 0;
    const call = row.run(() => ++called);
    await kit.clock.advanceAsync(0);
    expect([call.value, called]).toEqual([1, 1]);
  });

  it('takes an answer that a fork gives at once', async () => {
    const { kit, row } = kitWith({ maxHedges: 3 });
    let called = 0;
    const call = row.run(() => (++called === 1 ? new Promise(() => {}) : 'at once'));
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ value: 'at once', at: 100 });
    expect(called).toBe(2);
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('begins the next at once when one fails', async () => {
    const { kit, row } = kitWith({ maxHedges: 2 });
    const { action, begun } = attempts(
      kit,
      [10, new Error('first')],
      [10, new Error('second')],
      [10, 'third'],
    );
    const call = row.run(action);
    await kit.clock.advanceAsync(1_000);
    expect(begun).toEqual([0, 10, 20]);
    expect(call).toMatchObject({ value: 'third', at: 30 });
  });

  it('begins the next at once when a fork fails, and counts the delay from there', async () => {
    const { kit, row } = kitWith({ maxHedges: 3 });
    const { action, begun } = attempts(
      kit,
      [10_000, 'first'],
      [10, new Error('second')],
      [10_000, 'third'],
      [5, 'fourth'],
    );
    const call = row.run(action);
    await kit.clock.advanceAsync(1_000);
    expect(begun).toEqual([0, 100, 110, 210]);
    expect(call).toMatchObject({ value: 'fourth', at: 215 });
  });

  it('waits for the attempts that run when one fails and there is no other', async () => {
    const { kit, row } = kitWith({});
    const first = attempts(kit, [150, new Error('first')], [100, 'second']);
    const call = row.run(first.action);
    await kit.clock.advanceAsync(150);
    expect(call.state).toBe('pending');
    await kit.clock.advanceAsync(50);
    expect(call).toMatchObject({ value: 'second', at: 200 });

    const fork = attempts(kit, [150, 'first'], [20, new Error('second')]);
    const other = row.run(fork.action);
    await kit.clock.advanceAsync(150);
    expect(other).toMatchObject({ value: 'first', at: 350 });
  });

  it('gives the last error when all have failed', async () => {
    const { kit, hedge, row } = kitWith({});
    const [first, second] = [new Error('first'), new Error('second')];
    const call = row.run(attempts(kit, [150, first], [100, second]).action);
    await kit.clock.advanceAsync(200);
    expect(call).toMatchObject({ state: 'failed', at: 200 });
    expect(call.value).toBe(second);
    const other = row.run(attempts(kit, [150, first], [20, second]).action);
    await kit.clock.advanceAsync(150);
    expect(other.value).toBe(first);
    expect(hedge.counters()).toMatchObject({ exhausted: 2 });
    await kit.clock.advanceAsync(1_000);
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('takes an error that it is not for as the outcome, whoever it comes from', async () => {
    const { kit, row } = kitWith({ handle: { codes: ['EX'] } });
    const error = new Error('other');
    const call = row.run(attempts(kit, [10, error]).action);
    const late = attempts(kit, [1_000, 'first'], [10, error]);
    const other = row.run(late.action);
    await kit.clock.advanceAsync(110);
    expect(call).toMatchObject({ value: error, at: 10 });
    expect(other).toMatchObject({ value: error, at: 110 });
    expect(late.givenUp).toMatchObject([{ n: 0, at: 110 }]);
  });

  it('gives all attempts up when the call is cancelled, with the caller’s reason', async () => {
    const { kit, row } = kitWith({ maxHedges: 2 });
    const controller = new AbortController();
    const { action, givenUp, running } = attempts(kit, [1_000, 'never']);
    const call = row.run(action, { signal: controller.signal });
    await kit.clock.advanceAsync(150);
    expect(running()).toBe(2);
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'failed', value: reason, at: 150, settled: 1 });
    expect(givenUp.map(({ why }) => why)).toEqual([reason, reason]);
    await kit.clock.advanceAsync(5_000);
    expect(running()).toBe(0);
    expect(kit.clock.pendingTimers()).toEqual([]);
    expect(row.endings).toEqual(['cancelled']);
  });

  it('is given up as a whole by a timeout around it, and begins anew with a retry', async () => {
    const kit = new RowKit();
    const hedge = new HedgeStrategy(hedgeOf({ delayMs: 30 }), kit.context);
    const timeout = new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 50 }), kit.context);
    const retry = new RetryStrategy(
      optionsOf(RETRY_OPTIONS, { backoff: 'fixed', baseDelayMs: 10, jitter: 0 }),
      kit.context,
    );
    const { action, begun, givenUp, running } = attempts(kit, [900, 'a'], [900, 'b'], [900, 'c'], [15, 'd']);
    const call = kit.row(retry, timeout, hedge).run(action);
    await kit.clock.advanceAsync(1_000);
    expect(begun).toEqual([0, 30, 60, 90]);
    const whyFirst = givenUp.slice(0, 2).map(({ why }) => (isDwError(why) ? why.code : why));
    expect(whyFirst).toEqual(['call-timeout', 'call-timeout']);
    expect(call).toMatchObject({ value: 'd', at: 105 });
    expect(running()).toBe(0);
  });

  it('has a timeout inside of it for each attempt', async () => {
    const kit = new RowKit();
    const hedge = new HedgeStrategy(hedgeOf({ delayMs: 30 }), kit.context);
    const timeout = new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 50 }), kit.context);
    const call = kit.row(hedge, timeout).run(attempts(kit, [900, 'a'], [900, 'b']).action);
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ state: 'failed', at: 80 });
    expect(isDwError(call.value, 'call-timeout')).toBe(true);
    expect(timeout.counters()).toMatchObject({ timeouts: 2 });
  });

  it('begins nothing for a call whose cooperative time is over', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(
      optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 50, mode: 'cooperative' }),
      kit.context,
    );
    const hedge = new HedgeStrategy(hedgeOf({ delayMs: 70, maxHedges: 5 }), kit.context);
    const call = kit.row(timeout, hedge).run(kit.taking(200, new Error('late')));
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ state: 'failed', at: 200, value: { code: 'call-timeout' } });
    expect(hedge.counters()).toMatchObject({ hedges: 0 });
  });

  it('that is changed acts on the next attempt of calls that are inside', async () => {
    const { kit, hedge, row } = kitWith({ maxHedges: 1 });
    const { action, begun } = attempts(kit, [10_000, 'slow']);
    row.run(action);
    await kit.clock.advanceAsync(50);
    hedge.configure(hedgeOf({ delayMs: 40, maxHedges: 2 }));
    await kit.clock.advanceAsync(1_000);
    expect(begun).toEqual([0, 100, 140]);
    const second = attempts(kit, [10_000, 'slow']);
    row.run(second.action);
    hedge.configure(hedgeOf({ delayMs: 40, maxHedges: 0 }));
    await kit.clock.advanceAsync(1_000);
    expect(second.begun).toHaveLength(1);
  });

  it('on a dry run counts and reports what it would begin, and begins nothing', async () => {
    const { kit, hedge, row } = kitWith({ maxHedges: 2, dryRun: true });
    const { action, begun } = attempts(kit, [500, 'slow']);
    const call = row.run(action);
    const error = new Error('fails');
    const bad = row.run(attempts(kit, [10, error]).action);
    await kit.clock.advanceAsync(500);
    expect(call).toMatchObject({ value: 'slow', at: 500 });
    expect(bad).toMatchObject({ value: error, at: 10 });
    expect(begun).toEqual([0]);
    expect(hedge.counters()).toMatchObject({ hedges: 0, wouldHedge: 3 });
    expect(kit.acted).toContain('hedge 2 of 2 begun?');
  });

  it('under any schedule runs no more than maxHedges + 1 at once, leaves nobody inside, and settles once', async () => {
    const attempt = fc.record({ ms: fc.nat({ max: 60 }), fails: fc.boolean() });
    const one = fc.record({
      plan: fc.array(attempt, { minLength: 1, maxLength: 5 }),
      cancelAt: fc.option(fc.nat({ max: 100 })),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 3 }),
        fc.nat({ max: 40 }),
        fc.option(fc.integer({ min: 1, max: 80 })),
        async (calls, maxHedges, delayMs, timeoutMs) => {
          const kit = new RowKit();
          const hedge = new HedgeStrategy(hedgeOf({ maxHedges, delayMs }), kit.context);
          const { layer, inside } = counting();
          const inner = { layer: () => layer, givesUp: false };
          const around =
            timeoutMs === null
              ? []
              : [new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs }), kit.context)];
          const row = kit.row(...around, hedge, inner);
          const begun = calls.map(({ plan, cancelAt }) => {
            const runs = attempts(
              kit,
              ...plan.map(({ ms, fails }) => [ms, fails ? new Error('fails') : 'good'] as const),
            );
            const controller = new AbortController();
            const outcome = row.run(runs.action, { signal: controller.signal });
            if (cancelAt !== null) kit.clock.setTimeout(() => controller.abort(), cancelAt);
            return { runs, outcome };
          });
          await kit.clock.advanceAsync(2_000);
          for (const { runs, outcome } of begun) {
            expect(outcome.settled).toBe(1);
            expect(runs.most()).toBeLessThanOrEqual(maxHedges + 1);
            expect(runs.begun.length).toBeLessThanOrEqual(maxHedges + 1);
          }
          expect(inside()).toBe(0);
          expect(row.endings).toHaveLength(calls.length);
          expect(kit.clock.pendingTimers()).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});
