// Drives one plugin through its whole life without a host, so that its author tests it with the SDK alone.

import type { PluginBase, PluginExport, ServiceToken } from '../plugin/index.js';
import { boundedWait } from './bounded-wait.js';
import { notAPlugin, stepTimeout } from './errors.js';
import type { TestContextOptions } from './test-context.js';
import { TestContext } from './test-context.js';

/** Options of {@link createTestHost}. */
export interface TestHostOptions extends TestContextOptions {
  /** Real milliseconds that one step of the plugin's life may take. Default 5 000. */
  readonly stepTimeoutMs?: number;
  /** Services that other plugins would provide, given before the plugin is initialized. */
  readonly services?: readonly { readonly token: ServiceToken<unknown>; readonly service: unknown }[];
}

/** A plugin under test with the context that it runs in. */
export class TestHost extends TestContext {
  private readonly stepTimeoutMs: number;
  private phase: 'made' | 'initialized' | 'active' | 'stopped' = 'made';

  /** @internal Use {@link createTestHost}. */
  constructor(
    readonly plugin: PluginBase,
    options: TestHostOptions,
  ) {
    super({ pluginId: plugin.id, ...options });
    this.stepTimeoutMs = options.stepTimeoutMs ?? 5_000;
  }

  /**
   * Initializes and activates the plugin. When a step fails, what came before is undone.
   * @throws what the step throws; DwError `plugin-step-timeout` when it hangs.
   */
  async start(): Promise<void> {
    try {
      await this.step('initializeAsync', () => this.plugin.initializeAsync(this.context));
      this.phase = 'initialized';
      await this.step('activateAsync', (signal) => this.plugin.activateAsync(signal));
      this.phase = 'active';
    } catch (thrown) {
      // What fails while a failed start is undone is kept beside the others; the first failure is what matters.
      await this.stop().catch((also: unknown) => this.fail('stopping after a failed start', also));
      throw thrown;
    }
  }

  /**
   * Drains and shuts down the plugin as far as it had come, and disposes of all that it took from its context, in
   * reverse order. Every step is taken even when one before it failed. Calling it again does nothing.
   * @throws what the first failing step threw; DwError `plugin-step-timeout`.
   */
  async stop(): Promise<void> {
    const { phase } = this;
    if (phase === 'stopped') return;
    this.phase = 'stopped';
    const errors: unknown[] = [];
    const attempt = (name: string, action: (signal: AbortSignal) => unknown): Promise<unknown> =>
      this.step(name, action).catch((thrown: unknown) => errors.push(thrown));
    if (phase === 'active') await attempt('drainAsync', (signal) => this.plugin.drainAsync(signal));
    if (phase !== 'made') await attempt('shutdownAsync', () => this.plugin.shutdownAsync());
    await super.dispose();
    if (errors.length > 0) throw errors[0];
  }

  /** As {@link stop}. */
  override async dispose(): Promise<void> {
    await this.stop();
  }

  private async step(name: string, action: (signal: AbortSignal) => unknown): Promise<void> {
    const controller = new AbortController();
    const outcome = await boundedWait(() => action(controller.signal), this.stepTimeoutMs);
    if (outcome === 'done') return;
    const error = stepTimeout(this.plugin.id, name, this.stepTimeoutMs);
    controller.abort(error);
    throw error;
  }
}

/**
 * Makes a plugin, or takes one, and starts it.
 * @param plugin what the entry module exports as `plugin`, or a plugin.
 * @throws what the plugin throws; DwError `plugin-step-timeout`, `plugin-shape-invalid`.
 * @example
 * ```ts
 * const host = await createTestHost(Counter, { manifest });
 * await host.bus.publishAndWait('counter.add', 1);
 * expect((await host.request('GET', '/v1/counter')).body).toEqual({ count: 1 });
 * await host.stop();
 * host.assertNoLeaks();
 * host.assertNoFailures();
 * ```
 */
export async function createTestHost(
  plugin: PluginBase | PluginExport,
  options: TestHostOptions = {},
): Promise<TestHost> {
  const host = new TestHost(await made(plugin), options);
  for (const { token, service } of options.services ?? []) host.provide(token, service);
  await host.start();
  return host;
}

async function made(plugin: PluginBase | PluginExport): Promise<PluginBase> {
  const instance: unknown = typeof plugin === 'function' ? await construct(plugin) : plugin;
  if (typeof instance !== 'object' || instance === null || !('initializeAsync' in instance)) {
    throw notAPlugin(instance === null ? 'null' : `a ${typeof instance}`);
  }
  return instance as PluginBase;
}

/** A class can only be called with `new`, and its source text begins with that word. */
function construct(plugin: PluginExport): PluginBase | Promise<PluginBase> {
  const isClass = /^class\b/.test(Function.prototype.toString.call(plugin));
  return isClass
    ? new (plugin as new () => PluginBase)()
    : (plugin as () => PluginBase | Promise<PluginBase>)();
}
