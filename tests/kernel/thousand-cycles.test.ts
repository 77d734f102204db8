// A plugin that takes one of everything is switched off and on and reloaded a thousand times: afterwards nothing of
// it is left but the last one, and the objects of the others have been collected.

import { createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { expectNoLeaks, processHoldings } from './support/leaks.js';
import { Workbench } from './support/plugin-fixtures.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const CYCLES = 1_000;
const registry = globalThis as {
  kernelTest?: { objects: WeakRef<object>[]; createServer: typeof createServer };
};

/** Takes one of everything that the context gives, and a socket of its own. */
const GREEDY = {
  manifest: {
    provides: ['greedy'],
    topics: { publish: ['greedy.>'], subscribe: ['greedy.>'] },
  },
  body: `
  async initializeAsync(context) {
    this.context = context;
    this.big = new Uint8Array(10_000);
    globalThis.kernelTest.objects.push(new WeakRef(this));
    context.services.provide({ id: 'greedy' }, { hello: () => this.big.length });
    context.routes.add({ method: 'GET', path: '/v1/greedy', summary: 's', handler: () => ({ body: this.big.length }) });
    context.bus.subscribe('greedy.a', () => this.big);
    context.bus.subscribe('greedy.>', () => this.big);
    context.bus.respond('greedy.ask', () => this.big.length);
    context.clock.setInterval(() => this.big, 1000);
    context.clock.setTimeout(() => this.big, 1e9);
    context.signal.addEventListener('abort', () => this.big);
    context.background('loop', (signal) => new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(this.big.length && undefined));
    }));
    await context.scaling.register(this.subsystem());
    const server = globalThis.kernelTest.createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    context.onDispose(() => new Promise((resolve) => server.close(resolve)));
  }
  subsystem() {
    const limits = { maxCacheEntries: 1, maxMemoryBytes: 1, maxConcurrentOperations: 1, maxQueueDepth: 1 };
    const one = { unit: 'x', min: 0, max: 9, default: 1, description: 'd' };
    return {
      subsystemName: 'greedy',
      limitDescriptors: { maxCacheEntries: one, maxMemoryBytes: one, maxConcurrentOperations: one, maxQueueDepth: one },
      getScalingMetrics: () => new Map([['cache.size', this.big.length], ['cache.hitRate', 0], ['cache.memoryBytes', 0],
        ['backpressure.state', 'normal'], ['backpressure.queueDepth', 0]]),
      reconfigureLimitsAsync: async () => {},
      currentLimits: limits,
      currentBackpressureState: 'normal',
    };
  }`,
};
/** Needs the greedy one and keeps what it got. */
const CLINGING = {
  manifest: { requires: ['greedy'] },
  body: `activateAsync() {
    this.kept = this.context.services.get({ id: 'greedy' });
    this.kept.hello();
    globalThis.kernelTest.kept = this.kept;
  }`,
};

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.create();
  registry.kernelTest = { objects: [], createServer };
});
afterEach(async () => {
  delete registry.kernelTest;
  await bench.remove();
});

async function waitForCollection(objects: readonly WeakRef<object>[], most: number): Promise<number> {
  const alive = (): number => objects.filter((one) => one.deref() !== undefined).length;
  for (let round = 0; round < 200 && alive() > most; round++) {
    // A WeakRef that was read stays alive until the turn ends.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  return alive();
}

test('1 000 cycles of disable, enable and reload leave nothing behind', async () => {
  const before = processHoldings();
  const clock = new FakeClock();
  const entries = [await bench.plugin('greedy', GREEDY), await bench.plugin('clinging', CLINGING)];
  const host = await bench.host(entries, { clock });
  await host.start();
  const held = {
    ...host.inventory(),
    ...processHoldings(),
    timers: clock.pendingTimers().length,
  };
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    if (cycle % 2 === 0) await host.plugins.reload('greedy');
    else {
      await host.plugins.disable('greedy');
      await host.plugins.enable('greedy');
    }
  }
  expect(host.plugins.list().map(({ id, state }) => [id, state])).toEqual([
    ['clinging', 'active'],
    ['greedy', 'active'],
  ]);
  const after = { ...host.inventory(), ...processHoldings(), timers: clock.pendingTimers().length };
  expect(after).toEqual(held);
  const objects = registry.kernelTest?.objects ?? [];
  expect(objects).toHaveLength(CYCLES + 1);
  expect(await waitForCollection(objects, 1), 'objects that are still in memory').toBeLessThanOrEqual(1);

  await host.stop();
  await clock.advanceAsync(0);
  await expectNoLeaks(host, before, clock);
  expect(await waitForCollection(objects, 0), 'also the last one, although its service is still held').toBe(
    0,
  );
});
