// Limits and metrics of the subsystem, on the plugin as the host runs it.

import { afterEach, describe, expect, it } from 'vitest';
import { BASE, DB, body, start, stopAll } from '../plugin.test.kit.js';

afterEach(stopAll);

describe('the limits', () => {
  it('act at once on the policies that leave a concurrency out, and on no others', async () => {
    const { host, subsystem } = await start();
    await body(host, 'PUT', `${BASE}/open`, DB);
    await body(host, 'PUT', `${BASE}/named`, {
      strategies: [{ type: 'timeout' }, { type: 'bulkhead', concurrency: 7, queue: 9 }],
    });
    const options = async (name: string, at: number) =>
      ((await body(host, 'GET', `${BASE}/${name}`)).body['strategies'] as { options: unknown }[])[at]
        ?.options;
    expect(await options('open', 0)).toMatchObject({ concurrency: 10 });
    await subsystem.reconfigureLimitsAsync({ maxConcurrentOperations: 3, maxQueueDepth: 5 });
    expect(await options('open', 0)).toMatchObject({ concurrency: 3 });
    expect(await options('named', 1)).toMatchObject({ concurrency: 7, queue: 5 });
    await subsystem.reconfigureLimitsAsync({ maxQueueDepth: 100 });
    expect(await options('named', 1)).toMatchObject({ queue: 9 });
  });

  it('bound the policies and the keys', async () => {
    const { host, service, subsystem } = await start();
    await subsystem.reconfigureLimitsAsync({ maxPolicies: 5, maxCacheEntries: 2 });
    expect((await body(host, 'PUT', `${BASE}/a`, DB)).status).toBe(200);
    expect((await body(host, 'PUT', `${BASE}/b`, DB)).body).toMatchObject({ code: 'policies-exhausted' });
    const ends: (() => void)[] = [];
    const hold = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
    const held = ['x', 'y'].map((key) => service.execute('a', hold, { key }));
    await expect(service.execute('a', () => 1, { key: 'z' })).rejects.toMatchObject({
      code: 'resilience-keys-exhausted',
    });
    for (const end of ends) end();
    await Promise.all(held);
    await subsystem.reconfigureLimitsAsync({ maxCacheEntries: 100_000, maxMemoryBytes: 2 * 1_048_576 });
    expect(subsystem.getScalingMetrics().get('keys.limit')).toBe(2_048);
    await expect(subsystem.reconfigureLimitsAsync({ maxPolicies: 0 })).rejects.toMatchObject({
      code: 'limit-out-of-range',
    });
  });
});

describe('the metrics', () => {
  it('count calls, rates, latencies and breakers, for each policy and not for each key', async () => {
    const { host, service, subsystem } = await start();
    await body(host, 'PUT', `${BASE}/db`, {
      strategies: [
        { type: 'retry', maxRetries: 1, baseDelayMs: 0 },
        { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 2 } },
        { type: 'timeout' },
      ],
    });
    for (let n = 0; n < 50; n++) await service.execute('db', () => n, { key: `k${n}` });
    const failing = service.execute('db', () => Promise.reject(new Error('no')), { key: 'ill' });
    const failed = expect(failing).rejects.toThrow('no');
    await host.advance(1);
    await failed;
    const metrics = subsystem.getScalingMetrics();
    const shown = Object.fromEntries(metrics);
    expect(shown).toMatchObject({
      totalExecutions: 51,
      successfulExecutions: 50,
      failedExecutions: 1,
      retryAttempts: 1,
      circuitBreakerTrips: 1,
      'circuitBreaker.openCount': 1,
      'circuitBreaker.closedCount': 50,
      activeCircuitBreakers: 1,
      'cache.size': 51,
      'cache.memoryBytes': 51 * 1_024,
      'backpressure.state': 'normal',
      'backpressure.queueDepth': 0,
      'policy.db.calls': 51,
      'policy.db.openCircuits': 1,
      policies: 5,
    });
    for (const name of ['p50Ms', 'p95Ms', 'p99Ms', 'successRate', 'retryRate', 'retryBudgetLeft']) {
      expect(metrics.get(`policy.db.${name}`)).toEqual(expect.any(Number));
    }
    expect([...metrics.keys()].some((name) => name.includes('k1'))).toBe(false);
    // What was counted is not forgotten with its policy.
    await body(host, 'DELETE', `${BASE}/db`);
    expect(subsystem.getScalingMetrics().get('totalExecutions')).toBe(51);
  });

  it('show how pressed the fullest bulkhead is', async () => {
    const { host, service, subsystem } = await start();
    await body(host, 'PUT', `${BASE}/db`, {
      strategies: [{ type: 'timeout' }, { type: 'bulkhead', queue: 2 }],
    });
    const controller = new AbortController();
    const calls: Promise<unknown>[] = [];
    const begin = (count: number): void => {
      for (let n = 0; n < count; n++) {
        calls.push(service.execute('db', () => new Promise(() => {}), controller.signal));
      }
    };
    const states: string[] = [];
    for (const more of [4, 1, 3, 2]) {
      begin(more);
      states.push(subsystem.currentBackpressureState);
    }
    expect(states).toEqual(['normal', 'warning', 'critical', 'shedding']);
    begin(2);
    expect(Object.fromEntries(subsystem.getScalingMetrics())).toMatchObject({
      'backpressure.queueDepth': 2,
      'bulkhead.utilization': 1,
      'policy.db.oldestWaitMs': expect.any(Number) as number,
      inFlight: 12,
    });
    await body(host, 'PUT', `${BASE}/db`, {
      strategies: [{ type: 'timeout' }, { type: 'bulkhead', dryRun: true }],
    });
    expect(subsystem.currentBackpressureState).toBe('normal');
    controller.abort(new Error('over'));
    await Promise.allSettled(calls);
    expect(subsystem.getScalingMetrics().get('inFlight')).toBe(0);
  });
});
