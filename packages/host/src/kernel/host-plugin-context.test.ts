import { describe, expect, test } from 'vitest';
import { isDwError, sleep } from '@datawarehouse/sdk';
import type { IScalableSubsystem } from '@datawarehouse/sdk';
import { settle } from '@datawarehouse/sdk/testing';
import { currentScope } from './attribution.js';
import { HostPluginContext } from './host-plugin-context.js';
import { createKit, definitionOf, scopeOf } from './kernel-kit.test.kit.js';

const manifest = {
  provides: ['mine'],
  requires: ['theirs'],
  optional: ['maybe'],
  topics: { publish: ['a.>'], subscribe: ['a.>'] },
};

function setUp() {
  const kit = createKit();
  const scope = scopeOf('p');
  const context = new HostPluginContext(definitionOf(manifest), scope, kit.ports);
  return { ...kit, scope, context };
}

const codeOf = (fn: () => unknown): unknown => {
  try {
    fn();
  } catch (error) {
    return isDwError(error) ? error.code : error;
  }
  return undefined;
};

const subsystem = {
  subsystemName: 'p',
  limitDescriptors: {},
  getScalingMetrics: () => new Map(),
  reconfigureLimitsAsync: async () => {},
  currentLimits: {},
  currentBackpressureState: 'normal',
} as unknown as IScalableSubsystem;

describe('services', () => {
  test('what the manifest does not name is neither given nor taken', () => {
    const { context } = setUp();
    expect(codeOf(() => context.services.get({ id: 'mine' }))).toBe('service-not-declared');
    expect(codeOf(() => context.services.tryGet({ id: 'other' }))).toBe('service-not-declared');
    expect(codeOf(() => context.services.provide({ id: 'theirs' }, {}))).toBe('service-not-declared');
  });

  test('what nobody provides is missing', () => {
    const { context } = setUp();
    expect(codeOf(() => context.services.get({ id: 'theirs' }))).toBe('service-missing');
    expect(context.services.tryGet({ id: 'theirs' })).toBeUndefined();
  });

  test('what the manifest calls optional may be asked for, and comes and goes', () => {
    const { context, services } = setUp();
    expect(context.services.tryGet({ id: 'maybe' })).toBeUndefined();
    expect(codeOf(() => context.services.get({ id: 'maybe' }))).toBe('service-missing');
    const provided = services.forPlugin(scopeOf('other'));
    provided.provide('maybe', { name: 'there' });
    expect(context.services.tryGet<{ name: string }>({ id: 'maybe' })?.name).toBe('there');
    provided.revokeAll();
    expect(context.services.tryGet({ id: 'maybe' })).toBeUndefined();
  });

  test('a service is provided once, and is an object or a function', () => {
    const { context, services } = setUp();
    expect(codeOf(() => context.services.provide({ id: 'mine' }, 7))).toBe('service-invalid');
    expect(codeOf(() => context.services.provide({ id: 'mine' }, null))).toBe('service-invalid');
    context.services.provide({ id: 'mine' }, {});
    expect(codeOf(() => context.services.provide({ id: 'mine' }, {}))).toBe('service-taken');
    expect(services.size).toBe(1);
  });

  test('a service of the host is there for who requires it, and cannot be replaced', () => {
    const { context, services } = setUp();
    services.provideAsHost({ id: 'theirs' }, { name: 'host' });
    expect(context.services.get<{ name: string }>({ id: 'theirs' }).name).toBe('host');
    services.provideAsHost({ id: 'mine' }, {});
    expect(codeOf(() => context.services.provide({ id: 'mine' }, {}))).toBe('service-taken');
  });
});

describe('closing', () => {
  test('takes back everything, latest first', async () => {
    const { context, bus, routes, limits, services, clock } = setUp();
    const done: string[] = [];
    context.onDispose(() => void done.push('first'));
    context.bus.subscribe('a.b', () => {});
    context.bus.respond('a.c', () => 1);
    context.routes.add({ method: 'GET', path: '/v1/p', summary: 's', handler: () => ({}) });
    context.services.provide({ id: 'mine' }, {});
    await context.scaling.register(subsystem);
    context.clock.setTimeout(() => {}, 1_000);
    context.clock.setInterval(() => {}, 1_000);
    context.background('loop', (signal) => sleep(context.clock, 10_000, signal));
    context.onDispose(() => void done.push('last'));
    const problems = await context.close();
    expect(problems).toEqual([]);
    expect(done).toEqual(['last', 'first']);
    expect(bus.statistics().subscriptions).toBe(0);
    expect([routes.count(), services.size, Object.keys(limits.metrics()).length]).toEqual([0, 0, 0]);
    expect(clock.pendingTimers()).toEqual([]);
    expect(context.holdings).toEqual({ tracked: 0, timers: 0, background: 0 });
    expect(await context.close()).toEqual([]);
  });

  test('what was given back before is forgotten', async () => {
    const { context } = setUp();
    const held = context.holdings.tracked;
    for (let i = 0; i < 100; i++) {
      context.bus.subscribe('a.b', () => {})[Symbol.dispose]();
      const controller = new AbortController();
      context.bus.subscribe('a.b', () => {}, { signal: controller.signal });
      controller.abort();
      const route = context.routes.add({
        method: 'GET',
        path: '/v1/p',
        summary: 's',
        handler: () => ({}),
      });
      route[Symbol.dispose]();
      const registration = await context.scaling.register(subsystem);
      registration[Symbol.dispose]();
      context.clock.setTimeout(() => {}, 1).cancel();
    }
    expect(context.holdings).toEqual({ tracked: held, timers: 0, background: 0 });
  });

  test('a disposer may still use the store, publish and wait, and take nothing new', async () => {
    const { context, store, clock } = setUp();
    let code: unknown;
    context.onDispose(async () => {
      code = codeOf(() => context.onDispose(() => {}));
      await sleep(context.clock, 5);
      context.bus.publish('a.b', 1);
      await context.store.writeAsync(context.storePath('last'), new Uint8Array([1]));
    });
    const closing = context.close();
    await clock.advanceAsync(5);
    expect(await closing).toEqual([]);
    expect(code).toBe('context-closed');
    expect(await store.listAsync('dw://plugins/p/')).toEqual(['dw://plugins/p/last']);
    await expect(context.store.readAsync(context.storePath('last'))).rejects.toMatchObject({
      code: 'context-closed',
    });
    expect(codeOf(() => context.bus.publish('a.b', 1))).toBe('context-closed');
  });

  test('no timer of the plugin fires while its parts are let go, and none that a disposer sets stays', async () => {
    const { context, clock } = setUp();
    let ticks = 0;
    context.onDispose(() => {
      context.clock.setTimeout(() => {}, 1_000);
      return sleep(context.clock, 8);
    });
    context.clock.setInterval(() => (ticks += 1), 2);
    const closing = context.close();
    await clock.advanceAsync(8);
    expect(await closing).toEqual([]);
    expect(ticks).toBe(0);
    expect(clock.pendingTimers()).toEqual([]);
  });

  test('what is still being asked over the bus is answered with an error', async () => {
    const { context, bus } = setUp();
    bus.respond('a.c', () => new Promise(() => {}));
    const asking = context.bus.send('a.c', 1).catch((error: unknown) => error);
    await settle();
    await context.close();
    expect(await asking).toMatchObject({ code: 'bus-closed' });
  });

  test('a background task that does not end is named', async () => {
    const { context, clock } = setUp();
    context.background('stubborn', () => new Promise(() => {}));
    const closing = context.close();
    await clock.advanceAsync(10);
    expect(await closing).toEqual([{ what: 'background tasks', kind: 'timeout' }]);
  });

  test('a subsystem whose registration comes back late is taken back', async () => {
    const kit = createKit();
    let arrive: (disposable: Disposable) => void = () => {};
    let disposed = false;
    const limits = { register: () => new Promise<Disposable>((resolve) => (arrive = resolve)) };
    const context = new HostPluginContext(definitionOf(), scopeOf('p'), { ...kit.ports, limits });
    const registering = context.scaling.register(subsystem);
    await context.close();
    arrive({ [Symbol.dispose]: () => void (disposed = true) });
    await expect(registering).rejects.toMatchObject({ code: 'context-closed' });
    expect(disposed).toBe(true);
  });
});

describe('blame', () => {
  test('timers, intervals and background tasks run in the scope, and what they throw is a crash', async () => {
    const { context, scope, clock } = setUp();
    const seen: unknown[] = [];
    const fail = (): never => {
      seen.push(currentScope());
      throw new Error('x');
    };
    context.clock.setTimeout(fail, 1);
    const failLater: () => unknown = async () => fail();
    context.clock.setTimeout(failLater, 2);
    const interval = context.clock.setInterval(fail, 3);
    context.clock.setImmediate(fail);
    context.clock.setImmediate(fail).cancel();
    context.background('b', async () => fail());
    await clock.advanceAsync(3);
    interval.cancel();
    expect(seen).toEqual([scope, scope, scope, scope, scope]);
    const crashes = ['a timer', 'a timer', 'an immediate', 'an interval', 'background task "b"'];
    expect(scope.crashes.sort()).toEqual(crashes);
    expect(context.holdings.timers).toBe(0);
  });

  test('a background task that ends by throwing because it was stopped is no crash', async () => {
    const { context, scope } = setUp();
    context.background('b', (signal) => sleep(context.clock, 10, signal));
    await context.close();
    await settle();
    expect(scope.crashes).toEqual([]);
  });

  test('handlers run in the scope; topics that the manifest does not name are refused', async () => {
    const { context, scope, bus } = setUp();
    let seen: unknown;
    context.bus.subscribe('a.b', () => void (seen = currentScope()));
    await bus.publishAndWait('a.b', 1);
    expect(seen).toBe(scope);
    expect(codeOf(() => context.bus.subscribe('b', () => {}))).toBe('bus-not-permitted');
    expect(codeOf(() => context.bus.publish('b', 1))).toBe('bus-not-permitted');
  });

  test('a message carries the plugin’s id, whatever it says', async () => {
    const { context, bus } = setUp();
    let sender: unknown;
    bus.subscribe('a.b', (message) => void (sender = message.sender));
    await context.bus.publishAndWait('a.b', { sender: 'host' });
    expect(sender).toBe('p');
  });
});
