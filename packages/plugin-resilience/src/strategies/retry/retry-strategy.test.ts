// Calls that are tried again.

import { DwError } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callTimedOut, circuitOpen } from '../../errors.js';
import type { Outcome } from '../row.test.kit.js';
import { RowKit, STRATEGIES_FURTHER_IN, optionsOf } from '../row.test.kit.js';
import type { RetryOptions } from './retry-options.js';
import { RETRY_OPTIONS } from './retry-options.js';
import { RetryStrategy } from './retry-strategy.js';

/** Waits of exactly 100 ms and no budget, unless it is said otherwise. */
const retryOf = (given: Partial<RetryOptions> = {}): RetryOptions =>
  optionsOf(RETRY_OPTIONS, { backoff: 'fixed', baseDelayMs: 100, jitter: 0, budget: null, ...given });

function kitWith(given: Partial<RetryOptions> = {}) {
  const kit = new RowKit();
  const retry = new RetryStrategy(retryOf(given), kit.context);
  return { kit, retry, row: kit.row(retry, STRATEGIES_FURTHER_IN) };
}

/** An action that fails with each of `errors` in turn, and then gives `done`; and when it was called. */
function failing(kit: RowKit, ...errors: readonly unknown[]) {
  const calledAt: number[] = [];
  const action = (): Promise<string> => {
    const n = calledAt.push(kit.clock.now()) - 1;
    return n < errors.length ? Promise.reject(errors[n]) : Promise.resolve('done');
  };
  return { action, calledAt };
}

const errors = (count: number): Error[] => Array.from({ length: count }, (_, n) => new Error(`error ${n}`));

describe('a retry', () => {
  it('does nothing to a call that succeeds', async () => {
    const { kit, retry, row } = kitWith();
    const call = row.run(failing(kit).action);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'succeeded', value: 'done', at: 0 });
    expect(retry.counters()).toMatchObject({ calls: 1, retries: 0, recovered: 0 });
    expect(kit.acted).toEqual([]);
  });

  it('tries again after the wait, until it succeeds', async () => {
    const { kit, retry, row } = kitWith();
    const { action, calledAt } = failing(kit, ...errors(2));
    const call = row.run(action);
    await kit.clock.advanceAsync(150);
    expect(retry.counters()).toMatchObject({ waiting: 1 });
    await kit.clock.advanceAsync(1_000);
    expect(calledAt).toEqual([0, 100, 200]);
    expect(call).toMatchObject({ state: 'succeeded', value: 'done', at: 200, settled: 1 });
    expect(retry.counters()).toMatchObject({ calls: 1, retries: 2, recovered: 1, exhausted: 0, waiting: 0 });
    expect(kit.acted).toEqual(['retry 1 of 3 in 100 ms', 'retry 2 of 3 in 100 ms']);
  });

  it('makes four attempts when maxRetries is 3', async () => {
    const { kit, row } = kitWith({ maxRetries: 3 });
    const { action, calledAt } = failing(kit, ...errors(9));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toHaveLength(4);
  });

  it('does not sleep once more before it gives up, and gives the last error itself', async () => {
    const { kit, retry, row } = kitWith({ maxRetries: 2 });
    const all = errors(3);
    const call = row.run(failing(kit, ...all).action);
    await kit.clock.advanceAsync(200);
    expect(call).toMatchObject({ state: 'failed', at: 200 });
    expect(call.value).toBe(all[2]);
    expect(retry.counters()).toMatchObject({ retries: 2, exhausted: 1, recovered: 0 });
    expect(kit.clock.pendingTimers()).toEqual([]);
  });

  it('with no wait tries again at once', async () => {
    const { kit, row } = kitWith({ baseDelayMs: 0 });
    const { action, calledAt } = failing(kit, ...errors(2));
    const call = row.run(action);
    await kit.clock.advanceAsync(0);
    expect(calledAt).toEqual([0, 0, 0]);
    expect(call.state).toBe('succeeded');
  });

  it('waits longer from retry to retry, by what is drawn', async () => {
    const { kit, row } = kitWith({ backoff: 'exponential', jitter: 0.5 });
    kit.randoms = [0, 0.5, 1];
    const { action, calledAt } = failing(kit, ...errors(3));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toEqual([0, 50, 50 + 200, 50 + 200 + 600]);
  });

  it('hands the decorrelated jitter the wait before, not the one that a server asked for', async () => {
    const { kit, row } = kitWith({ backoff: 'decorrelated-jitter' });
    kit.randoms = [1];
    const hint = new DwError({ code: 'busy', message: 'busy', retryable: true, retryAfterMs: 5_000 });
    const { action, calledAt } = failing(kit, hint, new Error('again'));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toEqual([0, 5_000, 5_900]);
  });

  it('waits its time although the wall clock is stepped', async () => {
    const { kit, row } = kitWith();
    const { action, calledAt } = failing(kit, ...errors(2));
    row.run(action);
    await kit.clock.advanceAsync(50);
    kit.clock.stepWallTime(86_400_000);
    await kit.clock.advanceAsync(49);
    kit.clock.stepWallTime(-2 * 86_400_000);
    await kit.clock.advanceAsync(1_000);
    expect(calledAt).toEqual([0, 100, 200]);
  });

  it('leaves errors alone that it is not for', async () => {
    const { kit, retry, row } = kitWith();
    const final = new DwError({ code: 'refused', message: 'refused' });
    const call = row.run(failing(kit, final).action);
    await kit.clock.advanceAsync(0);
    expect(call.value).toBe(final);
    expect(retry.counters()).toMatchObject({ retries: 0, notRetried: 1, exhausted: 0 });
  });

  it('by default tries a timeout again, and not what another strategy turned away', async () => {
    const { kit, row } = kitWith();
    const timedOut = failing(kit, callTimedOut('p', '', 5));
    const refused = failing(kit, circuitOpen('p', '', 5));
    row.run(timedOut.action);
    row.run(refused.action);
    await kit.clock.advanceAsync(1_000);
    expect([timedOut.calledAt.length, refused.calledAt.length]).toEqual([2, 1]);
  });

  it('inside of another begins anew with each of its attempts', async () => {
    const kit = new RowKit();
    const outer = new RetryStrategy(retryOf({ maxRetries: 1, name: 'outer' }), kit.context);
    const inner = new RetryStrategy(retryOf({ maxRetries: 1 }), kit.context);
    const { action, calledAt } = failing(kit, ...errors(9));
    kit.row(outer, inner).run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toHaveLength(4);
  });
});

describe('what a server asks for', () => {
  const hint = (retryAfterMs: number) =>
    new DwError({ code: 'busy', message: 'busy', retryable: true, retryAfterMs });

  it('is waited for when it is longer than the backoff', async () => {
    const { kit, row } = kitWith();
    const { action, calledAt } = failing(kit, hint(700), hint(20));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toEqual([0, 700, 800]);
  });

  it('is listened to up to a bound', async () => {
    const { kit, row } = kitWith({ maxRetryAfterMs: 500 });
    const { action, calledAt } = failing(kit, hint(Number.MAX_VALUE));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toEqual([0, 500]);
  });

  it('is not listened to when so told', async () => {
    const { kit, row } = kitWith({ respectRetryAfter: false });
    const { action, calledAt } = failing(kit, hint(700));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toEqual([0, 100]);
  });

  it('as a date is counted from the wall clock, and is bounded when that is wrong', async () => {
    const { kit, row } = kitWith({ maxRetryAfterMs: 60_000 });
    const headers = { 'retry-after': new Date(kit.clock.wallTime() + 5_000).toUTCString() };
    kit.clock.stepWallTime(-86_400_000);
    const { action, calledAt } = failing(kit, Object.assign(new Error('busy'), { headers }));
    row.run(action);
    await kit.clock.advanceAsync(100_000);
    expect(calledAt).toEqual([0, 60_000]);
  });
});

describe('a call that is cancelled', () => {
  it('during backoff ends at once and frees the timer: abort is not ignored', async () => {
    const { kit, retry, row } = kitWith({ baseDelayMs: 30_000 });
    const controller = new AbortController();
    const { action, calledAt } = failing(kit, ...errors(9));
    const call = row.run(action, { signal: controller.signal });
    await kit.clock.advanceAsync(10);
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'failed', at: 10, settled: 1 });
    expect(call.value).toBe(reason);
    expect(kit.clock.pendingTimers()).toEqual([]);
    expect(retry.counters()).toMatchObject({ waiting: 0, exhausted: 0 });
    await kit.clock.advanceAsync(100_000);
    expect(calledAt).toEqual([0]);
    expect(row.endings).toEqual(['cancelled']);
  });

  it('during an attempt is not retried: a cancellation is no failure', async () => {
    const { kit, retry, row } = kitWith();
    const controller = new AbortController();
    let attempts = 0;
    const call = row.run(
      (signal) => {
        attempts++;
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      },
      { signal: controller.signal },
    );
    controller.abort();
    await kit.clock.advanceAsync(10_000);
    expect(attempts).toBe(1);
    expect(call).toMatchObject({ state: 'failed', at: 0 });
    expect(retry.counters()).toMatchObject({ retries: 0, notRetried: 0 });
  });

  it('somewhere further in, by somebody else, is not retried either', async () => {
    const { kit, retry, row } = kitWith();
    const { action, calledAt } = failing(kit, new DOMException('gone', 'AbortError'));
    row.run(action);
    await kit.clock.advanceAsync(10_000);
    expect(calledAt).toHaveLength(1);
    expect(retry.counters()).toMatchObject({ notRetried: 1 });
  });
});

describe('a retry budget', () => {
  it('that is used up lets the error out and counts it', async () => {
    const { kit, retry, row } = kitWith({ budget: { ratio: 0.5, minPerSecond: 0 } });
    const error = new Error('down');
    const calls = Array.from({ length: 10 }, () => row.run(() => Promise.reject(error)));
    await kit.clock.advanceAsync(9_000);
    expect(retry.counters()).toMatchObject({ calls: 10, retries: 5, budgetLeft: 0, waiting: 0 });
    expect(retry.counters()['budgetExhausted']).toBe(10);
    expect(calls.every((call) => call.value === error)).toBe(true);
    expect(kit.acted.filter((action) => action === 'retry budget exhausted')).toHaveLength(10);
  });

  it('is one for all keys of the policy', async () => {
    const { kit, retry, row } = kitWith({ budget: { ratio: 0, minPerSecond: 1, windowMs: 1_000 } });
    row.run(() => Promise.reject(new Error('a')), { key: 'a' });
    row.run(() => Promise.reject(new Error('b')), { key: 'b' });
    await kit.clock.advanceAsync(10);
    expect(retry.counters()).toMatchObject({ retries: 1, budgetExhausted: 1 });
  });

  it('does not notice when the wall clock is stepped', async () => {
    const { kit, retry, row } = kitWith({ budget: { ratio: 0, minPerSecond: 1, windowMs: 1_000 } });
    row.run(() => Promise.reject(new Error('a')));
    await kit.clock.advanceAsync(10);
    kit.clock.stepWallTime(86_400_000);
    row.run(() => Promise.reject(new Error('b')));
    await kit.clock.advanceAsync(10);
    expect(retry.counters()).toMatchObject({ retries: 1, budgetExhausted: 1 });
  });

  it('that is switched off is shown as none', () => {
    expect(kitWith({ budget: false }).retry.counters()).toMatchObject({ budgetLeft: -1 });
  });

  it('is never exceeded whatever calls do, and every call settles once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ waitMs: fc.nat({ max: 300 }), failures: fc.nat({ max: 6 }) }), {
          minLength: 1,
          maxLength: 25,
        }),
        fc.constantFrom(0, 0.2, 0.5, 1),
        fc.constantFrom(0, 2),
        fc.integer({ min: 0, max: 5 }),
        async (calls, ratio, minPerSecond, maxRetries) => {
          const { kit, row } = kitWith({
            maxRetries,
            baseDelayMs: 40,
            budget: { ratio, minPerSecond, windowMs: 1_000 },
          });
          const first: number[] = [];
          const again: number[] = [];
          const outcomes: Outcome[] = [];
          for (const { waitMs, failures } of calls) {
            await kit.clock.advanceAsync(waitMs);
            let attempts = 0;
            const action = (): Promise<string> => {
              (attempts === 0 ? first : again).push(kit.clock.now());
              return attempts++ < failures ? Promise.reject(new Error('no')) : Promise.resolve('yes');
            };
            outcomes.push(row.run(action));
          }
          await kit.clock.advanceAsync(5_000);
          expect(outcomes.every(({ settled }) => settled === 1)).toBe(true);
          // A retry is charged when it is decided on, one wait before it is made.
          const within = (times: readonly number[], until: number) =>
            times.filter((at) => at > until - 1_000 && at <= until).length;
          for (const at of again.map((made) => made - 40)) {
            const charged = within(
              again.map((made) => made - 40),
              at,
            );
            expect(charged).toBeLessThanOrEqual(ratio * within(first, at) + minPerSecond + 1e-6);
          }
          expect(kit.clock.pendingTimers()).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('a retry that is changed', () => {
  it('acts on the next decision about calls that are inside, and lets who waits wait out its time', async () => {
    const { kit, retry, row } = kitWith({ maxRetries: 1 });
    const { action, calledAt } = failing(kit, ...errors(9));
    row.run(action);
    await kit.clock.advanceAsync(50);
    retry.configure(retryOf({ maxRetries: 2, baseDelayMs: 300 }));
    await kit.clock.advanceAsync(1_000);
    expect(calledAt).toEqual([0, 100, 400]);
  });

  it('keeps what its budget has seen', async () => {
    const budget = { ratio: 0, minPerSecond: 1, windowMs: 1_000 };
    const { kit, retry, row } = kitWith({ budget });
    row.run(() => Promise.reject(new Error('a')));
    await kit.clock.advanceAsync(10);
    retry.configure(retryOf({ budget, maxRetries: 9, handle: { rejections: [] } }));
    row.run(() => Promise.reject(new Error('b')));
    await kit.clock.advanceAsync(10);
    expect(retry.counters()).toMatchObject({ retries: 1, budgetExhausted: 1 });
  });
});

describe('a retry on a dry run', () => {
  it('counts and reports what it would try again, and lets the error out', async () => {
    const { kit, retry, row } = kitWith({ dryRun: true });
    const error = new Error('down');
    const { action, calledAt } = failing(kit, error);
    const call = row.run(action);
    await kit.clock.advanceAsync(1_000);
    expect(call.value).toBe(error);
    expect(calledAt).toHaveLength(1);
    expect(retry.counters()).toMatchObject({ retries: 0, wouldRetry: 1 });
    expect(kit.acted).toEqual(['retry 1 of 3?']);
  });
});
