// The life of plugins that depend on one another: who starts when, who is blocked by whom, and what operators can do.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Host, PluginSummary } from '@datawarehouse/host';
import { PluginStateChanged, isDwError } from '@datawarehouse/sdk';
import { FakeClock, settle } from '@datawarehouse/sdk/testing';
import { expectNoLeaks, processHoldings } from './support/leaks.js';
import type { PluginSource } from './support/plugin-fixtures.js';
import { Workbench, memoryLog } from './support/plugin-fixtures.js';

let bench: Workbench;
let clock: FakeClock;
let before: Readonly<Record<string, number>>;
const hosts: Host[] = [];

beforeEach(async () => {
  bench = await Workbench.create();
  clock = new FakeClock();
  before = processHoldings();
});
afterEach(async () => {
  for (const host of hosts.splice(0)) {
    await host.stop();
    await clock.advanceAsync(0);
    await expectNoLeaks(host, before, clock);
  }
  await bench.remove();
});

async function makeHost(...args: Parameters<Workbench['host']>): Promise<Host> {
  const [plugins, overrides] = args;
  const host = await bench.host(plugins, { clock, ...overrides });
  hosts.push(host);
  return host;
}

function find(host: Host, id: string): PluginSummary {
  const summary = host.plugins.list().find((plugin) => plugin.id === id);
  if (summary === undefined) throw new Error(`no plugin ${id}`);
  return summary;
}

const states = (host: Host): Record<string, string> =>
  Object.fromEntries(host.plugins.list().map(({ id, state }) => [id, state]));

const code = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    return isDwError(error) ? error.code : String(error);
  }
  return 'resolved';
};

const provider = (service: string, extra = ''): PluginSource => ({
  manifest: { provides: [service] },
  body: `initializeAsync(context) { this.context = context; context.services.provide({ id: '${service}' }, { say: () => '${service}' }); } ${extra}`,
});
const consumer = (service: string, extra = ''): PluginSource => ({
  manifest: { requires: [service] },
  body: `initializeAsync(context) { this.context = context; context.services.get({ id: '${service}' }).say(); } ${extra}`,
});

describe('order', () => {
  test('a plugin starts when what it requires is active, and independent ones do not wait for a slow one', async () => {
    const host = await makeHost([
      await bench.plugin('user', consumer('s')),
      await bench.plugin('maker', provider('s')),
      await bench.plugin('slow', { body: 'activateAsync() { return new Promise(() => {}); }' }),
    ]);
    const starting = host.start();
    await vi.waitFor(() =>
      expect(states(host)).toEqual({ maker: 'active', user: 'active', slow: 'activating' }),
    );
    await clock.advanceAsync(30_000);
    await starting;
    expect(find(host, 'slow')).toMatchObject({
      state: 'failed',
      phase: 'activate',
      code: 'plugin-step-timeout',
    });
  });

  test('a cycle is printed as its shortest loop, and only those that need it are blocked', async () => {
    const link = (provides: string, requires: string[]): PluginSource => ({
      manifest: { provides: [provides], requires },
    });
    const host = await makeHost([
      await bench.plugin('a', link('sa', ['sb', 'sc'])),
      await bench.plugin('b', link('sb', ['sa'])),
      await bench.plugin('c', link('sc', ['sd'])),
      await bench.plugin('d', link('sd', ['sa'])),
      await bench.plugin('e', { manifest: { requires: ['sa'] } }),
      await bench.plugin('f'),
    ]);
    await host.start();
    expect(states(host)).toEqual({
      a: 'failed',
      b: 'failed',
      c: 'failed',
      d: 'failed',
      e: 'blocked',
      f: 'active',
    });
    expect(find(host, 'a')).toMatchObject({ code: 'plugin-dependency-cycle' });
    expect(find(host, 'a').reason).toContain('a → b → a');
    expect(find(host, 'd').reason).toContain('d → a → c → d');
    expect(find(host, 'e')).toMatchObject({ code: 'plugin-blocked' });
    expect(find(host, 'e').reason).toContain('requires sa of plugin a');
  });

  test('a plugin waits for what is optional while that is on its way up, and does without it when it is not', async () => {
    const user: PluginSource = {
      manifest: { optional: ['s', 'nobody-has-it'], provides: ['seen'] },
      body: `initializeAsync(context) {
        const read = (id) => context.services.tryGet({ id }) !== undefined;
        const atStart = read('s');
        context.services.provide({ id: 'seen' }, { atStart, now: () => read('s') });
      }`,
    };
    const host = await makeHost([
      await bench.plugin('user', user),
      await bench.plugin('maker', provider('s', 'activateAsync() { return Promise.resolve(); }')),
    ]);
    await host.start();
    expect(states(host)).toEqual({ user: 'active', maker: 'active' });
    const seen = () => host.service({ id: 'seen' }) as { atStart: boolean; now(): boolean };
    expect(seen().atStart).toBe(true);
    // It is not taken down with what it can do without, and finds it again when it is back.
    await host.plugins.disable('maker');
    expect(states(host)).toEqual({ user: 'active', maker: 'disabled' });
    expect(seen().now()).toBe(false);
    await host.plugins.reload('user');
    expect(seen().atStart).toBe(false);
    await host.plugins.enable('maker');
    expect(seen().now()).toBe(true);
  });

  test('what is optional and fails keeps nobody waiting, and all stop in order', async () => {
    const host = await makeHost([
      await bench.plugin('user', {
        manifest: { optional: ['s', 't'] },
        body: `initializeAsync(context) { this.context = context; }
          async drainAsync() { for (let n = 0; n < 50; n++) await new Promise((go) => setImmediate(go)); }
          shutdownAsync() { if (this.context.services.tryGet({ id: 't' }) === undefined) throw new Error('too late'); }`,
      }),
      await bench.plugin('broken', {
        manifest: { provides: ['s'] },
        body: 'initializeAsync() { throw new Error("no"); }',
      }),
      await bench.plugin('maker', provider('t')),
    ]);
    await host.start();
    expect(states(host)).toEqual({ user: 'active', broken: 'failed', maker: 'active' });
    await host.stop();
    expect(find(host, 'user')).toMatchObject({ state: 'stopped' });
    expect(find(host, 'user').reason).toBeUndefined();
  });

  test('a missing provider is named', async () => {
    const host = await makeHost([await bench.plugin('user', consumer('nobody-has-it'))]);
    await host.start();
    expect(find(host, 'user')).toMatchObject({ state: 'blocked', code: 'plugin-provider-missing' });
    expect(find(host, 'user').reason).toContain('nobody-has-it');
  });

  test('two providers of one service are an error that names both', async () => {
    const host = await makeHost([
      await bench.plugin('one', provider('s')),
      await bench.plugin('two', provider('s')),
      await bench.plugin('user', consumer('s')),
    ]);
    await host.start();
    for (const id of ['one', 'two']) {
      expect(find(host, id)).toMatchObject({ state: 'failed', code: 'plugin-duplicate-provider' });
      expect(find(host, id).reason).toContain('one and two both provide s');
    }
    expect(find(host, 'user')).toMatchObject({ state: 'blocked', code: 'plugin-blocked' });
    await host.plugins.enable('two');
    expect(states(host)).toEqual({ one: 'failed', two: 'active', user: 'active' });
  });

  test('a second provider that is switched on later is refused, and the first goes on', async () => {
    const host = await makeHost([
      await bench.plugin('b-first', provider('s')),
      await bench.plugin('a-second', provider('s'), { enabled: false }),
      await bench.plugin('user', consumer('s')),
    ]);
    await host.start();
    expect(await code(host.plugins.enable('a-second'))).toBe('plugin-duplicate-provider');
    expect(states(host)).toEqual({ 'a-second': 'failed', 'b-first': 'active', user: 'active' });
  });
});

describe('failure', () => {
  test('stays inside the plugin; those that need it are blocked and named', async () => {
    const host = await makeHost([
      await bench.plugin('bad', {
        ...provider('s'),
        body: "initializeAsync() { throw new Error('no luck'); }",
      }),
      await bench.plugin('user', { manifest: { requires: ['s'], provides: ['t'] } }),
      await bench.plugin('user-of-user', consumer('t')),
      await bench.plugin('other'),
    ]);
    await host.start();
    expect(states(host)).toEqual({
      bad: 'failed',
      user: 'blocked',
      'user-of-user': 'blocked',
      other: 'active',
    });
    expect(find(host, 'user').reason).toContain('bad');
    expect(find(host, 'user-of-user').reason).toContain('blocked by bad');
    expect(find(host, 'bad').reason).toContain('no luck');
  });

  test('of a required plugin fails the host and stops what runs', async () => {
    const log = memoryLog();
    const host = await makeHost(
      [
        await bench.plugin(
          'bad',
          { body: "activateAsync() { throw new Error('no luck'); }" },
          { required: true },
        ),
        await bench.plugin('other', { body: "shutdownAsync() { this.context.log.info('let go'); }" }),
      ],
      { log },
    );
    expect(await code(host.start())).toBe('required-plugin-failed');
    expect(states(host)).toMatchObject({ other: 'stopped' });
    expect(log.lines.some(({ message, plugin }) => message === 'let go' && plugin === 'other')).toBe(true);
    expect(await code(host.start())).toBe('host-used');
  });

  test('to provide what the manifest promises is named', async () => {
    const host = await makeHost([
      await bench.plugin('empty', { manifest: { provides: ['s'] } }),
      await bench.plugin('user', consumer('s')),
    ]);
    await host.start();
    expect(find(host, 'empty')).toMatchObject({ state: 'failed', code: 'plugin-service-not-provided' });
    expect(find(host, 'user').state).toBe('blocked');
  });

  test('a step that comes back late finds the context closed, and leaves nothing', async () => {
    const log = memoryLog();
    const late = await bench.plugin('late', {
      manifest: { topics: { subscribe: ['x'] } },
      body: `async activateAsync() {
        await new Promise((resolve) => { globalThis.release = resolve; });
        globalThis.refused = [];
        const { context } = this;
        for (const use of [
          () => context.bus.subscribe('x', () => {}),
          () => context.routes.add({ method: 'GET', path: '/late', summary: 's', handler: () => ({}) }),
          () => context.clock.setInterval(() => {}, 1),
          () => context.onDispose(() => {}),
          () => context.background('b', async () => {}),
        ]) try { use(); globalThis.refused.push('accepted'); } catch (error) { globalThis.refused.push(error.code); }
        try { await context.store.readAsync(context.storePath('a')); } catch (error) { globalThis.refused.push(error.code); }
        try { await context.scaling.register({ subsystemName: 'x' }); } catch (error) { globalThis.refused.push(error.code); }
      }`,
    });
    const host = await makeHost([late], { log, kernel: { activateMs: 50 } });
    const starting = host.start();
    await vi.waitFor(() => expect(find(host, 'late').state).toBe('activating'));
    await clock.advanceAsync(50);
    await starting;
    const shared = globalThis as unknown as { release: () => void; refused: string[] };
    await vi.waitFor(() => expect(shared.release).toBeTypeOf('function'));
    shared.release();
    await vi.waitFor(() => expect(shared.refused).toHaveLength(7));
    expect(new Set(shared.refused)).toEqual(new Set(['context-closed']));
    expect(find(host, 'late').state).toBe('failed');
    expect(log.lines.some(({ message }) => message.includes('came back from activate'))).toBe(true);
  });

  test('stop during start ends at once, although a plugin hangs', async () => {
    const host = await makeHost([
      await bench.plugin('slow', { body: 'initializeAsync() { return new Promise(() => {}); }' }),
    ]);
    const starting = code(host.start());
    await vi.waitFor(() => expect(find(host, 'slow').state).toBe('initializing'));
    await host.stop();
    expect(await starting).toBe('host-stopping');
    expect(clock.now()).toBe(0);
  });
});

describe('operators', () => {
  test('disable takes dependents along, which come back with it', async () => {
    const host = await makeHost([
      await bench.plugin('maker', provider('s')),
      await bench.plugin('user', consumer('s')),
      await bench.plugin('other'),
    ]);
    const changes: string[] = [];
    host.bus.subscribe(PluginStateChanged, ({ payload }) => {
      const { pluginId, previous, current } = payload as Record<string, string>;
      changes.push(`${pluginId}: ${previous} → ${current}`);
    });
    await host.start();
    await settle();
    changes.length = 0;
    expect(await host.plugins.disable('maker')).toMatchObject({ state: 'disabled' });
    expect(states(host)).toEqual({ maker: 'disabled', user: 'blocked', other: 'active' });
    expect(find(host, 'user').reason).toContain('maker');
    expect(host.service({ id: 's' })).toBeUndefined();
    expect(host.inventory().services).toBe(0);
    await vi.waitFor(() =>
      expect(changes).toEqual([
        'user: active → draining',
        'user: draining → blocked',
        'maker: active → draining',
        'maker: draining → disabled',
      ]),
    );
    expect(await host.plugins.enable('maker')).toMatchObject({ state: 'active' });
    expect(states(host)).toEqual({ maker: 'active', user: 'active', other: 'active' });
  });

  test('reload runs new code, and the old service is gone for those who kept it', async () => {
    const maker = await bench.plugin('maker', provider('s'));
    const host = await makeHost([maker]);
    await host.start();
    const kept = host.service<{ say: () => string }>({ id: 's' });
    expect(kept?.say()).toBe('s');
    await bench.plugin('maker', {
      ...provider('s'),
      body: "initializeAsync(c) { c.services.provide({ id: 's' }, { say: () => 'new' }); }",
    });
    await host.plugins.reload('maker');
    expect(host.service<{ say: () => string }>({ id: 's' })?.say()).toBe('new');
    expect(() => kept?.say()).toThrow(expect.objectContaining({ code: 'service-gone' }));
  });

  test('the next life waits until what remains of one that failed is gone', async () => {
    const entry = await bench.plugin('slow', {
      body: `initializeAsync(context) {
        globalThis.lives = (globalThis.lives ?? 0) + 1;
        context.onDispose(() => new Promise((resolve) => { globalThis.letGo = resolve; }));
        if (globalThis.lives === 1) throw new Error('no luck');
      }`,
    });
    const host = await makeHost([entry]);
    const shared = globalThis as unknown as { lives?: number; letGo?: () => void };
    delete shared.lives;
    await host.start();
    const enabling = host.plugins.enable('slow');
    await vi.waitFor(() => expect(shared.letGo).toBeTypeOf('function'));
    await settle();
    expect(find(host, 'slow').state).toBe('failed');
    expect(shared.lives).toBe(1);
    shared.letGo?.();
    expect(await enabling).toMatchObject({ state: 'active' });
    expect(shared.lives).toBe(2);
    const stopping = host.stop();
    await vi.waitFor(() => expect(find(host, 'slow').state).toBe('draining'));
    await clock.advanceAsync(2_000);
    await stopping;
  });

  test('reload with a manifest that is broken says so, and works once it is mended', async () => {
    const maker = await bench.plugin('maker');
    const host = await makeHost([maker]);
    await host.start();
    await bench.plugin('maker', { manifest: { nonsense: 1 } });
    expect(await code(host.plugins.reload('maker'))).toBe('plugin-manifest-invalid');
    expect(find(host, 'maker').state).toBe('failed');
    await bench.plugin('maker');
    expect(await host.plugins.reload('maker')).toMatchObject({ state: 'active' });
  });

  test('a required plugin, and one that a required plugin needs, cannot be disabled', async () => {
    const host = await makeHost([
      await bench.plugin('maker', provider('s')),
      await bench.plugin('user', consumer('s'), { required: true }),
    ]);
    await host.start();
    expect(await code(host.plugins.disable('user'))).toBe('plugin-required');
    expect(await code(host.plugins.disable('maker'))).toBe('plugin-required');
    expect(states(host)).toEqual({ maker: 'active', user: 'active' });
  });

  test('what does not exist, and a host that does not run, are refused', async () => {
    const host = await makeHost([await bench.plugin('a')]);
    expect(await code(host.plugins.enable('a'))).toBe('host-stopping');
    await host.start();
    expect(await code(host.plugins.enable('b'))).toBe('plugin-unknown');
    const many = Array.from({ length: 100 }, () => code(host.plugins.reload('a')));
    expect(new Set(await Promise.all(many))).toEqual(new Set(['resolved', 'kernel-busy']));
    await host.stop();
    expect(await code(host.plugins.disable('a'))).toBe('host-stopping');
  });
});

describe('health', () => {
  test('an unhealthy, silent or broken answer makes the node not ready', async () => {
    const host = await makeHost(
      [
        await bench.plugin('moody', {
          body: 'checkHealthAsync() { return globalThis.mood(); }',
        }),
      ],
      { kernel: { healthMs: 100, healthEveryMs: 1_000 } },
    );
    const shared = globalThis as unknown as { mood: () => unknown };
    shared.mood = () => ({ status: 'unhealthy', message: 'no leader' });
    await host.start();
    await vi.waitFor(() =>
      expect(host.plugins.readiness().reasons).toEqual(['plugin moody is unhealthy: no leader']),
    );
    const next = async (mood: () => unknown): Promise<readonly string[]> => {
      shared.mood = mood;
      await clock.advanceAsync(1_000);
      await clock.advanceAsync(100);
      return host.plugins.readiness().reasons;
    };
    expect(await next(() => ({ status: 'degraded' }))).toEqual([]);
    expect(await next(() => Promise.reject(new Error('oops')))).toEqual(['plugin moody is unhealthy: oops']);
    expect(await next(() => 'fine')).toEqual([expect.stringContaining('not a health check result')]);
    expect(await next(() => new Promise(() => {}))).toEqual([expect.stringContaining('within 100 ms')]);
    expect(host.plugins.readiness().ready).toBe(false);
  });
});
