// Trouble that is made on purpose.

import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { RowKit, optionsOf } from '../row.test.kit.js';
import { RETRY_OPTIONS } from '../retry/retry-options.js';
import { RetryStrategy } from '../retry/retry-strategy.js';
import type { ChaosOptions } from './chaos-options.js';
import { CHAOS_OPTIONS } from './chaos-options.js';
import { ChaosStrategy } from './chaos-strategy.js';

const chaosOf = (given: Partial<ChaosOptions>) => optionsOf(CHAOS_OPTIONS, { enabled: true, ...given });

function kitWith(given: Partial<ChaosOptions>) {
  const kit = new RowKit();
  const chaos = new ChaosStrategy(chaosOf(given), kit.context);
  return { kit, chaos, row: kit.row(chaos) };
}

describe('chaos', () => {
  it('does nothing unless it is enabled, and draws nothing', async () => {
    const { kit, chaos, row } = kitWith({
      enabled: false,
      faultRate: 1,
      latencyRate: 1,
      latencyMinMs: 100,
      resultRate: 1,
    });
    kit.randoms = [0.1, 0.9];
    const call = row.run(() => 'unharmed');
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ value: 'unharmed', at: 0 });
    expect(kit.randoms).toEqual([0.1, 0.9]);
    expect(chaos.counters()).toEqual({ faults: 0, delays: 0, results: 0, wouldInject: 0, waiting: 0 });
  });

  it('is off by default', () => {
    expect(optionsOf(CHAOS_OPTIONS)).toMatchObject({ enabled: false, faultRate: 0, latencyRate: 0 });
  });

  it('makes calls fail in place of the action', async () => {
    const { kit, chaos, row } = kitWith({ faultRate: 0.3 });
    kit.randoms = [0.29, 0.3];
    let called = 0;
    const action = (): number => ++called;
    const [bad, good] = [row.run(action), row.run(action)];
    await kit.clock.advanceAsync(0);
    expect(isDwError(bad.value, 'chaos-injected')).toBe(true);
    expect(good.value).toBe(1);
    expect(chaos.counters()).toMatchObject({ faults: 1 });
    expect(kit.acted).toEqual(['fault injected']);
  });

  it('makes calls slow, by a time between the two bounds', async () => {
    const { kit, chaos, row } = kitWith({ latencyRate: 1, latencyMinMs: 100, latencyMaxMs: 300 });
    kit.randoms = [0, 0.25];
    const call = row.run(() => 'slow');
    await kit.clock.advanceAsync(149);
    expect(call.state).toBe('pending');
    expect(chaos.counters()).toMatchObject({ delays: 1, waiting: 1 });
    await kit.clock.advanceAsync(1);
    expect(call).toMatchObject({ value: 'slow', at: 150 });
    expect(chaos.counters()).toMatchObject({ waiting: 0 });
    expect(kit.acted).toEqual(['150 ms of latency injected']);
  });

  it('takes the shortest wait when the longest is shorter', async () => {
    const { kit, row } = kitWith({ latencyRate: 1, latencyMinMs: 100, latencyMaxMs: 0 });
    kit.randoms = [0.9];
    const call = row.run(() => 'slow');
    await kit.clock.advanceAsync(1_000);
    expect(call.at).toBe(100);
  });

  it('answers in place of the action, each caller with a result of its own', async () => {
    const { kit, chaos, row } = kitWith({ resultRate: 1, result: { rows: [] } });
    const first = row.run(() => 'never');
    await kit.clock.advanceAsync(0);
    (first.value as { rows: unknown[] }).rows.push('changed');
    const second = row.run(() => 'never');
    await kit.clock.advanceAsync(0);
    expect(second.value).toEqual({ rows: [] });
    expect(chaos.counters()).toMatchObject({ results: 2 });
  });

  it('makes a call slow and then fail', async () => {
    const { kit, row } = kitWith({ latencyRate: 1, latencyMinMs: 50, faultRate: 1 });
    const call = row.run(() => 'never');
    await kit.clock.advanceAsync(50);
    expect(isDwError(call.value, 'chaos-injected')).toBe(true);
    expect(call.at).toBe(50);
    expect(kit.acted).toEqual(['50 ms of latency injected, fault injected']);
  });

  it('is the same for the same random numbers', async () => {
    const runs: unknown[] = [];
    for (let run = 0; run < 2; run++) {
      const { kit, row } = kitWith({ latencyRate: 0.5, latencyMaxMs: 100, faultRate: 0.4, resultRate: 0.5 });
      let seed = 7;
      kit.randoms = Array.from(
        { length: 200 },
        () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
      );
      const calls = Array.from({ length: 20 }, () => row.run(() => 'unharmed'));
      await kit.clock.advanceAsync(200);
      runs.push(calls.map(({ state, at }) => `${state}@${at}`));
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(new Set(runs[0] as string[]).size).toBeGreaterThan(5);
  });

  it('lets go of a call that is cancelled while it is made slow', async () => {
    const { kit, chaos, row } = kitWith({ latencyRate: 1, latencyMinMs: 1_000 });
    const controller = new AbortController();
    const call = row.run(() => 'never', { signal: controller.signal });
    await kit.clock.advanceAsync(10);
    const reason = new Error('not wanted');
    controller.abort(reason);
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ state: 'failed', value: reason, at: 10 });
    expect(kit.clock.pendingTimers()).toEqual([]);
    expect(chaos.counters()).toMatchObject({ waiting: 0 });
  });

  it('is tried again by a retry around it', async () => {
    const kit = new RowKit();
    const chaos = new ChaosStrategy(chaosOf({ faultRate: 0.5 }), kit.context);
    const retry = new RetryStrategy(
      optionsOf(RETRY_OPTIONS, { backoff: 'fixed', baseDelayMs: 10, jitter: 0 }),
      kit.context,
    );
    kit.randoms = [0, 0, 0.9];
    const call = kit.row(retry, chaos).run(() => 'at last');
    await kit.clock.advanceAsync(100);
    expect(call).toMatchObject({ value: 'at last', at: 20 });
  });

  it('that is switched off leaves the next call alone', async () => {
    const { kit, chaos, row } = kitWith({ faultRate: 1 });
    chaos.configure(chaosOf({ faultRate: 1, enabled: false }));
    const call = row.run(() => 'unharmed');
    await kit.clock.advanceAsync(0);
    expect(call.value).toBe('unharmed');
  });

  it('on a dry run counts and reports what it would do, and does nothing', async () => {
    const { kit, chaos, row } = kitWith({ latencyRate: 1, latencyMinMs: 50, faultRate: 1, dryRun: true });
    const call = row.run(() => 'unharmed');
    await kit.clock.advanceAsync(0);
    expect(call).toMatchObject({ value: 'unharmed', at: 0 });
    expect(chaos.counters()).toEqual({ faults: 0, delays: 0, results: 0, wouldInject: 1, waiting: 0 });
    expect(kit.acted).toEqual(['50 ms of latency injected, fault injected?']);
  });
});
