// Values in place of errors.

import { describe, expect, it } from 'vitest';
import { circuitOpen } from '../../errors.js';
import { RowKit, STRATEGIES_FURTHER_IN, optionsOf } from '../row.test.kit.js';
import { RETRY_OPTIONS } from '../retry/retry-options.js';
import { RetryStrategy } from '../retry/retry-strategy.js';
import { TIMEOUT_OPTIONS } from '../timeout/timeout-options.js';
import { TimeoutStrategy } from '../timeout/timeout-strategy.js';
import type { FallbackOptions } from './fallback-options.js';
import { FALLBACK_OPTIONS } from './fallback-options.js';
import { FallbackStrategy } from './fallback-strategy.js';

const fallbackOf = (given: Partial<FallbackOptions>) => optionsOf(FALLBACK_OPTIONS, given);

function kitWith(given: Partial<FallbackOptions>) {
  const kit = new RowKit();
  const fallback = new FallbackStrategy(fallbackOf(given), kit.context);
  return { kit, fallback, row: kit.row(fallback, STRATEGIES_FURTHER_IN) };
}

const error = new Error('down');
const down = (): Promise<unknown> => Promise.reject(error);

describe('a fallback', () => {
  it('gives its value in place of an error, and lets values pass', async () => {
    const { kit, fallback, row } = kitWith({ value: 'instead' });
    const bad = row.run(down);
    const good = row.run(() => 'good');
    await kit.clock.advanceAsync(0);
    expect([bad.value, good.value]).toEqual(['instead', 'good']);
    expect(fallback.counters()).toMatchObject({ used: 1, failed: 0, waiting: 0 });
    expect(kit.acted).toEqual(['fallback used']);
    expect(row.endings).toEqual(['succeeded', 'succeeded']);
  });

  it('takes null, false and 0 for values', async () => {
    for (const value of [null, false, 0, '']) {
      const { kit, row } = kitWith({ value });
      const call = row.run(down);
      await kit.clock.advanceAsync(0);
      expect(call).toMatchObject({ state: 'succeeded', value });
    }
  });

  it('gives each caller a value of its own', async () => {
    const { kit, row } = kitWith({ value: { items: [] } });
    const first = row.run(down);
    await kit.clock.advanceAsync(0);
    (first.value as { items: unknown[] }).items.push('changed by its caller');
    const second = row.run(down);
    await kit.clock.advanceAsync(0);
    expect(second.value).toEqual({ items: [] });
  });

  it('without a value lets the error out, and counts it', async () => {
    const { kit, fallback, row } = kitWith({});
    const call = row.run(down);
    await kit.clock.advanceAsync(0);
    expect(call.value).toBe(error);
    expect(fallback.counters()).toMatchObject({ used: 0, without: 1 });
  });

  it('stands in for what other strategies turn away, and not for errors that it is not for', async () => {
    const { kit, row } = kitWith({ value: 'instead', handle: { codes: ['EX'] } });
    const rejected = row.run(() => Promise.reject(circuitOpen('p', '', 1)));
    const other = row.run(down);
    await kit.clock.advanceAsync(0);
    expect([rejected.value, other.value]).toEqual(['instead', error]);
  });

  it('asks the caller’s function before its own value', async () => {
    const { kit, row } = kitWith({ value: 'instead' });
    const call = row.run(down, { fallback: (thrown) => ['made from', thrown] });
    await kit.clock.advanceAsync(0);
    expect(call.value).toEqual(['made from', error]);
  });

  it('lets out what the caller’s function throws, at once or later', async () => {
    const { kit, fallback, row } = kitWith({ value: 'instead' });
    const worse = new Error('worse');
    const thrown = row.run(down, {
      fallback: () => {
        throw worse;
      },
    });
    const rejected = row.run(down, { fallback: () => Promise.reject(worse) });
    await kit.clock.advanceAsync(0);
    expect([thrown.value, rejected.value]).toEqual([worse, worse]);
    expect(fallback.counters()).toMatchObject({ used: 0, failed: 2, waiting: 0 });
  });

  it('waits for a promise of the caller’s function', async () => {
    const { kit, fallback, row } = kitWith({});
    const call = row.run(down, { fallback: kit.taking(50, 'from the copy') });
    await kit.clock.advanceAsync(49);
    expect(call.state).toBe('pending');
    expect(fallback.counters()).toMatchObject({ waiting: 1 });
    await kit.clock.advanceAsync(1);
    expect(call).toMatchObject({ state: 'succeeded', value: 'from the copy', at: 50 });
    expect(fallback.counters()).toMatchObject({ used: 1, waiting: 0 });
  });

  it('is left at once when the call is cancelled while it waits, whatever comes later', async () => {
    const { kit, fallback, row } = kitWith({});
    const controller = new AbortController();
    const call = row.run(down, { fallback: kit.taking(50, 'late'), signal: controller.signal });
    await kit.clock.advanceAsync(10);
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(100);
    expect(call).toMatchObject({ state: 'failed', value: reason, at: 10, settled: 1 });
    expect(fallback.counters()).toMatchObject({ used: 0, failed: 0, waiting: 0 });
    expect(row.endings).toEqual(['cancelled']);
  });

  it('does not take a late answer to a former attempt for that to this one', async () => {
    const kit = new RowKit();
    const fallback = new FallbackStrategy(fallbackOf({}), kit.context);
    const retry = new RetryStrategy(
      optionsOf(RETRY_OPTIONS, { backoff: 'fixed', baseDelayMs: 0, jitter: 0, budget: null }),
      kit.context,
    );
    const timeout = new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 100 }), kit.context);
    const answers = [kit.taking(150, 'late answer to the first'), kit.taking(90, 'answer to the second')];
    let asked = 0;
    const call = kit.row(retry, timeout, fallback).run(down, { fallback: () => answers[asked++]?.() });
    await kit.clock.advanceAsync(1_000);
    expect(call).toMatchObject({ value: 'answer to the second', at: 190, settled: 1 });
    expect(fallback.counters()).toMatchObject({ used: 1, waiting: 0 });
  });

  it('asks nobody for a call whose time is over', async () => {
    const kit = new RowKit();
    const fallback = new FallbackStrategy(fallbackOf({}), kit.context);
    const timeout = new TimeoutStrategy(
      optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 100, mode: 'cooperative' }),
      kit.context,
    );
    const call = kit
      .row(timeout, fallback)
      .run(kit.taking(120, error), { fallback: () => new Promise(() => {}) });
    await kit.clock.advanceAsync(120);
    expect(call).toMatchObject({ state: 'failed', at: 120, value: { code: 'call-timeout' } });
  });

  it('that is changed acts on the next error', async () => {
    const { kit, fallback, row } = kitWith({ value: 'old' });
    const call = row.run(kit.taking(10, error));
    fallback.configure(fallbackOf({ value: 'new' }));
    await kit.clock.advanceAsync(10);
    expect(call.value).toBe('new');
    fallback.configure(fallbackOf({ value: 'new', handle: { codes: [] } }));
    const after = row.run(down);
    await kit.clock.advanceAsync(0);
    expect(after.value).toBe(error);
  });

  it('on a dry run counts and reports, asks nobody, and lets the error out', async () => {
    const { kit, fallback, row } = kitWith({ value: 'instead', dryRun: true });
    let asked = false;
    const call = row.run(down, { fallback: () => (asked = true) });
    await kit.clock.advanceAsync(0);
    expect(call.value).toBe(error);
    expect(asked).toBe(false);
    expect(fallback.counters()).toMatchObject({ used: 0, wouldUse: 1 });
    expect(kit.acted).toEqual(['fallback used?']);
  });
});
