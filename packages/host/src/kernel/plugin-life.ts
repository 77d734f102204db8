// One life of a plugin, from loading its code to letting go of everything it took. Each step has a deadline; a
// failure ends the life and is told once; what comes back after its time finds the context closed.

import { mkdir } from 'node:fs/promises';
import { isDwError } from '@datawarehouse/sdk';
import type { DwError, HealthCheckResult, PluginBase } from '@datawarehouse/sdk';
import { causeText, loadErrors, stepErrors } from '../errors.js';
import type { PluginScope } from './attribution.js';
import { runInScope } from './attribution.js';
import { runBounded } from './bounded-step.js';
import type { PluginDefinition } from './discovery.js';
import { readHealth } from './health-reading.js';
import { HostPluginContext, pluginDataDir } from './host-plugin-context.js';
import type { PluginPhase, PluginState } from './plugin-admin.js';
import type { PluginLoader } from './plugin-loader.js';
import type { KernelPorts } from './ports.js';

type StartingState = Extract<PluginState, 'loading' | 'initializing' | 'activating'>;

/** What a life tells its owner. */
export interface PluginLifeEvents {
  /** It entered a step on its way up. */
  readonly onState: (state: StartingState) => void;
}

interface StepOptions {
  readonly phase: PluginPhase;
  readonly timeoutMs: number;
  readonly abort?: AbortSignal;
}

/** One life of one plugin. */
export class PluginLife {
  readonly #definition: PluginDefinition;
  readonly #scope: PluginScope;
  readonly #ports: KernelPorts;
  readonly #loader: PluginLoader;
  readonly #events: PluginLifeEvents;
  readonly #aborter = new AbortController();
  #plugin: PluginBase | undefined;
  #context: HostPluginContext | undefined;
  /** Whether `initializeAsync` has completed, so that `shutdownAsync` has something to undo. */
  #initialized = false;
  #active = false;
  #ended: Promise<readonly DwError[]> | undefined;
  #name: string;
  #healthRunning = false;

  constructor(
    definition: PluginDefinition,
    scope: PluginScope,
    ports: KernelPorts,
    loader: PluginLoader,
    events: PluginLifeEvents,
  ) {
    this.#definition = definition;
    this.#scope = scope;
    this.#ports = ports;
    this.#loader = loader;
    this.#events = events;
    this.#name = definition.id;
  }

  /** The plugin's name for people; its id until it is constructed. */
  get name(): string {
    return this.#name;
  }

  /**
   * Loads, constructs, initializes and activates. Runs once.
   * @throws DwError of the step that failed. Nothing is undone yet: call {@link end}.
   */
  async start(): Promise<void> {
    const { loadMs, initializeMs, activateMs } = this.#ports.timeouts;
    const abort = this.#aborter.signal;
    this.#events.onState('loading');
    const exported = await this.#step({ phase: 'load', timeoutMs: loadMs, abort }, () =>
      this.#loader.load(this.#definition),
    );
    const plugin = await this.#step({ phase: 'construct', timeoutMs: loadMs, abort }, () =>
      this.#loader.construct(this.#definition, exported),
    );
    // Ended while the constructor ran: then nobody would close a context that is made now.
    if (abort.aborted) throw stepErrors.aborted(this.#definition.id, 'construct');
    this.#plugin = plugin;
    this.#name = plugin.name.slice(0, 128);
    this.#events.onState('initializing');
    const context = new HostPluginContext(this.#definition, this.#scope, this.#ports);
    this.#context = context;
    await this.#step({ phase: 'initialize', timeoutMs: initializeMs, abort }, async () => {
      await mkdir(pluginDataDir(this.#ports.dataDir, this.#definition.id), { recursive: true });
      await plugin.initializeAsync(context);
    });
    this.#initialized = true;
    this.#events.onState('activating');
    await this.#step({ phase: 'activate', timeoutMs: activateMs, abort }, (signal) =>
      plugin.activateAsync(signal),
    );
    const missing = (this.#definition.manifest.provides ?? []).filter((id) => !context.provided.includes(id));
    if (missing.length > 0) throw stepErrors.notProvided(this.#definition.id, missing);
    this.#active = true;
  }

  /**
   * Ends the life: drains if it was active, shuts down if it was initialized, undoes all it took. Never rejects;
   * calling it again gives the same answer.
   * @returns what went wrong on the way; the life has ended all the same.
   */
  end(): Promise<readonly DwError[]> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  /**
   * Asks the plugin how it is. Never rejects: silence and nonsense are answers too. While an earlier question is
   * unanswered it is not asked again.
   */
  async checkHealth(): Promise<HealthCheckResult> {
    const plugin = this.#plugin;
    const { healthMs } = this.#ports.timeouts;
    const late = {
      status: 'unhealthy',
      message: `no answer to a health check within ${healthMs} ms`,
    } as const;
    if (plugin === undefined || this.#healthRunning) return late;
    this.#healthRunning = true;
    const done = (): void => {
      this.#healthRunning = false;
    };
    const outcome = await runBounded(() => runInScope(this.#scope, () => plugin.checkHealthAsync()), {
      clock: this.#ports.clock,
      timeoutMs: healthMs,
      abort: this.#aborter.signal,
      onLate: done,
    });
    if (outcome.kind === 'timeout' || outcome.kind === 'aborted') return late;
    done();
    if (outcome.kind === 'failed') return { status: 'unhealthy', message: causeText(outcome.error) };
    return readHealth(outcome.value);
  }

  async #end(): Promise<readonly DwError[]> {
    const problems: DwError[] = [];
    const plugin = this.#plugin;
    const context = this.#context;
    this.#aborter.abort();
    const tryStep = async (
      phase: PluginPhase,
      timeoutMs: number,
      run: (s: AbortSignal) => unknown,
    ): Promise<void> => {
      try {
        await this.#step({ phase, timeoutMs }, run);
      } catch (error) {
        if (isDwError(error)) problems.push(error);
      }
    };
    const { drainMs, shutdownMs, disposeMs } = this.#ports.timeouts;
    if (this.#active) await tryStep('drain', drainMs, (signal) => plugin?.drainAsync(signal));
    context?.abort();
    if (this.#initialized) await tryStep('shutdown', shutdownMs, () => plugin?.shutdownAsync());
    for (const problem of (await context?.close()) ?? []) {
      const { id } = this.#definition;
      const what = `undoing ${problem.what}`;
      problems.push(
        problem.kind === 'timeout'
          ? stepErrors.timeout(id, 'dispose', disposeMs, what)
          : stepErrors.failed(id, 'dispose', problem.error, what),
      );
    }
    // From here on nothing of the host leads to the plugin's object.
    this.#plugin = undefined;
    this.#context = undefined;
    return problems;
  }

  async #step<T>(options: StepOptions, run: (signal: AbortSignal) => Promise<T> | T): Promise<T> {
    const { phase, timeoutMs, abort } = options;
    const { id } = this.#definition;
    const { log, clock } = this.#ports;
    const outcome = await runBounded((signal) => runInScope(this.#scope, () => run(signal)), {
      clock,
      timeoutMs,
      ...(abort && { abort }),
      onLate: (late) => {
        const error = 'error' in late ? { error: causeText(late.error) } : {};
        log.warn(
          { plugin: id, phase, ...error },
          `plugin ${id} came back from ${phase} after it was given up`,
        );
      },
    });
    switch (outcome.kind) {
      case 'done':
        return outcome.value;
      case 'timeout':
        throw stepErrors.timeout(id, phase, timeoutMs);
      case 'aborted':
        throw stepErrors.aborted(id, phase);
      case 'failed':
        throw this.#failure(phase, outcome.error);
    }
  }

  /** An error that already says which plugin and phase stays as it is; anything else is wrapped. */
  #failure(phase: PluginPhase, error: unknown): DwError {
    const known =
      isDwError(error) && KERNEL_LOAD_CODES.has(error.code) && error.details?.['phase'] !== undefined;
    return known ? error : stepErrors.failed(this.#definition.id, phase, error);
  }
}

const KERNEL_LOAD_CODES: ReadonlySet<string> = new Set([
  loadErrors.integrity('', '', '').code,
  loadErrors.exportInvalid('', '').code,
  loadErrors.shapeInvalid('', []).code,
  loadErrors.idMismatch('', '').code,
  loadErrors.sdkMajor('', '', '').code,
]);
