// What a plugin is given, and the record of all it took: closing the context undoes everything in reverse order,
// each step isolated and bounded. After that the context refuses every use, so that a step that comes back late can
// leave nothing behind.

import { join } from 'node:path';
import type {
  Clock,
  IMessageBus,
  IPersistentBackingStore,
  Logger,
  NodeInfo,
  PluginContext,
  RouteDefinition,
  RouteRegistry,
  ScalingRegistry,
  ServiceRegistry,
  ServiceToken,
} from '@datawarehouse/sdk';
import { causeText, contextErrors } from '../errors.js';
import type { PluginScope } from './attribution.js';
import { runAsHost, runInScope } from './attribution.js';
import type { PluginDefinition } from './discovery.js';
import type { DisposalProblem } from './disposal-stack.js';
import { DisposalStack } from './disposal-stack.js';
import { PluginBus } from './plugin-bus.js';
import { PluginClock } from './plugin-clock.js';
import { PluginStore } from './plugin-store.js';
import type { KernelPorts } from './ports.js';
import type { PluginServices } from './service-directory.js';

/** Where a plugin keeps its files. */
export function pluginDataDir(dataDir: string, pluginId: string): string {
  return join(dataDir, 'plugins', pluginId);
}

/** The context of one life of a plugin. */
export class HostPluginContext implements PluginContext {
  readonly pluginId: string;
  readonly node: NodeInfo;
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Logger;
  readonly bus: IMessageBus;
  readonly services: ServiceRegistry;
  readonly routes: RouteRegistry;
  readonly scaling: ScalingRegistry;
  readonly store: IPersistentBackingStore;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly #ports: KernelPorts;
  readonly #scope: PluginScope;
  readonly #definition: PluginDefinition;
  readonly #stack = new DisposalStack();
  readonly #timers: PluginClock;
  readonly #provided: PluginServices;
  readonly #controller = new AbortController();
  readonly #background = new Set<Promise<void>>();
  /**
   * `open`: everything is allowed. `closing`: what a disposer may need (the store, publishing, timers) still works,
   * and nothing new is tracked. `closed`: everything is refused.
   */
  #state: 'open' | 'closing' | 'closed' = 'open';

  constructor(definition: PluginDefinition, scope: PluginScope, ports: KernelPorts) {
    const { id, manifest } = definition;
    this.#ports = ports;
    this.#scope = scope;
    this.#definition = definition;
    this.pluginId = id;
    this.node = ports.node;
    this.config = definition.config;
    this.log = ports.log.child({ plugin: id });
    this.dataDir = pluginDataDir(ports.dataDir, id);
    const assertOpen = (): void => this.#assertOpen();
    const assertUsable = (): void => this.#assertUsable();
    const topics = { publish: manifest.topics?.publish ?? [], subscribe: manifest.topics?.subscribe ?? [] };
    const bus = ports.bus.scoped(id, topics, (fn) => runInScope(scope, fn));
    // The first thing taken is the last let go: it ends what is still being asked over the bus by then.
    this.#stack.push('bus', () => bus[Symbol.dispose]());
    const track = (what: string, dispose: () => void): (() => void) => this.#stack.push(what, dispose).forget;
    this.bus = new PluginBus(bus, { assertOpen, assertUsable, track });
    this.#timers = new PluginClock(ports.clock, {
      assertUsable,
      guard: (where, callback) => this.#guard(where, callback),
    });
    this.clock = this.#timers;
    const root = `dw://plugins/${id}/`;
    this.store = new PluginStore(ports.store, {
      root,
      assertUsable,
      refuse: (path) => contextErrors.storeNotPermitted(id, path, root),
    });
    this.#provided = ports.services.forPlugin(scope);
    this.services = {
      get: (token) => this.#service(token),
      tryGet: (token) => this.#tryService(token),
      provide: (token, service) => this.#provide(token, service),
    };
    this.routes = { add: (route) => this.#addRoute(route) };
    this.scaling = {
      register: (subsystem) =>
        this.#own(`limits of ${subsystem.subsystemName}`, () => ports.limits.register(id, subsystem)),
    };
  }

  /** Aborts when the plugin is stopped. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ids of the services it provides now. */
  get provided(): readonly string[] {
    return this.#provided.provided;
  }

  /** What is held for the plugin now; all zero after {@link close}. */
  get holdings(): { readonly tracked: number; readonly timers: number; readonly background: number } {
    return { tracked: this.#stack.size, timers: this.#timers.pending, background: this.#background.size };
  }

  storePath(...segments: readonly string[]): string {
    return `dw://plugins/${this.pluginId}/${segments.join('/')}`;
  }

  background(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    this.#assertOpen();
    const run = async (): Promise<void> => {
      try {
        await runInScope(this.#scope, () => task(this.signal));
      } catch (error) {
        // Tasks commonly end by throwing the reason of the signal that ended them.
        if (!this.signal.aborted) this.#scope.onCrash(`background task "${name}"`, error);
      }
    };
    const running = run().finally(() => this.#background.delete(running));
    this.#background.add(running);
  }

  onDispose(dispose: () => void | Promise<void>): void {
    this.#assertOpen();
    this.#stack.push('onDispose', dispose);
  }

  /** Aborts {@link signal}: background tasks begin to end. Calling it again does nothing. */
  abort(): void {
    runInScope(this.#scope, () => this.#controller.abort(contextErrors.closed(this.pluginId)));
  }

  /**
   * Undoes everything, latest first, and refuses every use from now on. Never rejects.
   * @returns what could not be undone.
   */
  async close(): Promise<readonly DisposalProblem[]> {
    if (this.#state !== 'open') return [];
    this.#state = 'closing';
    this.abort();
    // Services go first: those who hold one must not reach a plugin that is half undone.
    this.#provided.revokeAll();
    // Tasks get to end while timers still run, for they may be waiting on one.
    this.#stack.push('timers', () => this.#timers.cancelAll());
    this.#stack.push('background tasks', () => Promise.all(this.#background));
    const { clock, timeouts } = this.#ports;
    const problems = await this.#stack.disposeAll({
      clock,
      timeoutMs: timeouts.disposeMs,
      run: (fn) => runInScope(this.#scope, fn),
    });
    this.#state = 'closed';
    this.#timers.cancelAll();
    return problems;
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw contextErrors.closed(this.pluginId);
  }

  #assertUsable(): void {
    if (this.#state === 'closed') throw contextErrors.closed(this.pluginId);
  }

  #guard(where: string, callback: () => unknown): void {
    if (this.#state === 'closed') return;
    runInScope(this.#scope, () => {
      try {
        const result = callback();
        if (result instanceof Promise) result.catch((error: unknown) => this.#scope.onCrash(where, error));
      } catch (error) {
        this.#scope.onCrash(where, error);
      }
    });
  }

  #service<T>(token: ServiceToken<T>): T {
    const service = this.#tryService(token);
    if (service === undefined) throw contextErrors.serviceMissing(this.pluginId, token.id);
    return service;
  }

  #tryService<T>(token: ServiceToken<T>): T | undefined {
    this.#assertUsable();
    const { requires, optional } = this.#definition.manifest;
    if (requires?.includes(token.id) !== true && optional?.includes(token.id) !== true) {
      throw contextErrors.serviceNotDeclared(this.pluginId, token.id, 'requires');
    }
    return this.#ports.services.tryGet(token);
  }

  #provide<T>(token: ServiceToken<T>, service: T): void {
    this.#assertOpen();
    if (this.#definition.manifest.provides?.includes(token.id) !== true) {
      throw contextErrors.serviceNotDeclared(this.pluginId, token.id, 'provides');
    }
    this.#provided.provide(token.id, service);
  }

  #addRoute(route: RouteDefinition): Disposable {
    this.#assertOpen();
    const added = runAsHost(() =>
      this.#ports.routes.add(this.pluginId, route, (fn) => runInScope(this.#scope, fn)),
    );
    return this.#trackDisposable(`route ${route.method} ${route.path}`, added);
  }

  /** Takes over what arrives later; if the plugin was stopped meanwhile it is undone at once. */
  async #own(what: string, arrive: () => Promise<Disposable>): Promise<Disposable> {
    this.#assertOpen();
    const arrived = await runAsHost(arrive);
    if (this.#state === 'open') return this.#trackDisposable(what, arrived);
    try {
      arrived[Symbol.dispose]();
    } catch (error) {
      this.log.error(
        { what, error: causeText(error) },
        'could not undo what came after the plugin was stopped',
      );
    }
    throw contextErrors.closed(this.pluginId);
  }

  #trackDisposable(what: string, inner: Disposable): Disposable {
    const dispose = (): void => inner[Symbol.dispose]();
    const { forget } = this.#stack.push(what, dispose);
    return {
      [Symbol.dispose]: () => {
        forget();
        dispose();
      },
    };
  }
}
