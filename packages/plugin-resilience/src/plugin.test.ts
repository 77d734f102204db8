// The plugin in a context like the host's: manifest, life, policies from everywhere, bus topics.

import {
  CircuitBreakerStateChanged,
  MemoryBackingStore,
  PEER_TRANSPORT,
  RESILIENCE,
  ResiliencePolicySet,
  sdkCompatibilityOf,
} from '@datawarehouse/sdk';
import { createTestHost } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { plugin as Plugin } from './index.js';
import { BASE, DB, body, manifest, start, stopAll, version } from './plugin.test.kit.js';
import { RESILIENCE_LIMITS } from './scaling/resilience-limits.js';

afterEach(stopAll);

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
