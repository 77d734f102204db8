// The resilience plugin: named policies around calls for every plugin of the node, set and changed by operators while
// they are used.

import type {
  HealthCheckResult,
  PluginContext,
  ResilienceHealthInfo,
  ResilienceAction,
} from '@datawarehouse/sdk';
import {
  PEER_TRANSPORT,
  RESILIENCE,
  ResiliencePluginBase,
  ResiliencePolicySet,
  SdkCompatibility,
} from '@datawarehouse/sdk';
import { PolicyAdaptations } from './adaptive/policy-adaptations.js';
import { resilienceNotRunning, setRequestInvalid } from './errors.js';
import { policyRoutes } from './http/policy-routes.js';
import { DEFAULT_POLICIES } from './policy/default-policies.js';
import { readAdaptive } from './policy/document.js';
import type { PolicyChange } from './policy/document-book.js';
import { PolicyBook } from './policy/document-book.js';
import { IsolationBook } from './policy/isolation-book.js';
import { ResilienceService } from './policy/resilience-service.js';
import { STRATEGY_CLASSES } from './policy/strategy-classes.js';
import { EventReporter } from './scaling/event-reporter.js';
import { ResilienceScalingManager } from './scaling/resilience-scaling-manager.js';
import { CircuitSharing } from './sharing/circuit-sharing.js';
import { serviceBreakers } from './sharing/service-breakers.js';
import { tryRoute } from './try/try-route.js';

interface Configuration {
  readonly policies?: readonly unknown[];
  readonly adaptive?: unknown;
}

interface Running {
  readonly service: ResilienceService;
  readonly book: PolicyBook;
}

/** Named policies around calls. */
@SdkCompatibility('1.0.0')
export class UltimateResiliencePlugin extends ResiliencePluginBase {
  readonly id = 'com.datawarehouse.resilience.ultimate';
  readonly name = 'Ultimate Resilience';
  readonly version = '0.1.0';
  readonly scaling = new ResilienceScalingManager();
  private running: Running | undefined;

  /** @throws DwError `policy-invalid` when the configuration holds a policy that cannot work. */
  override async initializeAsync(context: PluginContext): Promise<void> {
    const { clock, log, bus, store } = context;
    const { scaling } = this;
    const service = new ResilienceService({
      clock,
      strategies: STRATEGY_CLASSES,
      listenerFailed: (message) => log.error(`a listener of resilience events threw: ${message}`),
    });
    context.onDispose(() => service.dispose());
    const { policies, adaptive } = context.config as Configuration;
    const adaptations = new PolicyAdaptations({
      service,
      clock,
      preset: readAdaptive(adaptive, '(of the configuration)'),
    });
    context.onDispose(() => adaptations[Symbol.dispose]());
    const isolations = new IsolationBook({
      store,
      path: (name) => `${context.storePath('isolations')}/${name}`,
      service,
      log,
      wallTime: () => clock.wallTime(),
    });
    const book = new PolicyBook({
      store,
      path: (name) => `${context.storePath('policies')}/${name}`,
      target: {
        set: (document) => {
          service.set(document);
          adaptations.follow(document);
        },
        remove: (name) => {
          scaling.retire(service.policy(name).statistics());
          adaptations.forget(name);
          service.remove(name);
        },
      },
      log,
      wallTime: () => clock.wallTime(),
      adjust: (document, given) => scaling.adjust(document, given),
      goes: (name) => isolations.forget(name),
      maxPolicies: () => scaling.current.maxPolicies,
    });
    for (const policy of DEFAULT_POLICIES) book.provide(policy, 'shipped');
    for (const policy of policies ?? []) book.provide(policy, 'configured');
    await book.restore();
    const reporter = new EventReporter({
      clock,
      log,
      bus,
      maxEvents: () => scaling.current.maxReportedEvents,
    });
    service.listenToChanges(reporter.listener);
    const sharing = new CircuitSharing({
      nodeId: context.node.nodeId,
      events: { listen: (listener) => service.listenToChanges(listener) },
      breakers: serviceBreakers(service),
      bus,
      transport: context.services.tryGet(PEER_TRANSPORT),
      clock,
      log,
    });
    context.onDispose(() => sharing[Symbol.dispose]());
    await isolations.restore();
    this.running = { service, book };
    scaling.show({ service, reporter, sharing, adaptations, readjust: () => book.readjust() });
    await context.scaling.register(scaling);
    const maxRuns = (): number => scaling.current.maxTryRuns;
    context.routes.add(tryRoute({ service, clock, node: context.node, maxRuns }));
    for (const route of policyRoutes({ service, book, isolations, clock })) context.routes.add(route);
    bus.respond(ResiliencePolicySet, ({ payload, sender }) => this.setByBus(payload, sender));
    context.services.provide(RESILIENCE, service);
  }

  /** Takes no more calls, and waits for those under way until its time is over. */
  override async drainAsync(signal: AbortSignal): Promise<void> {
    await this.running?.service.drain(signal);
  }

  /** Gives up the calls that are left: the timers that they wait for end with the plugin. */
  override async shutdownAsync(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    this.scaling.show(undefined);
    await running?.service.stop();
  }

  /** Healthy with open breakers, which do their work; degraded when a policy that was set is not in force. */
  override checkHealthAsync(): HealthCheckResult {
    const { problems } = this.parts().book;
    if (problems.size === 0) return { status: 'healthy' };
    const names = [...problems.keys()].join(', ');
    return { status: 'degraded', message: `policies that were set cannot be used: ${names}` };
  }

  async executeWithResilienceAsync<T>(
    action: ResilienceAction<T>,
    policyName: string,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.parts().service.execute(policyName, action, signal);
  }

  async getResilienceHealthAsync(): Promise<ResilienceHealthInfo> {
    return this.parts().service.health();
  }

  private async setByBus(
    payload: { readonly document?: unknown; readonly remove?: string },
    sender: string,
  ): Promise<{ policy: string; change: string; warnings: string[] }> {
    const { book } = this.parts();
    const { document, remove } = payload;
    if ((document === undefined) === (remove === undefined)) throw setRequestInvalid();
    const by = `bus:${sender}`;
    const change: PolicyChange =
      remove === undefined ? await book.set(document, by) : await book.remove(remove, by);
    return {
      policy: change.policy,
      change: change.change,
      warnings: change.warnings.map(({ message, why }) => `${message}: ${why}`),
    };
  }

  private parts(): Running {
    if (this.running === undefined) throw resilienceNotRunning();
    return this.running;
  }
}
