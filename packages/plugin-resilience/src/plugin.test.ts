// The plugin in a context like the host's: manifest, life, policies from everywhere, routes, limits that act, bus topics.

import { readFileSync } from 'node:fs';
import type { PluginManifest } from '@datawarehouse/sdk';
import {
  CircuitBreakerStateChanged,
  MemoryBackingStore,
  PEER_TRANSPORT,
  RESILIENCE,
  ResilienceAdapted,
  ResiliencePolicySet,
  sdkCompatibilityOf,
} from '@datawarehouse/sdk';
import type { TestHost, TestHostOptions } from '@datawarehouse/sdk/testing';
import { createTestHost } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { plugin as Plugin } from './index.js';
import { RESILIENCE_LIMITS } from './scaling/resilience-limits.js';

const { version, datawarehouse: manifest } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; datawarehouse: PluginManifest };

const BASE = '/v1/resilience/policies';
const DB = { strategies: [{ type: 'bulkhead' }, { type: 'circuit-breaker' }, { type: 'timeout' }] };
const open: TestHost[] = [];

async function start(options: TestHostOptions = {}) {
  const host = await createTestHost(Plugin, { manifest, ...options });
  open.push(host);
  const service = host.service(RESILIENCE);
  if (service === undefined) throw new Error('it provides no service');
  const subsystem = host.subsystems.get('resilience');
  if (subsystem === undefined) throw new Error('it has no subsystem');
  return { host, service, subsystem, plugin: host.plugin as InstanceType<typeof Plugin> };
}

async function body(host: TestHost, method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, sent?: unknown) {
  const response = await host.request(method, path, sent === undefined ? {} : { body: sent });
  return { status: response.status, body: response.body as Record<string, unknown> };
}

afterEach(async () => {
  for (const host of open.splice(0)) {
    await host.stop();
    host.assertNoFailures();
    host.assertNoLeaks();
  }
});

describe('the manifest', () => {
  it('says what the code does', () => {
    const instance = new Plugin();
    expect(manifest.id).toBe(instance.id);
    expect(version).toBe(instance.version);
    expect(manifest.limits).toEqual(RESILIENCE_LIMITS);
    expect(manifest.provides).toEqual([RESILIENCE.id]);
    expect(manifest.optional).toEqual([PEER_TRANSPORT.id]);
    expect(sdkCompatibilityOf(Plugin)).toBe('1.0.0');
    expect(instance.infrastructureDomain).toBe('Resilience');
  });
});

describe('the plugin', () => {
  it('runs actions under policies by name, for plugins and by its own methods', async () => {
    const { service, plugin } = await start();
    await expect(service.execute('default', async () => 1)).resolves.toBe(1);
    await expect(plugin.executeWithResilienceAsync(async () => 2, 'fail-fast')).resolves.toBe(2);
    await expect(plugin.executeWithResilienceAsync(async () => 2, 'none')).rejects.toMatchObject({
      code: 'policy-unknown',
    });
    await expect(plugin.getResilienceHealthAsync()).resolves.toMatchObject({
      totalPolicies: 4,
      activeCircuitBreakers: 0,
      policyStates: { default: { circuit: 'closed' } },
    });
  });

  it('takes no call before it runs and after it has stopped', async () => {
    const plugin = new Plugin();
    await expect(plugin.getResilienceHealthAsync()).rejects.toMatchObject({ code: 'resilience-not-running' });
  });

  it('that stops waits for calls under way, and leaves none that waits for ever', async () => {
    const { host, service } = await start();
    const code = (result: Promise<unknown>): Promise<unknown> =>
      result.then(
        (value) => value,
        (error: { code?: unknown }) => error.code,
      );
    let end: (value: string) => void = () => {};
    const first = code(service.execute('default', () => new Promise<string>((resolve) => (end = resolve))));
    const stopping = host.stop();
    expect(await code(service.execute('default', () => 1))).toBe('resilience-stopping');
    end('done');
    expect(await first).toBe('done');
    await stopping;
    const other = await start({ stepTimeoutMs: 10 });
    const hanging = code(other.service.execute('default', () => new Promise(() => {})));
    const backingOff = code(
      other.service.execute('default', () =>
        Promise.reject(Object.assign(new Error('x'), { retryable: true })),
      ),
    );
    await expect(other.host.stop()).rejects.toMatchObject({ code: 'plugin-step-timeout' });
    expect(await Promise.all([hanging, backingOff])).toEqual(['resilience-stopped', 'resilience-stopped']);
  });

  it('takes the policies of the configuration over those that ship', async () => {
    const policies = [{ name: 'default', strategies: [{ type: 'timeout', timeoutMs: 7 }] }];
    const { host } = await start({ config: { policies } });
    const shown = await body(host, 'GET', `${BASE}/default`);
    expect(shown.body).toMatchObject({
      source: 'configured',
      setBy: 'configuration',
      strategies: [{ name: 'timeout', options: { timeoutMs: 7, mode: 'aggressive' } }],
    });
  });

  it('does not start with a policy in its configuration that cannot work', async () => {
    const policies = [{ name: 'bad', strategies: [{ type: 'timeout', timeoutMs: -1 }] }];
    await expect(createTestHost(Plugin, { manifest, config: { policies } })).rejects.toMatchObject({
      code: 'policy-invalid',
      message: expect.stringContaining('strategies[0].timeoutMs') as string,
    });
  });

  it('has what was set at run time again after a restart, and is degraded by what it cannot use', async () => {
    const store = new MemoryBackingStore();
    const first = await start({ store });
    await body(first.host, 'PUT', `${BASE}/db`, DB);
    await first.host.stop();
    const second = await start({ store });
    expect((await body(second.host, 'GET', `${BASE}/db`)).body).toMatchObject({ source: 'run-time' });
    expect(second.plugin.checkHealthAsync()).toEqual({ status: 'healthy' });
    await second.host.stop();
    await store.writeAsync(
      'dw://plugins/com.datawarehouse.resilience.ultimate/policies/db',
      Buffer.from('?'),
    );
    const third = await start({ store });
    expect(third.plugin.checkHealthAsync()).toEqual({
      status: 'degraded',
      message: 'policies that were set cannot be used: db',
    });
    expect((await body(third.host, 'GET', BASE)).body['unusable']).toHaveProperty('db');
  });
});

describe('the policies over HTTP', () => {
  it('are set with warnings, listed, shown, and removed', async () => {
    const { host, service } = await start();
    const put = await body(host, 'PUT', `${BASE}/db`, { strategies: [{ type: 'retry' }] });
    expect(put).toMatchObject({
      status: 200,
      body: {
        policy: 'db',
        change: 'added',
        source: 'run-time',
        document: { name: 'db', strategies: [{ type: 'retry', maxRetries: 3 }] },
        warnings: [{ rule: 'time-unbounded', severity: 'warning' }],
      },
    });
    expect((await body(host, 'PUT', `${BASE}/db`, DB)).body).toMatchObject({
      change: 'replaced',
      warnings: [],
    });
    await service.execute('db', () => 1, { key: 'shard-1' });
    const listed = (await body(host, 'GET', BASE)).body['policies'] as Record<string, unknown>[];
    expect(listed.find(({ name }) => name === 'db')).toEqual({
      name: 'db',
      source: 'run-time',
      strategies: ['bulkhead', 'circuit-breaker', 'timeout'],
      circuit: 'closed',
      keys: 1,
      inFlight: 0,
      calls: 1,
      failures: 0,
      rejections: 0,
      retries: 0,
      p99Ms: expect.any(Number) as number,
    });
    expect((await body(host, 'GET', `${BASE}/db`)).body).toMatchObject({
      name: 'db',
      setBy: 'http',
      setAt: '2024-01-01T00:00:00.000Z',
      keyCount: 1,
      keys: [{ key: 'shard-1', layers: [{}, { type: 'circuit-breaker', state: { state: 'closed' } }, {}] }],
      findings: [],
    });
    expect((await body(host, 'DELETE', `${BASE}/db`)).body).toMatchObject({
      change: 'removed',
      document: null,
    });
    expect((await body(host, 'GET', `${BASE}/db`)).body).toMatchObject({
      code: 'policy-unknown',
      status: 404,
    });
    expect((await body(host, 'DELETE', `${BASE}/default`)).body).toMatchObject({
      code: 'policy-not-removable',
      status: 409,
    });
  });

  it('are refused with all that is wrong with them, and nothing has changed', async () => {
    const { host } = await start();
    const bad = { strategies: [{ type: 'retry', maxRetries: -1 }, { type: 'nothing' }] };
    const refused = await body(host, 'PUT', `${BASE}/default`, bad);
    expect(refused.status).toBe(422);
    expect(refused.body['code']).toBe('policy-invalid');
    expect((refused.body['details'] as { problems: string[] }).problems).toEqual([
      'strategies[0].maxRetries must be a whole number from 0 to 1000, not -1',
      expect.stringMatching(/^strategies\[1\].type must be one of .*, not "nothing"$/) as string,
    ]);
    expect((await body(host, 'GET', `${BASE}/default`)).body).toMatchObject({ source: 'shipped' });
    expect((await body(host, 'PUT', `${BASE}/db`, { ...DB, name: 'other' })).body).toMatchObject({
      code: 'policy-name-mismatch',
      status: 422,
    });
  });

  it('explain themselves', async () => {
    const { host } = await start();
    expect((await body(host, 'GET', `${BASE}/default/explain`)).body).toMatchObject({
      policy: 'default',
      attempts: 3,
      timeMs: 35_000,
      strategies: [{ name: 'total' }, { type: 'retry' }, { type: 'circuit-breaker' }, { name: 'timeout' }],
    });
  });

  it('are checked and explained before they are set, and nothing has changed', async () => {
    const { host } = await start();
    const before = (await body(host, 'GET', BASE)).body;
    const checked = await body(host, 'POST', '/v1/resilience/explain', { ...DB, name: 'db' });
    expect(checked).toMatchObject({ status: 200, body: { policy: 'db', attempts: 1, timeMs: 30_000 } });
    const bad = await body(host, 'POST', '/v1/resilience/explain', { name: 'db' });
    expect(bad.body).toMatchObject({ code: 'policy-invalid', status: 422 });
    expect((await body(host, 'GET', BASE)).body).toEqual(before);
  });

  it('have breakers that are opened and closed by hand, with the reason kept and the log told', async () => {
    const { host, service } = await start();
    const order = { key: 'a', reason: 'a test' };
    expect((await body(host, 'POST', `${BASE}/default/isolate`, order)).body).toEqual({
      policy: 'default',
      key: 'a',
      circuit: 'open',
    });
    await expect(service.execute('default', () => 1, { key: 'a' })).rejects.toMatchObject({
      code: 'circuit-isolated',
    });
    const { body: shown } = await body(host, 'GET', `${BASE}/default?key=a`);
    expect(JSON.stringify(shown['keys'])).toContain('"reason":"a test"');
    expect((await body(host, 'POST', `${BASE}/default/reset`, { key: 'a' })).body).toMatchObject({
      circuit: 'closed',
    });
    await expect(service.execute('default', () => 1, { key: 'a' })).resolves.toBe(1);
    expect(host.logs.filter(({ fields }) => fields['by'] === 'http').map(({ message }) => message)).toEqual([
      'policy default: isolate by http: a test',
      'policy default: reset by http: by hand',
    ]);
  });
});

describe('what is isolated by hand', () => {
  it('is isolated after a restart, too, until its policy goes for good', async () => {
    const store = new MemoryBackingStore();
    const first = await start({ store });
    await body(first.host, 'PUT', `${BASE}/db`, DB);
    await body(first.host, 'POST', `${BASE}/db/isolate`, {});
    await first.host.stop();
    const second = await start({ store });
    await expect(second.service.execute('db', () => 1, { key: 'new' })).rejects.toMatchObject({
      code: 'circuit-isolated',
    });
    await body(second.host, 'DELETE', `${BASE}/db`);
    await second.host.stop();
    const third = await start({ store });
    await body(third.host, 'PUT', `${BASE}/db`, DB);
    await expect(third.service.execute('db', () => 1)).resolves.toBe(1);
    expect(await store.listAsync('dw://plugins/com.datawarehouse.resilience.ultimate/isolations')).toEqual(
      [],
    );
  });
});

describe('the policies on the bus', () => {
  it('are set and removed, and the log says by whom', async () => {
    const { host } = await start();
    const set = host.bus.send(ResiliencePolicySet, {
      document: { name: 'db', strategies: [{ type: 'retry' }] },
    });
    await host.advance();
    await expect(set).resolves.toMatchObject({
      policy: 'db',
      change: 'added',
      warnings: [expect.stringContaining('nothing bounds the time') as string],
    });
    expect(host.logs.some(({ message }) => message === 'policy db was added by bus:test')).toBe(true);
    const removed = host.bus.send(ResiliencePolicySet, { remove: 'db' });
    await host.advance();
    await expect(removed).resolves.toMatchObject({ change: 'removed' });
    const neither = host.bus.send(ResiliencePolicySet, {});
    const refused = expect(neither).rejects.toMatchObject({ code: 'policy-set-invalid' });
    await host.advance();
    await refused;
  });

  it('tell of breakers that change', async () => {
    const { host } = await start();
    const heard: unknown[] = [];
    host.bus.subscribe(CircuitBreakerStateChanged, ({ payload }) => void heard.push(payload));
    await body(host, 'POST', `${BASE}/default/isolate`, { key: 'a', reason: 'a test' });
    await host.advance();
    expect(heard).toMatchObject([
      {
        policy: 'default',
        key: 'a',
        previousState: 'closed',
        newState: 'isolated',
        reason: 'a test',
        source: 'operator',
        nodeId: 'n1',
      },
    ]);
  });

  it('are logged when they change, as many a second as the limit allows', async () => {
    const { host, subsystem } = await start();
    await subsystem.reconfigureLimitsAsync({ maxReportedEvents: 1 });
    for (const key of ['a', 'b', 'c']) await body(host, 'POST', `${BASE}/default/isolate`, { key });
    await host.advance(1_000);
    await body(host, 'POST', `${BASE}/default/reset`, { key: 'a' });
    await host.advance();
    const told = host.logs.filter(({ fields }) => fields['kind'] === 'circuit-changed' || 'untold' in fields);
    expect(told.map(({ message }) => message)).toEqual([
      'default for a: circuit-breaker went from closed to isolated: by hand',
      '2 changes in resilience policies were not logged',
      'default for a: circuit-breaker went from isolated to closed: by hand',
    ]);
    expect(subsystem.getScalingMetrics().get('events.untold')).toBe(2);
  });
});

describe('policies that adapt', () => {
  const strategies = [
    { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 10 } },
    { type: 'timeout' },
  ];
  const failuresOf = async (host: TestHost, name: string): Promise<unknown> =>
    ((await body(host, 'GET', `${BASE}/${name}`)).body['strategies'] as { options: { window: unknown } }[])[0]
      ?.options.window;

  it('move their thresholds when their document says so, show it, log it and tell the bus; others do not', async () => {
    const { host, service, subsystem } = await start();
    const told: unknown[] = [];
    host.bus.subscribe(ResilienceAdapted, ({ payload }) => void told.push(payload));
    await body(host, 'PUT', `${BASE}/moves`, { strategies, adaptive: { intervalMs: 1_000, minSamples: 5 } });
    await body(host, 'PUT', `${BASE}/stays`, { strategies });
    for (let round = 0; round < 6; round++) {
      for (const name of ['moves', 'stays']) {
        for (let n = 0; n < 20; n++) await service.execute(name, async () => n);
      }
      await host.advance(1_000);
    }
    expect(await failuresOf(host, 'stays')).toMatchObject({ failures: 10 });
    expect(((await failuresOf(host, 'moves')) as { failures: number }).failures).toBeGreaterThan(10);
    expect(told[0]).toMatchObject({ policy: 'moves', limit: 'failures', previous: 10, current: 11 });
    expect(host.logs.some(({ message }) => message.startsWith('moves: failures of circuit-breaker'))).toBe(
      true,
    );
    expect(subsystem.getScalingMetrics().get('policies.adaptive')).toBe(1);
    // Setting it again, without asking for it, puts the threshold back and leaves it there.
    await body(host, 'PUT', `${BASE}/moves`, { strategies });
    expect(await failuresOf(host, 'moves')).toMatchObject({ failures: 10 });
    expect(subsystem.getScalingMetrics().get('policies.adaptive')).toBe(0);
  });

  it('are all that do not say otherwise where the node is configured so', async () => {
    const { host, subsystem } = await start({ config: { adaptive: true } });
    expect(subsystem.getScalingMetrics().get('policies.adaptive')).toBe(4);
    await body(host, 'PUT', `${BASE}/fixed`, { strategies, adaptive: false });
    await body(host, 'PUT', `${BASE}/moves`, { strategies });
    expect(subsystem.getScalingMetrics().get('policies.adaptive')).toBe(5);
    await body(host, 'DELETE', `${BASE}/moves`);
    expect(subsystem.getScalingMetrics().get('policies.adaptive')).toBe(4);
  });

  it('with options in the configuration that are wrong keep the plugin from starting', async () => {
    const host = createTestHost(Plugin, { manifest, config: { adaptive: { intervalMs: 1 } } });
    await expect(host).rejects.toMatchObject({ code: 'policy-invalid' });
  });
});

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
