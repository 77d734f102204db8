// Calls that take too long.

import { isDwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RowKit, optionsOf } from '../row.test.kit.js';
import { RETRY_OPTIONS } from '../retry/retry-options.js';
import { RetryStrategy } from '../retry/retry-strategy.js';
import type { TimeoutOptions } from './timeout-options.js';
import { TIMEOUT_OPTIONS } from './timeout-options.js';
import { TimeoutStrategy } from './timeout-strategy.js';

const timeoutOf = (given: Partial<TimeoutOptions> = {}) => optionsOf(TIMEOUT_OPTIONS, given);

function kitWith(given: Partial<TimeoutOptions>) {
  const kit = new RowKit();
  const timeout = new TimeoutStrategy(timeoutOf(given), kit.context);
  return { kit, timeout, row: kit.row(timeout) };
}

/** A retry that waits `delayMs` each time. */
function retryOf(kit: RowKit, maxRetries: number, delayMs: number): RetryStrategy {
  return new RetryStrategy(
    optionsOf(RETRY_OPTIONS, { maxRetries, backoff: 'fixed', baseDelayMs: delayMs, jitter: 0, budget: null }),
    kit.context,
  );
}

/** An action that rejects with its signal's reason when it is told, `afterMs` later. */
function obedient(kit: RowKit, afterMs: number, told: unknown[] = []) {
  return (signal: AbortSignal): Promise<string> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        told.push(signal.reason);
        kit.clock.setTimeout(() => reject(signal.reason as Error), afterMs);
      });
    });
}

describe('an aggressive timeout', () => {
  it('answers at the very time, not before, and tells the action', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100 });
    const told: unknown[] = [];
    const call = row.run(obedient(kit, 1_000, told), { key: 'eu' });
    await kit.clock.advanceAsync(99);
    expect(call.state).toBe('pending');
    await kit.clock.advanceAsync(1);
    expect(call).toMatchObject({ state: 'failed', at: 100, settled: 1 });
    expect(isDwError(call.value, 'call-timeout')).toBe(true);
    expect(told).toEqual([call.value]);
    expect(timeout.counters()).toMatchObject({ timeouts: 1, told: 0, wouldTimeOut: 0 });
    expect(kit.acted).toEqual(['timed out after 100 ms']);
    expect(row.endings).toEqual(['failed']);
    await kit.clock.advanceAsync(2_000);
    expect(call.settled).toBe(1);
  });

  it('lets what ends in time pass as it is, and holds nothing afterwards', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100 });
    const error = new Error('of the action');
    const good = row.run(kit.taking(99, 'good'));
    const bad = row.run(kit.taking(50, error));
    await kit.clock.advanceAsync(99);
    expect(good).toMatchObject({ state: 'succeeded', value: 'good', at: 99 });
    expect(bad.value).toBe(error);
    await kit.clock.advanceAsync(1);
    expect(kit.clock.pendingTimers()).toEqual([]);
    expect(timeout.counters()).toMatchObject({ timeouts: 0 });
  });

  it('is freed when the call is cancelled, which is no failure', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100 });
    const controller = new AbortController();
    const call = row.run(() => new Promise(() => {}), { signal: controller.signal });
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'failed', value: reason, at: 0 });
    await kit.clock.advanceAsync(1_000);
    expect(timeout.counters()).toMatchObject({ timeouts: 0 });
    expect(row.endings).toEqual(['cancelled']);
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('inside of a retry limits each attempt', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(timeoutOf({ timeoutMs: 100 }), kit.context);
    let attempts = 0;
    const call = kit
      .row(retryOf(kit, 2, 50), timeout)
      .run(() => (++attempts < 3 ? new Promise(() => {}) : kit.taking(10, 'third')()));
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ state: 'succeeded', value: 'third', at: 100 + 50 + 100 + 50 + 10 });
    expect(timeout.counters()).toMatchObject({ timeouts: 2 });
  });

  it('outside of a retry limits all attempts together, a backoff too, whose timer goes', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(timeoutOf({ timeoutMs: 100 }), kit.context);
    const call = kit.row(timeout, retryOf(kit, 10, 5_000)).run(() => Promise.reject(new Error('no')));
    await kit.clock.advanceAsync(100);
    expect(call).toMatchObject({ state: 'failed', at: 100 });
    expect(isDwError(call.value, 'call-timeout')).toBe(true);
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('keeps for a call the time that it came in with, and gives later ones another', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100 });
    const first = row.run(() => new Promise(() => {}));
    await kit.clock.advanceAsync(10);
    timeout.configure(timeoutOf({ timeoutMs: 20 }));
    const second = row.run(() => new Promise(() => {}));
    await kit.clock.advanceAsync(500);
    expect([first.at, second.at]).toEqual([100, 30]);
  });

  it('does not notice when the wall clock is stepped', async () => {
    const { kit, row } = kitWith({ timeoutMs: 100 });
    const call = row.run(() => new Promise(() => {}));
    kit.clock.stepWallTime(3_600_000);
    await kit.clock.advanceAsync(99);
    expect(call.state).toBe('pending');
    kit.clock.stepWallTime(-7_200_000);
    await kit.clock.advanceAsync(1);
    expect(call.at).toBe(100);
  });
});

describe('a cooperative timeout', () => {
  it('tells the action, waits for it, and gives the timeout in place of its error', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100, mode: 'cooperative' });
    const told: unknown[] = [];
    const call = row.run(obedient(kit, 30, told));
    await kit.clock.advanceAsync(129);
    expect(call.state).toBe('pending');
    expect(told).toHaveLength(1);
    await kit.clock.advanceAsync(1);
    expect(call).toMatchObject({ state: 'failed', at: 130 });
    expect(isDwError(call.value, 'call-timeout')).toBe(true);
    expect(timeout.counters()).toMatchObject({ timeouts: 1, told: 1, lateSuccesses: 0 });
  });

  it('lets a late success pass', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100, mode: 'cooperative' });
    const call = row.run(kit.taking(150, 'late'));
    await kit.clock.advanceAsync(150);
    expect(call).toMatchObject({ state: 'succeeded', value: 'late', at: 150 });
    expect(timeout.counters()).toMatchObject({ timeouts: 1, lateSuccesses: 1 });
  });

  it('is as the aggressive one for a call that waits further in, where nobody can be told', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(timeoutOf({ timeoutMs: 100, mode: 'cooperative' }), kit.context);
    const call = kit.row(timeout, retryOf(kit, 3, 1_000)).run(() => Promise.reject(new Error('no')));
    await kit.clock.advanceAsync(100);
    expect(call).toMatchObject({ state: 'failed', at: 100 });
    expect(timeout.counters()).toMatchObject({ timeouts: 1, told: 0 });
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('that has passed lets no retry inside of it begin again', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(timeoutOf({ timeoutMs: 100, mode: 'cooperative' }), kit.context);
    let attempts = 0;
    const act = obedient(kit, 10);
    const call = kit.row(timeout, retryOf(kit, 3, 1_000)).run((signal) => {
      attempts++;
      return act(signal);
    });
    await kit.clock.advanceAsync(10_000);
    expect(attempts).toBe(1);
    expect(call).toMatchObject({ state: 'failed', at: 110 });
  });

  it('of one attempt lets the retry outside of it begin the next', async () => {
    const kit = new RowKit();
    const timeout = new TimeoutStrategy(timeoutOf({ timeoutMs: 100, mode: 'cooperative' }), kit.context);
    let attempts = 0;
    const act = obedient(kit, 10);
    const call = kit
      .row(retryOf(kit, 1, 20), timeout)
      .run((signal) => (++attempts === 1 ? act(signal) : 'second'));
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ state: 'succeeded', value: 'second', at: 130 });
  });

  it('is freed when the call is cancelled after the action was told', async () => {
    const { kit, row } = kitWith({ timeoutMs: 100, mode: 'cooperative' });
    const controller = new AbortController();
    const call = row.run((_signal) => new Promise(() => {}), { signal: controller.signal });
    await kit.clock.advanceAsync(150);
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'failed', value: reason, at: 150 });
    expect(kit.clock.pendingTimers()).toEqual([]);
  });
});

describe('a timeout on a dry run', () => {
  it('counts and reports calls whose time would be over, and lets them go on', async () => {
    const { kit, timeout, row } = kitWith({ timeoutMs: 100, dryRun: true });
    const call = row.run(kit.taking(500, 'slow'));
    await kit.clock.advanceAsync(500);
    expect(call).toMatchObject({ state: 'succeeded', value: 'slow', at: 500 });
    expect(timeout.counters()).toMatchObject({ timeouts: 0, wouldTimeOut: 1 });
    expect(kit.acted).toEqual(['timed out after 100 ms?']);
  });
});

describe('a timeout around a retry and each attempt', () => {
  it('holds in total under any schedule, and every call settles once', async () => {
    const attempt = fc.record({ ms: fc.integer({ min: 0, max: 80 }), fails: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(attempt, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 150 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 0, max: 40 }),
        async (calls, totalMs, eachMs, delayMs) => {
          const kit = new RowKit();
          const total = new TimeoutStrategy(timeoutOf({ timeoutMs: totalMs }), kit.context);
          const each = new TimeoutStrategy(timeoutOf({ timeoutMs: eachMs, name: 'each' }), kit.context);
          const row = kit.row(total, retryOf(kit, 4, delayMs), each);
          const outcomes: { began: number; outcome: ReturnType<typeof row.run> }[] = [];
          for (const attempts of calls) {
            let n = 0;
            const outcome = row.run(() => {
              const { ms, fails } = attempts[n++ % attempts.length] as { ms: number; fails: boolean };
              return kit.taking(ms, fails ? new Error('failed') : 'good')();
            });
            outcomes.push({ began: kit.clock.now(), outcome });
            await kit.clock.advanceAsync(7);
          }
          await kit.clock.advanceAsync(1_000);
          for (const { began, outcome } of outcomes) {
            expect(outcome.settled).toBe(1);
            expect((outcome.at ?? Infinity) - began).toBeLessThanOrEqual(totalMs);
          }
          expect(row.endings).toHaveLength(calls.length);
          expect(kit.clock.pendingTimers()).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });
});
