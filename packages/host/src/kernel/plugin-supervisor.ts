// Brings plugins up in the order of what they need, keeps those apart that fail, and takes them down again. Plugins
// that do not need one another do not wait for one another. Changes by operators come one at a time; quarantine and
// stop do not wait for them.

import { isDwError } from '@datawarehouse/sdk';
import type { DwError, Logger } from '@datawarehouse/sdk';
import { adminErrors, crashErrors, dependencyErrors, stepErrors } from '../errors.js';
import type { PluginScope } from './attribution.js';
import { runAsHost } from './attribution.js';
import { CRASH_LIMIT, CRASH_WINDOW_MS } from './crash-window.js';
import { withDependents } from './dependency-graph.js';
import type { Discovered } from './discovery.js';
import { OperationQueue } from './operation-queue.js';
import type { PluginAdmin, PluginSummary, Readiness } from './plugin-admin.js';
import { PluginLife } from './plugin-life.js';
import type { PluginLoader } from './plugin-loader.js';
import type { PluginSlot, PluginStatus } from './plugin-slot.js';
import { applyDiscovery, createSlot, lifeOf, problemOf, summaryOf } from './plugin-slot.js';
import type { KernelPorts } from './ports.js';
import type { HostPhase } from './readiness.js';
import { readinessOf, whyIncomplete } from './readiness.js';
import type { PluginStateChange } from './slot-reporter.js';
import { SlotReporter } from './slot-reporter.js';
import { ownerInStack } from './stack-blame.js';
import type { StartPlan } from './start-plan.js';
import { decide, planStart } from './start-plan.js';

/** What a supervisor needs. */
export interface SupervisorOptions {
  readonly ports: KernelPorts;
  readonly loader: PluginLoader;
  /** Reads a plugin's manifest again, for a reload. Never rejects. */
  readonly rediscover: (slot: PluginSlot) => Promise<Discovered>;
  /** Told of every change of state. */
  readonly onStateChanged: (change: PluginStateChange) => void;
  /** Told when a required plugin was quarantined: the host cannot go on. */
  readonly onRequiredLost: (id: string, problem: DwError) => void;
}

/** Runs the plugins of one host. */
export class PluginSupervisor implements PluginAdmin {
  private readonly slots = new Map<string, PluginSlot>();
  private readonly operations = new OperationQueue();
  /** Starts under way. */
  private readonly starting = new Set<Promise<void>>();
  /** Lives that are ending, also those of plugins that failed. */
  private readonly endings = new Set<Promise<void>>();
  /** Health checks under way. Each ends with its plugin's life, so nobody has to wait for them. */
  private readonly asking = new Set<Promise<void>>();
  private phase: HostPhase = 'new';
  private readonly log: Logger;
  private readonly report: SlotReporter;

  constructor(private readonly options: SupervisorOptions) {
    this.log = options.ports.log;
    this.report = new SlotReporter(this.log, options.onStateChanged);
  }

  list(): readonly PluginSummary[] {
    return [...this.slots.values()].map(summaryOf).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Starts everything that was found, and resolves when each plugin is active or cannot be. Cleaning up after those
   * that failed may go on.
   */
  async start(found: readonly Discovered[]): Promise<void> {
    this.phase = 'starting';
    for (const item of found) {
      const slot = createSlot(item);
      this.slots.set(slot.id, slot);
      if ('failure' in item && slot.wanted) this.report.problem(slot, item.failure);
    }
    await this.operations.run(async () => {
      await this.advance();
      // `stop` may have come meanwhile.
      if (this.phase === 'starting') this.phase = 'running';
    });
  }

  /** The first required plugin that is not active, with the reason. */
  requiredFailure(): { readonly id: string; readonly problem: DwError } | undefined {
    for (const slot of this.slots.values()) {
      const problem = problemOf(slot);
      if (slot.entry.required === true && problem !== undefined) return { id: slot.id, problem };
    }
    return undefined;
  }

  /** Stops everything, dependents before what they need, and resolves when all lives have ended. Never rejects. */
  async stop(): Promise<void> {
    this.phase = 'stopping';
    const running = [...this.slots.values()].filter((slot) => lifeOf(slot) !== undefined);
    await this.endAll(new Set(running.map(({ id }) => id)), (_slot, problem) => ({
      state: 'stopped',
      ...(problem && { problem }),
    }));
    while (this.starting.size + this.endings.size > 0) {
      await Promise.all([...this.starting, ...this.endings]);
    }
    for (const slot of this.slots.values()) {
      if (slot.status.state === 'discovered') this.report.setStatus(slot, { state: 'stopped' });
    }
  }

  async enable(id: string): Promise<PluginSummary> {
    return runAsHost(() => this.operate(id, (slot) => this.bringUp(slot, false)));
  }

  async disable(id: string): Promise<PluginSummary> {
    return runAsHost(() =>
      this.operate(id, async (slot) => {
        const affected = withDependents([id], this.plan().graph);
        const required = [...affected].some((one) => this.slots.get(one)?.entry.required === true);
        if (required || slot.entry.required === true) throw adminErrors.required(id);
        await this.takeDown(slot, (problem) => ({ state: 'disabled', ...(problem && { problem }) }));
        // Not before: who is not wanted has no place in the graph, and so no dependents to take down first.
        slot.wanted = false;
        if (slot.status.state !== 'disabled') this.report.setStatus(slot, { state: 'disabled' });
        await this.advance();
      }),
    );
  }

  async reload(id: string): Promise<PluginSummary> {
    return runAsHost(() => this.operate(id, (slot) => this.bringUp(slot, true)));
  }

  readiness(): Readiness {
    return readinessOf(this.phase, this.slots.values());
  }

  /** Why a path that nobody serves may yet be served, or undefined when everything that is wanted is active. */
  whyIncomplete(): string | undefined {
    return whyIncomplete(this.phase, this.slots.values());
  }

  /** Asks every active plugin how it is. Never rejects. */
  async pollHealth(): Promise<void> {
    await Promise.all([...this.slots.values()].map((slot) => this.askHealth(slot)));
  }

  /** Counts a failure against a plugin, whoever saw it. Three in five minutes, and the plugin is quarantined. */
  crashed(pluginId: string, where: string, error: unknown, count = 1): void {
    runAsHost(() => {
      const slot = this.slots.get(pluginId);
      if (slot === undefined) return;
      this.report.problem(slot, crashErrors.crashed(pluginId, where, error));
      let limit = false;
      for (let i = 0; i < Math.min(count, CRASH_LIMIT); i++) {
        limit = slot.crashes.record(this.options.ports.clock.now());
      }
      if (!limit || slot.condemned !== undefined || lifeOf(slot) === undefined || this.phase === 'stopping')
        return;
      const problem = crashErrors.quarantined(pluginId, CRASH_LIMIT, CRASH_WINDOW_MS, error);
      slot.condemned = problem;
      this.keep(this.endings, this.quarantine(slot, problem));
    });
  }

  /** Counts a failure against the plugin whose code its stack shows, if any. */
  claim(where: string, error: unknown): boolean {
    const owners = [...this.slots.values()].flatMap(({ id, definition }) =>
      definition === undefined ? [] : [{ id, directory: definition.directory }],
    );
    const id = ownerInStack(error, owners);
    if (id !== undefined) this.crashed(id, where, error);
    return id !== undefined;
  }

  private async quarantine(slot: PluginSlot, problem: DwError): Promise<void> {
    await this.takeDown(slot, () => ({ state: 'quarantined', problem }));
    this.report.problem(slot, problem);
    const lost = this.requiredFailure();
    if (lost !== undefined) this.options.onRequiredLost(lost.id, lost.problem);
  }

  private async operate(id: string, change: (slot: PluginSlot) => Promise<void>): Promise<PluginSummary> {
    if (this.phase !== 'running' && this.phase !== 'starting') throw adminErrors.stopping();
    return this.operations.run(async () => {
      if (this.phase !== 'running') throw adminErrors.stopping();
      const slot = this.slots.get(id);
      if (slot === undefined) throw adminErrors.unknown(id);
      await change(slot);
      return summaryOf(slot);
    });
  }

  private async bringUp(slot: PluginSlot, afresh: boolean): Promise<void> {
    if (slot.status.state === 'active' && !afresh && slot.condemned === undefined) return;
    await this.takeDown(slot, () => ({ state: 'discovered' }));
    slot.crashes.clear();
    slot.wanted = true;
    const before = slot.status.state;
    if (afresh || slot.definition === undefined) {
      applyDiscovery(slot, await this.options.rediscover(slot));
    } else {
      slot.condemned = undefined;
      slot.status = { state: 'discovered' };
    }
    this.report.announce(slot, before);
    await this.advance();
    const problem = problemOf(slot);
    if (slot.status.state !== 'active' && problem !== undefined) throw problem;
  }

  /** Ends a plugin and those that need it, which become blocked. */
  private async takeDown(slot: PluginSlot, final: (problem?: DwError) => PluginStatus): Promise<void> {
    const { graph } = this.plan();
    const ids = withDependents([slot.id], graph);
    await this.endAll(ids, (one, problem) => {
      if (one === slot) return final(problem);
      const need = graph.needs.get(one.id)?.find(({ provider }) => ids.has(provider));
      const provider = need?.provider ?? slot.id;
      const why = provider === slot.id ? 'was stopped' : `was stopped with ${slot.id}`;
      const blocked = dependencyErrors.blocked(one.id, need?.service ?? 'a service', provider, why);
      return { state: 'blocked', problem: blocked, culprit: slot.id };
    });
    // What remains of a life that failed must be gone before the next one opens the same files.
    await slot.ending;
  }

  private plan(): StartPlan {
    const { services } = this.options.ports;
    return planStart(this.slots, (id) => services.isHostService(id));
  }

  /** Starts whatever can start, and resolves when nothing starts any more. */
  private async advance(): Promise<void> {
    this.startReady();
    while (this.starting.size > 0) await Promise.all(this.starting);
  }

  private startReady(): void {
    if (this.phase === 'stopping') return;
    const plan = this.plan();
    // A plugin that fails or is blocked here may block others, so look again until nothing changes.
    for (let changed = true; changed;) {
      changed = false;
      for (const slot of this.slots.values()) {
        if (!slot.wanted || !['discovered', 'blocked'].includes(slot.status.state)) continue;
        if (this.apply(slot, plan)) changed = true;
      }
    }
  }

  private apply(slot: PluginSlot, plan: StartPlan): boolean {
    const decision = decide(slot, plan);
    switch (decision.kind) {
      case 'start':
        this.begin(slot);
        return true;
      case 'fail':
        this.report.setStatus(slot, { state: 'failed', problem: decision.problem });
        this.report.problem(slot, decision.problem);
        return true;
      case 'block': {
        const same = problemOf(slot)?.message === decision.problem.message;
        if (slot.status.state === 'blocked' && same) return false;
        this.report.setStatus(slot, {
          state: 'blocked',
          problem: decision.problem,
          culprit: decision.culprit,
        });
        this.report.problem(slot, decision.problem);
        return true;
      }
      case 'wait':
        if (slot.status.state === 'blocked') this.report.setStatus(slot, { state: 'discovered' });
        return false;
    }
  }

  private begin(slot: PluginSlot): void {
    const { definition } = slot;
    if (definition === undefined) return;
    const { ports, loader } = this.options;
    const scope: PluginScope = {
      pluginId: slot.id,
      attribution: definition.manifest.attribution ?? 'context',
      onCrash: (where, error) => this.crashed(slot.id, where, error),
    };
    const life: PluginLife = new PluginLife(definition, scope, ports, loader, {
      onState: (state) => {
        if (this.isCurrent(slot, life)) this.report.setStatus(slot, { state, life });
      },
    });
    slot.health = undefined;
    slot.condemned = undefined;
    this.report.setStatus(slot, { state: 'loading', life });
    this.keep(this.starting, this.run(slot, life));
  }

  /** Whether `life` is the slot's own and on its way up; results of any other are of no interest. */
  private isCurrent(slot: PluginSlot, life: PluginLife): boolean {
    return lifeOf(slot) === life && slot.status.state !== 'draining';
  }

  private async run(slot: PluginSlot, life: PluginLife): Promise<void> {
    try {
      await life.start();
    } catch (thrown) {
      if (!this.isCurrent(slot, life)) return;
      const problem = isDwError(thrown) ? thrown : stepErrors.failed(slot.id, 'load', thrown);
      slot.name = life.name;
      this.report.setStatus(slot, { state: 'failed', problem });
      this.report.problem(slot, problem);
      slot.ending = this.letGo(slot, life).then(() => undefined);
      this.keep(this.endings, slot.ending);
      this.startReady();
      return;
    }
    if (!this.isCurrent(slot, life)) return;
    slot.name = life.name;
    this.report.setStatus(slot, { state: 'active', life });
    this.keep(this.asking, this.askHealth(slot));
    this.startReady();
  }

  private async letGo(slot: PluginSlot, life: PluginLife): Promise<DwError | undefined> {
    const problems = await life.end();
    for (const problem of problems) this.report.problem(slot, problem);
    return problems[0];
  }

  /** Ends the lives of `ids`, each after those that need it. Never rejects. */
  private async endAll(
    ids: ReadonlySet<string>,
    final: (slot: PluginSlot, problem?: DwError) => PluginStatus,
  ): Promise<void> {
    const { graph } = this.plan();
    const under = new Map<string, Promise<void>>();
    const endOne = (id: string): Promise<void> => {
      const known = under.get(id);
      if (known !== undefined) return known;
      const slot = this.slots.get(id);
      const life = slot && lifeOf(slot);
      if (slot === undefined || life === undefined) return Promise.resolve();
      const dependents = [...graph.needs, ...graph.uses]
        .filter(
          ([other, edges]) => other !== id && ids.has(other) && edges.some(({ provider }) => provider === id),
        )
        .map(([other]) => other);
      const ended = (async (): Promise<void> => {
        await Promise.all(dependents.map(endOne));
        if (lifeOf(slot) !== life) return;
        if (slot.status.state === 'draining') {
          // Somebody else has begun to end it, and says what becomes of it.
          await slot.ending;
          return;
        }
        this.report.setStatus(slot, { state: 'draining', life });
        const ending = this.letGo(slot, life);
        slot.ending = ending.then(() => undefined);
        const problem = await ending;
        if (lifeOf(slot) === life) this.report.setStatus(slot, final(slot, problem));
      })();
      under.set(id, ended);
      return ended;
    };
    await Promise.all([...ids].map(endOne));
  }

  private async askHealth(slot: PluginSlot): Promise<void> {
    if (slot.status.state !== 'active') return;
    const { life } = slot.status;
    const health = await life.checkHealth();
    if (lifeOf(slot) !== life) return;
    if (health.status !== (slot.health?.status ?? 'healthy')) {
      this.log.warn({ plugin: slot.id, health }, `plugin ${slot.id} is ${health.status}`);
    }
    slot.health = health;
  }

  /** Holds a task until it settles. Tasks kept here never reject. */
  private keep(set: Set<Promise<void>>, task: Promise<unknown>): void {
    const kept: Promise<void> = task.then(() => void set.delete(kept));
    set.add(kept);
  }
}
