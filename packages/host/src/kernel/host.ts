// The host: puts the parts together, starts them in order, and stops them in reverse, each step bounded in time.

import { join } from 'node:path';
import {
  FileBackingStore,
  InProcessBus,
  PluginStateChanged,
  SystemClock,
  isDwError,
} from '@datawarehouse/sdk';
import type {
  BusReport,
  Clock,
  DwError,
  IPersistentBackingStore,
  Logger,
  NodeInfo,
  ServiceToken,
} from '@datawarehouse/sdk';
import { registerAdminRoutes } from '../admin/admin-routes.js';
import type { NodeConfig } from '../config/node-config.js';
import { adminErrors, causeStack, causeText, hostErrors } from '../errors.js';
import { HttpServer } from '../http/http-server.js';
import { RouteTable } from '../http/route-table.js';
import { LimitsService } from '../limits/limits-service.js';
import { createLogger } from '../logging/create-logger.js';
import { runAsHost } from './attribution.js';
import { lockDataDir } from './data-dir-lock.js';
import { Discovery } from './discovery.js';
import { DisposalStack } from './disposal-stack.js';
import { HealthPoll } from './health-poll.js';
import { nodeInfoOf } from './node-info.js';
import { PackageResolver } from './package-resolver.js';
import type { PluginAdmin } from './plugin-admin.js';
import type { ImportModule } from './plugin-loader.js';
import { PluginLoader } from './plugin-loader.js';
import { PluginSupervisor } from './plugin-supervisor.js';
import { guardProcess } from './process-guard.js';
import { ServiceDirectory } from './service-directory.js';
import type { PluginStateChange } from './slot-reporter.js';

/** Exit code of a process whose host failed while it ran (EX_SOFTWARE of sysexits). */
export const FATAL_EXIT_CODE = 70;

/** How long a process may hang about after its host has failed and stopped, in milliseconds. */
const FATAL_LINGER_MS = 5_000;

/** Parts that an embedder or a test replaces. */
export interface HostOverrides {
  readonly log?: Logger;
  /** Drives deadlines, health checks and the timers of plugins. */
  readonly clock?: Clock;
  /** Used instead of the file store under the data directory; closed when the host stops. */
  readonly store?: IPersistentBackingStore;
  readonly importModule?: ImportModule;
  /**
   * Called when the host has failed while it ran (a failure that no plugin caused, or a required plugin lost) and has
   * stopped. Default: the process ends with {@link FATAL_EXIT_CODE}.
   */
  readonly onFatal?: (error: DwError) => void;
}

/** Where the host can be reached. */
export interface HostAddress {
  readonly url: string;
}

/** What is heard of parts that were made before the host that listens. */
interface Listeners {
  onReport: ((report: BusReport) => void) | undefined;
  onStoreFailed: ((error: DwError) => void) | undefined;
}

interface Parts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: IPersistentBackingStore;
  readonly bus: InProcessBus;
  readonly limits: LimitsService;
  readonly routes: RouteTable;
  readonly http: HttpServer;
  readonly services: ServiceDirectory;
  readonly listeners: Listeners;
}

/** How much of everything the host holds now; an operator's and a test's answer to "does anything leak?". */
export interface HostInventory {
  readonly subscriptions: number;
  readonly routes: number;
  readonly services: number;
  readonly subsystems: number;
}

async function createParts(
  config: NodeConfig,
  overrides: HostOverrides,
  owned: DisposalStack,
): Promise<Parts> {
  const clock = overrides.clock ?? new SystemClock();
  const log = overrides.log ?? createLogger({ nodeId: config.nodeId, ...config.log });
  const listeners: Listeners = { onReport: undefined, onStoreFailed: undefined };
  const lock = await lockDataDir(config.dataDir);
  owned.push('data directory lock', () => lock.release());
  const directory = join(config.dataDir, 'store');
  const onFailed = (error: DwError): void => listeners.onStoreFailed?.(error);
  const store = overrides.store ?? (await FileBackingStore.open({ directory, onFailed }));
  owned.push('store', () => store.closeAsync());
  const bus = new InProcessBus({ clock, onReport: (report) => listeners.onReport?.(report) });
  owned.push('bus', () => bus.close());
  const limits = new LimitsService({ bus, store, log, clock });
  limits.start();
  owned.push('limits', () => limits.stop());
  await limits.register('host', bus);
  const routes = new RouteTable();
  const http = new HttpServer({ config, routes, log });
  owned.push('HTTP server', () => http.close());
  return { clock, log, store, bus, limits, routes, http, listeners, services: new ServiceDirectory() };
}

/** One node: bus, store, limits, HTTP API, and the plugins. Runs once. */
export class Host {
  /** What operators can do to the plugins. */
  readonly plugins: PluginAdmin;
  /** The bus under the name `host`, with every permission. */
  readonly bus: InProcessBus;
  readonly #config: NodeConfig;
  readonly #overrides: HostOverrides;
  readonly #parts: Parts;
  readonly #owned: DisposalStack;
  readonly #supervisor: PluginSupervisor;
  readonly #discovery: Discovery;
  #node: NodeInfo;
  #state: 'new' | 'started' | 'stopping' = 'new';
  #stopped: Promise<void> | undefined;
  #fatal: DwError | undefined;

  private constructor(config: NodeConfig, overrides: HostOverrides, parts: Parts, owned: DisposalStack) {
    this.#config = config;
    this.#overrides = overrides;
    this.#parts = parts;
    this.#owned = owned;
    this.#node = nodeInfoOf(config, `http://${config.http.host}:${config.http.port}`);
    this.bus = parts.bus;
    this.#discovery = new Discovery(new PackageResolver({ baseDir: config.baseDir }), parts.log);
    const node = (): NodeInfo => this.#node;
    this.#supervisor = new PluginSupervisor({
      ports: {
        ...parts,
        timeouts: config.kernel,
        dataDir: config.dataDir,
        get node() {
          return node();
        },
      },
      loader: new PluginLoader(overrides.importModule),
      rediscover: (slot) => this.#discovery.read(slot.entry),
      onStateChanged: (change) => this.#announce(change),
      onRequiredLost: (id, problem) => this.#fail(hostErrors.requiredFailed(id, problem)),
    });
    this.plugins = this.#supervisor;
    parts.listeners.onReport = (report) => this.#onBusReport(report);
    parts.listeners.onStoreFailed = (error) => this.#fail(hostErrors.storeFailed(error));
    parts.http.whyUnserved = () => this.#supervisor.whyIncomplete();
    parts.routes.onFailure = (owner, error, route) =>
      this.#supervisor.crashed(owner, `its handler of ${route.method} ${route.path}`, error);
  }

  /**
   * Makes a host: takes the data directory's lock and opens the store. Nothing listens yet and no plugin is read.
   * @throws DwError `data-dir-in-use`, `data-dir-unusable`; what the store throws when it cannot be opened.
   */
  static async create(config: NodeConfig, overrides: HostOverrides = {}): Promise<Host> {
    const owned = new DisposalStack();
    try {
      return new Host(config, overrides, await createParts(config, overrides, owned), owned);
    } catch (error) {
      await owned.disposeAll({
        clock: new SystemClock(),
        timeoutMs: config.kernel.shutdownMs,
        run: (fn) => fn(),
      });
      throw error;
    }
  }

  /** A service that a plugin provides now, or undefined. */
  service<T>(token: ServiceToken<T>): T | undefined {
    return this.#parts.services.tryGet(token);
  }

  /** How much of everything the host holds now. */
  inventory(): HostInventory {
    const { bus, routes, services, limits } = this.#parts;
    return {
      subscriptions: bus.statistics().subscriptions,
      routes: routes.count(),
      services: services.size,
      subsystems: Object.keys(limits.metrics()).length,
    };
  }

  /** Why the host failed while it ran; undefined as long as it has not. */
  get failure(): DwError | undefined {
    return this.#fatal;
  }

  /**
   * Opens the HTTP API, then brings the plugins up. Resolves when each is active or cannot be; see
   * {@link PluginAdmin.readiness} for whether the node can serve. When it throws, everything has been stopped.
   * @throws DwError `required-plugin-failed`, `http-listen-failed`, `host-used`, `host-stopping` when it was stopped
   * meanwhile.
   */
  async start(): Promise<HostAddress> {
    if (this.#state !== 'new') throw hostErrors.notRestartable();
    this.#state = 'started';
    try {
      return await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops plugins, dependents first, then everything else. Never rejects; calling it again waits for the same end. */
  stop(): Promise<void> {
    this.#state = 'stopping';
    this.#stopped ??= runAsHost(() => this.#stop());
    return this.#stopped;
  }

  async #start(): Promise<HostAddress> {
    const { http, routes, limits, bus, log, clock } = this.#parts;
    const unguard = guardProcess({
      claim: (origin, error) => this.#supervisor.claim(origin, error),
      onFatal: (origin, error) => this.#fail(hostErrors.uncaught(origin, error)),
    });
    this.#owned.push('process handlers', unguard);
    const scoped = bus.scoped('http', { publish: ['>'], subscribe: ['>'] });
    const admin = registerAdminRoutes({
      routes,
      limits,
      http,
      bus: scoped,
      plugins: this.#supervisor,
      node: this.#node,
    });
    this.#owned.push('admin routes', () => {
      admin[Symbol.dispose]();
      scoped.dispose();
    });
    const { url } = await http.listen();
    this.#node = nodeInfoOf(this.#config, url);
    log.info({ url, version: this.#node.version }, `listening on ${url}`);
    await this.#supervisor.start(
      await this.#discovery.discover(this.#config.plugins, this.#config.extraPlugins),
    );
    if (this.#state !== 'started') throw adminErrors.stopping();
    const lost = this.#supervisor.requiredFailure();
    if (lost !== undefined) throw hostErrors.requiredFailed(lost.id, lost.problem);
    const poll = new HealthPoll({
      clock,
      everyMs: this.#config.kernel.healthEveryMs,
      ask: () => this.#supervisor.pollHealth(),
      isReady: () => this.#supervisor.readiness().ready,
      onFailed: (error) => log.error({ error: causeText(error) }, 'asking plugins how they are failed'),
    });
    this.#owned.push('health checks', () => poll.stop());
    log.info({ url }, `ready on ${url}`);
    return { url };
  }

  async #stop(): Promise<void> {
    const { clock, log } = this.#parts;
    log.info('stopping');
    await this.#supervisor.stop();
    const problems = await this.#owned.disposeAll({
      clock,
      timeoutMs: this.#config.kernel.shutdownMs,
      run: (fn) => fn(),
    });
    for (const problem of problems) {
      const error = problem.kind === 'failed' ? causeText(problem.error) : 'it took too long';
      log.error(
        { code: 'host-stop-incomplete', what: problem.what, error },
        `could not close the ${problem.what}`,
      );
    }
    log.info('stopped');
  }

  /** The host cannot go on: says why, stops cleanly, and hands over to whoever runs it. */
  #fail(problem: DwError): void {
    const { log } = this.#parts;
    const stack = causeStack(problem.cause);
    log.error(
      { code: problem.code, hint: problem.hint, ...(stack !== undefined && { stack }) },
      problem.message,
    );
    if (this.#fatal !== undefined) return;
    this.#fatal = problem;
    const finish = this.#overrides.onFatal ?? endProcess;
    const stopAndFinish = async (): Promise<void> => {
      await this.stop();
      finish(problem);
    };
    stopAndFinish().catch((thrown: unknown) => {
      log.error({ error: causeText(thrown) }, 'could not hand over after the failure of the host');
    });
  }

  #announce(change: PluginStateChange): void {
    try {
      this.bus.publish(PluginStateChanged, { ...change });
    } catch (error) {
      // While the host stops the bus may be closed before the last plugin is.
      if (!isDwError(error, 'bus-closed')) throw error;
    }
  }

  #onBusReport({ kind, topic, subscriber, count, error }: BusReport): void {
    if (kind !== 'handler-failed') {
      this.#parts.log.warn(
        { plugin: subscriber, topic, count },
        `${count} messages on ${topic} were ${kind}`,
      );
      return;
    }
    // A DwError is a failure the plugin has foreseen; anything else is a crash.
    if (isDwError(error)) {
      const { code, message } = error;
      this.#parts.log.warn({ plugin: subscriber, topic, count, code }, message);
      return;
    }
    this.#supervisor.crashed(subscriber, `a handler of ${topic}`, error, count);
  }
}

function endProcess(): void {
  process.exitCode = FATAL_EXIT_CODE;
  // The process ends by itself when nothing is left; this is for what a plugin may have left open.
  setTimeout(() => process.exit(FATAL_EXIT_CODE), FATAL_LINGER_MS).unref();
}
