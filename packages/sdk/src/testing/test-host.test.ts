import { existsSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/index.js';
import { createToken, PluginBase } from '../plugin/index.js';
import type { PluginContext } from '../plugin/index.js';
import { LimitSet } from '../scaling/index.js';
import type { IScalableSubsystem } from '../scaling/index.js';
import { sleep } from '../time/index.js';
import { createTestContext } from './test-context.js';
import { createTestHost, TestHost } from './test-host.js';

const GREETER = createToken<{ greet(): string }>('test.greeter');
const COUNT = createToken<{ count(): number }>('test.count');

class Subsystem implements IScalableSubsystem {
  readonly subsystemName = 'counter';
  private readonly limits = new LimitSet();
  readonly limitDescriptors = this.limits.descriptors;
  readonly currentBackpressureState = 'normal';
  get currentLimits() {
    return this.limits.current;
  }
  getScalingMetrics() {
    return new Map();
  }
  async reconfigureLimitsAsync(limits: Readonly<Record<string, number>>) {
    this.limits.apply(limits);
  }
}

class Counter extends PluginBase {
  readonly id: string = 'com.example.counter';
  readonly name = 'Counter';
  readonly version = '1.0.0';
  count = 0;
  ticks = 0;
  readonly life: string[] = [];
  context: PluginContext | undefined;

  override async initializeAsync(context: PluginContext): Promise<void> {
    this.life.push('initialize');
    this.context = context;
    const stored = await context.store.readAsync(context.storePath('count'));
    this.count = stored === null ? 0 : Number(Buffer.from(stored).toString());
    context.bus.subscribe('counter.add', async (message) => {
      this.count += message.payload as number;
      await context.store.writeAsync(context.storePath('count'), Buffer.from(String(this.count)));
    });
    context.routes.add({
      method: 'GET',
      path: '/v1/counter/:name',
      summary: 'the count',
      query: Type.Object({ twice: Type.Optional(Type.Literal('yes')) }),
      handler: ({ params, query }) => ({
        body: { name: params['name'], count: this.count * (query['twice'] === 'yes' ? 2 : 1) },
      }),
    });
    context.routes.add({
      method: 'PUT',
      path: '/v1/counter',
      summary: 'set it',
      body: Type.Object({ count: Type.Integer() }),
      handler: ({ body }) => {
        this.count = (body as { count: number }).count;
        if (this.count < 0)
          throw new DwError({ code: 'negative', message: 'no', status: 422, retryAfterMs: 1 });
        return { status: 204 };
      },
    });
    context.clock.setInterval(() => this.ticks++, 100);
    context.services.provide(COUNT, { count: () => this.count });
    await context.scaling.register(new Subsystem());
    context.background('worker', async (signal) => {
      for (;;) await sleep(context.clock, 10, signal);
    });
    context.onDispose(() => void this.life.push('dispose 1'));
    context.onDispose(() => void this.life.push('dispose 2'));
    context.log.info({ count: this.count }, 'ready');
  }
  override activateAsync(): void {
    this.life.push('activate');
  }
  override drainAsync(): void | Promise<void> {
    this.life.push('drain');
  }
  override shutdownAsync(): void {
    this.life.push('shutdown');
  }
}

describe('createTestHost', () => {
  it('drives a plugin through its life and leaves nothing behind', async () => {
    const host = await createTestHost(Counter);
    const plugin = host.plugin as Counter;
    expect(await host.bus.publishAndWait('counter.add', 2)).toMatchObject({ delivered: 1 });
    expect(await host.request('GET', '/v1/counter/a%20b?twice=yes')).toMatchObject({
      status: 200,
      body: { name: 'a b', count: 4 },
    });
    await host.advance(250);
    expect(plugin.ticks).toBe(2);
    expect(host.service(COUNT)?.count()).toBe(2);
    expect([...host.subsystems.keys()]).toEqual(['counter']);
    expect(host.logs).toMatchObject([
      { level: 'info', message: 'ready', fields: { plugin: 'com.example.counter', count: 0 } },
    ]);
    expect(() => host.assertNoLeaks()).toThrow(/route GET .*subsystem counter.*background task "worker"/);
    await host.stop();
    await host.stop();
    expect(plugin.life).toEqual(['initialize', 'activate', 'drain', 'shutdown', 'dispose 2', 'dispose 1']);
    host.assertNoLeaks();
    host.assertNoFailures();
    expect(host.service(COUNT)).toBeUndefined();
    expect(await host.store.existsAsync('dw://plugins/com.example.counter/count')).toBe(true);
  });

  it('keeps the state for the next start when the test keeps the store', async () => {
    const first = await createTestHost(Counter);
    await first.bus.publishAndWait('counter.add', 5);
    await first.stop();
    const second = await createTestHost(() => new Counter(), { store: first.store });
    expect((second.plugin as Counter).count).toBe(5);
    await second.stop();
  });

  it('answers as HTTP would: problems, wrong input, unknown paths', async () => {
    const host = await createTestHost(new Counter());
    expect(await host.request('PUT', '/v1/counter', { body: { count: -1 } })).toMatchObject({
      status: 422,
      body: { code: 'negative' },
      headers: { 'retry-after': '1' },
    });
    expect(await host.request('PUT', '/v1/counter', { body: { count: 'x' } })).toMatchObject({
      status: 400,
      body: { code: 'request-invalid' },
    });
    expect((await host.request('GET', '/v1/counter/a?twice=no')).status).toBe(400);
    expect((await host.request('DELETE', '/v1/counter')).status).toBe(404);
    expect((await host.request('PUT', '/v1/counter', { body: { count: 7 } })).status).toBe(204);
    await host.stop();
  });

  it('permits only what the manifest names', async () => {
    const manifest = {
      id: 'com.example.counter',
      topics: { subscribe: ['counter.*'] },
      provides: ['test.count'],
    };
    const host = await createTestHost(Counter, { manifest });
    const { bus, services, store } = host.context;
    const refused: (() => unknown)[] = [
      () => bus.publish('counter.add', 1),
      () => bus.subscribe('other', () => {}),
      () => services.get(GREETER),
      () => services.provide(GREETER, { greet: () => '' }),
      () => store.readAsync('dw://plugins/com.example.other/x'),
    ];
    const codes = await Promise.all(
      refused.map(async (action) => {
        try {
          await action();
        } catch (thrown) {
          return isDwError(thrown) ? thrown.code : thrown;
        }
        return 'nothing';
      }),
    );
    expect(codes).toEqual([
      'bus-not-permitted',
      'bus-not-permitted',
      'service-not-declared',
      'service-not-declared',
      'store-not-permitted',
    ]);
    await host.stop();
  });

  it('undoes a start that failed, and gives out its error', async () => {
    class Failing extends Counter {
      override activateAsync(): void {
        throw new Error('no disk');
      }
    }
    const host = new TestHost(new Failing(), {});
    await expect(host.start()).rejects.toThrow('no disk');
    expect((host.plugin as Counter).life).toContain('shutdown');
    host.assertNoLeaks();
  });

  it('names the step that hangs', async () => {
    class Hanging extends Counter {
      override drainAsync(): Promise<void> {
        return new Promise(() => {});
      }
    }
    const host = await createTestHost(Hanging, { stepTimeoutMs: 5 });
    await expect(host.stop()).rejects.toMatchObject({
      code: 'plugin-step-timeout',
      message: expect.stringContaining('drainAsync') as string,
    });
    expect((host.plugin as Counter).life).toContain('shutdown');
    host.assertNoLeaks();
  });

  it('refuses what is no plugin', async () => {
    await expect(createTestHost({} as never)).rejects.toMatchObject({ code: 'plugin-shape-invalid' });
  });
});

describe('createTestContext', () => {
  it('gives services, and a directory that goes with it', async () => {
    const test = createTestContext();
    test.provide(GREETER, { greet: () => 'hello' });
    expect(test.context.services.get(GREETER).greet()).toBe('hello');
    expect(test.context.services.tryGet(COUNT)).toBeUndefined();
    const { dataDir } = test.context;
    expect(existsSync(dataDir)).toBe(true);
    await test.dispose();
    expect(existsSync(dataDir)).toBe(false);
    test.assertNoLeaks();
  });

  it('hears of what fails where nobody awaits it', async () => {
    const test = createTestContext({ disposeTimeoutMs: 5 });
    const { bus, clock, background, onDispose } = test.context;
    bus.subscribe('a', () => Promise.reject(new Error('in a handler')));
    clock.setTimeout(() => {
      throw new Error('in a timer');
    }, 1);
    background('w', () => Promise.reject(new Error('in the background')));
    onDispose(() => new Promise(() => {}));
    onDispose(() => {
      throw new Error('in disposal');
    });
    bus.publish('a', 1);
    await test.advance(1);
    await test.dispose();
    expect(test.failures.map(({ where }) => where).toSorted()).toEqual([
      'a timer',
      'background task "w"',
      'disposal of onDispose',
      'disposal of onDispose',
      'handler of topic a',
    ]);
    expect(() => test.assertNoFailures()).toThrow('in a timer');
  });

  it('finds a background task that does not stop', async () => {
    const test = createTestContext({ disposeTimeoutMs: 5 });
    test.context.background('stubborn', () => new Promise(() => {}));
    await test.dispose();
    expect(() => test.assertNoLeaks()).toThrow('background task "stubborn"');
  });

  it('refuses every use after it was disposed of', async () => {
    const test = createTestContext();
    const { context } = test;
    await test.dispose();
    const uses = [
      () => context.clock.setTimeout(() => {}, 1),
      () => context.onDispose(() => {}),
      () => context.background('x', () => Promise.resolve()),
      () => context.services.tryGet(GREETER),
      () => context.routes.add({ method: 'GET', path: '/', summary: '', handler: () => ({}) }),
    ];
    for (const use of uses) expect(use).toThrow(/after it was stopped/);
    expect(() => context.bus.publish('a', 1)).toThrow(/closed/);
    await expect(context.store.readAsync(context.storePath('x'))).rejects.toThrow(/after it was stopped/);
    test.assertNoLeaks();
  });

  it('does not serve a route or a name twice', async () => {
    const test = createTestContext();
    const route = { method: 'GET', path: '/a/*', summary: '', handler: () => ({}) } as const;
    const added = test.context.routes.add(route);
    expect(() => test.context.routes.add(route)).toThrow(/served already/);
    expect((await test.request('GET', '/a/b/c')).status).toBe(200);
    added[Symbol.dispose]();
    expect((await test.request('GET', '/a/b/c')).status).toBe(404);
    await test.context.scaling.register(new Subsystem());
    await expect(test.context.scaling.register(new Subsystem())).rejects.toMatchObject({
      code: 'subsystem-taken',
    });
    await test.dispose();
  });
});
