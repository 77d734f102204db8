// A plugin's context for tests, with nothing behind it but memory: an in-process bus, a store, a clock that the test
// turns, and routes that the test calls. It keeps the host's rules, so that what passes here runs there.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusReport } from '../bus/index.js';
import { ALL_TOPICS, InProcessBus } from '../bus/index.js';
import { errorMessage } from '../errors/index.js';
import type { IPersistentBackingStore } from '../persistence/index.js';
import { MemoryBackingStore } from '../persistence/index.js';
import type { NodeInfo, PluginContext, PluginManifest, ServiceToken } from '../plugin/index.js';
import { SDK_VERSION } from '../plugin/index.js';
import type { IScalableSubsystem } from '../scaling/index.js';
import { boundedWait } from './bounded-wait.js';
import { contextErrors } from './errors.js';
import { FakeClock, settle } from './fake-clock.js';
import type { LogRecordLine } from './recorded-log.js';
import { recordingLogger } from './recorded-log.js';
import { TestRoutes } from './test-routes.js';
import type { TestRequest, TestResponse } from './test-routes.js';
import { TestStore } from './test-store.js';
import { TrackedClock } from './tracked-clock.js';
import type { HttpMethod } from '../http/index.js';

/** Options of {@link createTestContext}. */
export interface TestContextOptions {
  /** Default: the manifest's id, or `com.example.test`. */
  readonly pluginId?: string;
  /** The plugin's manifest: its topics and services are permitted and no others. Left out: everything is permitted. */
  readonly manifest?: Partial<PluginManifest>;
  /** Given to the plugin as it is. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly node?: Partial<NodeInfo>;
  /** Default: a new store in memory. It is the test's, and stays open. */
  readonly store?: IPersistentBackingStore;
  readonly clock?: FakeClock;
  /** Real milliseconds that one step of disposal may take. Default 2 000. */
  readonly disposeTimeoutMs?: number;
}

/** Something that went wrong where nobody awaited it. */
export interface TestFailure {
  /** `background task "x"`, `a timer`, `handler of topic x`, `disposal of route GET /x`, … */
  readonly where: string;
  readonly error: unknown;
}

interface Disposer {
  readonly what: string;
  readonly dispose: () => unknown;
}

/** A {@link PluginContext} and what a test needs around it. Made by {@link createTestContext}. */
export class TestContext implements AsyncDisposable {
  /** What the plugin under test is given. */
  readonly context: PluginContext;
  readonly clock: FakeClock;
  /** The bus as the rest of the world sees it, without the plugin's name and permissions. */
  readonly bus: InProcessBus;
  /** The whole store, not only the plugin's part. */
  readonly store: IPersistentBackingStore;
  /** What was logged, oldest first. */
  readonly logs: readonly LogRecordLine[];
  /** What failed where nobody awaited it. */
  readonly failures: readonly TestFailure[];
  /** Subsystems that the plugin registered, by name. */
  readonly subsystems: ReadonlyMap<string, IScalableSubsystem>;
  private readonly lines: LogRecordLine[] = [];
  private readonly failed: TestFailure[] = [];
  private readonly registered = new Map<string, IScalableSubsystem>();
  private readonly given = new Map<string, unknown>();
  private readonly provided = new Map<string, unknown>();
  private readonly routes: TestRoutes;
  private readonly timers: TrackedClock;
  private readonly disposers: Disposer[] = [];
  private readonly background = new Map<Promise<void>, string>();
  private readonly controller = new AbortController();
  private readonly disposeTimeoutMs: number;
  private directory: string | undefined;
  private state: 'open' | 'closing' | 'closed' = 'open';

  /** @internal Use {@link createTestContext}. */
  constructor(private readonly options: TestContextOptions) {
    this.clock = options.clock ?? new FakeClock();
    this.store = options.store ?? new MemoryBackingStore();
    this.disposeTimeoutMs = options.disposeTimeoutMs ?? 2_000;
    this.bus = new InProcessBus({
      sender: 'test',
      clock: this.clock,
      onReport: (report) => this.busFailed(report),
    });
    this.logs = this.lines;
    this.failures = this.failed;
    this.subsystems = this.registered;
    const id = options.pluginId ?? options.manifest?.id ?? 'com.example.test';
    this.routes = new TestRoutes(id);
    this.timers = new TrackedClock(this.clock, () => this.assertUsable(), this.fail);
    this.context = this.makeContext(id);
  }

  /** Gives the plugin a service that another plugin would provide. */
  provide<T>(token: ServiceToken<T>, service: T): void {
    this.given.set(token.id, service);
  }

  /** A service that the plugin under test provides; undefined when it does not, or no longer. */
  service<T>(token: ServiceToken<T>): T | undefined {
    return this.provided.get(token.id) as T | undefined;
  }

  /** Calls a route of the plugin, such as `request('GET', '/v1/things/1?full=true')`. */
  request(method: HttpMethod, path: string, request?: TestRequest): Promise<TestResponse> {
    return this.routes.request(method, path, request);
  }

  /** `GET /v1/things/:id` for each route that is served now. */
  get servedRoutes(): readonly string[] {
    return this.routes.registered;
  }

  /** Lets `ms` pass on the clock, with promises and bus messages getting their turn in between. Default 0. */
  async advance(ms: number = 0): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  /**
   * Stops the context as the host does: aborts its signal, waits for background tasks, and disposes of all that was
   * taken from it, latest first, each step by itself. Never rejects: see {@link failures}. Calling it again does
   * nothing.
   */
  async dispose(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'closing';
    this.controller.abort(contextErrors.closed(this.context.pluginId));
    this.provided.clear();
    await this.endBackground();
    this.timers.cancelAll();
    for (const disposer of this.disposers.toReversed()) await this.runDisposer(disposer);
    this.timers.cancelAll();
    this.state = 'closed';
    this.bus.close();
    if (this.directory !== undefined) rmSync(this.directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** @throws Error naming everything that is still there. Call it after {@link dispose}. */
  assertNoLeaks(): void {
    const left = [
      ...this.routes.registered.map((route) => `route ${route}`),
      ...[...this.registered.keys()].map((name) => `subsystem ${name}`),
      ...[...this.background.values()].map((name) => `background task "${name}"`),
      ...this.clock.pendingTimers().map((timer) => `${timer.kind} due at ${timer.due} ms`),
    ];
    const { subscriptions, queued } = this.bus.statistics();
    if (subscriptions > 0) left.push(`${subscriptions} subscriptions`);
    if (queued > 0) left.push(`${queued} messages`);
    if (this.state !== 'closed') left.push('the context itself, which was not disposed of');
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  }

  /** @throws AggregateError with everything that failed where nobody awaited it. */
  assertNoFailures(): void {
    if (this.failed.length === 0) return;
    const text = this.failed.map(({ where, error }) => `${where}: ${errorMessage(error)}`).join('; ');
    throw new AggregateError(
      this.failed.map((failure) => failure.error),
      `failed unnoticed: ${text}`,
    );
  }

  private makeContext(id: string): PluginContext {
    const { manifest, config = {} } = this.options;
    const topics = { publish: manifest?.topics?.publish ?? [], subscribe: manifest?.topics?.subscribe ?? [] };
    const scoped = this.bus.scoped(id, manifest === undefined ? ALL_TOPICS : topics);
    this.disposers.push({ what: 'the bus', dispose: () => scoped.dispose() });
    const dataDir = (): string => (this.directory ??= mkdtempSync(join(tmpdir(), 'dw-test-')));
    return {
      pluginId: id,
      node: nodeInfo(this.options.node),
      config,
      log: recordingLogger(this.lines, { plugin: id }),
      bus: scoped,
      services: {
        get: (token) => this.getService(token),
        tryGet: (token) => this.tryService(token),
        provide: (token, service) => this.provideService(token, service),
      },
      routes: {
        add: (route) =>
          this.track(
            `route ${route.path}`,
            this.whenOpen(() => this.routes.add(route)),
          ),
      },
      scaling: { register: async (subsystem) => this.registerSubsystem(subsystem) },
      store: new TestStore(this.store, id, () => this.assertUsable()),
      storePath: (...segments) => `dw://plugins/${id}/${segments.join('/')}`,
      get dataDir() {
        return dataDir();
      },
      clock: this.timers,
      signal: this.controller.signal,
      background: (name, task) => this.runBackground(name, task),
      onDispose: (dispose) => this.whenOpen(() => void this.disposers.push({ what: 'onDispose', dispose })),
    };
  }

  private runBackground(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    this.assertOpen();
    const run = async (): Promise<void> => {
      try {
        await task(this.controller.signal);
      } catch (thrown) {
        // Tasks commonly end by throwing the reason of the signal that ended them.
        if (!this.controller.signal.aborted) this.fail(`background task "${name}"`, thrown);
      }
    };
    const running = run().finally(() => this.background.delete(running));
    this.background.set(running, name);
  }

  private async endBackground(): Promise<void> {
    await settle();
    if (this.background.size === 0) return;
    const all = Promise.all(this.background.keys());
    if ((await boundedWait(() => all, this.disposeTimeoutMs)) === 'done') return;
    for (const name of this.background.values()) {
      this.fail(`background task "${name}"`, new Error('it did not end when its signal aborted'));
    }
  }

  private async runDisposer({ what, dispose }: Disposer): Promise<void> {
    try {
      const outcome = await boundedWait(dispose, this.disposeTimeoutMs);
      if (outcome === 'late') this.fail(`disposal of ${what}`, new Error('it did not end in time'));
    } catch (thrown) {
      this.fail(`disposal of ${what}`, thrown);
    }
  }

  private registerSubsystem(subsystem: IScalableSubsystem): Disposable {
    this.assertOpen();
    const name = subsystem.subsystemName;
    if (this.registered.has(name)) throw contextErrors.subsystemTaken(this.context.pluginId, name);
    this.registered.set(name, subsystem);
    return this.track(`subsystem ${name}`, {
      [Symbol.dispose]: () => {
        if (this.registered.get(name) === subsystem) this.registered.delete(name);
      },
    });
  }

  private getService<T>(token: ServiceToken<T>): T {
    const service = this.tryService(token);
    if (service === undefined) throw contextErrors.serviceMissing(this.context.pluginId, token.id);
    return service;
  }

  private tryService<T>(token: ServiceToken<T>): T | undefined {
    this.assertUsable();
    if (this.options.manifest?.optional?.includes(token.id) !== true) {
      this.assertDeclared(token.id, 'requires');
    }
    return this.given.get(token.id) as T | undefined;
  }

  private provideService<T>(token: ServiceToken<T>, service: T): void {
    this.assertOpen();
    this.assertDeclared(token.id, 'provides');
    if (this.provided.has(token.id)) throw contextErrors.serviceTaken(this.context.pluginId, token.id);
    this.provided.set(token.id, service);
  }

  private assertDeclared(service: string, list: 'provides' | 'requires'): void {
    const { manifest } = this.options;
    if (manifest === undefined || manifest[list]?.includes(service) === true) return;
    throw contextErrors.serviceNotDeclared(this.context.pluginId, service, list);
  }

  private track(what: string, inner: Disposable): Disposable {
    const disposer: Disposer = { what, dispose: () => inner[Symbol.dispose]() };
    this.disposers.push(disposer);
    return {
      [Symbol.dispose]: () => {
        const index = this.disposers.indexOf(disposer);
        if (index !== -1) this.disposers.splice(index, 1);
        inner[Symbol.dispose]();
      },
    };
  }

  private whenOpen<T>(action: () => T): T {
    this.assertOpen();
    return action();
  }

  private assertOpen(): void {
    if (this.state !== 'open') throw contextErrors.closed(this.context.pluginId);
  }

  private assertUsable(): void {
    if (this.state === 'closed') throw contextErrors.closed(this.context.pluginId);
  }

  /** Keeps what failed where nobody awaited it. */
  protected readonly fail = (where: string, error: unknown): void => {
    this.failed.push({ where, error });
  };

  private busFailed(report: BusReport): void {
    if (report.kind === 'handler-failed') this.fail(`handler of topic ${report.topic}`, report.error);
  }
}

/** Makes a context for a plugin under test. */
export function createTestContext(options: TestContextOptions = {}): TestContext {
  return new TestContext(options);
}

function nodeInfo(given: Partial<NodeInfo> = {}): NodeInfo {
  const peers = given.peers ?? { n1: '127.0.0.1:7500' };
  return {
    nodeId: 'n1',
    clusterId: 'test',
    version: SDK_VERSION,
    httpUrl: 'http://127.0.0.1:7400',
    peer: { host: '127.0.0.1', port: 7500 },
    client: undefined,
    ...given,
    peers,
  };
}
