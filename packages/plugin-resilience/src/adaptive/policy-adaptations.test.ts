// Policies whose thresholds move, on the plugin as the host runs it.

import { ResilienceAdapted } from '@datawarehouse/sdk';
import type { TestHost } from '@datawarehouse/sdk/testing';
import { createTestHost } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { plugin as Plugin } from '../index.js';
import { BASE, body, manifest, start, stopAll } from '../plugin.test.kit.js';

afterEach(stopAll);

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
