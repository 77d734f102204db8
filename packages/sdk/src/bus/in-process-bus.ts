// The message bus of one process. It is also a subsystem with limits, so that an operator can see and change its bounds.

import type { IScalableSubsystem, BackpressureState, MetricValue } from '../scaling/index.js';
import type { BackpressureListener, LimitDescriptors, LimitListener, LimitValues } from '../scaling/index.js';
import type { Clock } from '../time/index.js';
import { SystemClock } from '../time/index.js';
import type { TopicQueue } from './bus-engine.js';
import { BusEngine, nameOf } from './bus-engine.js';
import type { BusLimitValues } from './bus-limits.js';
import { ASSUMED_MESSAGE_BYTES, BUS_SUBSYSTEM } from './bus-limits.js';
import type { RunInContext } from './bus-owner.js';
import type { BusReportListener } from './bus-reporter.js';
import type {
  BusStatistics,
  DeliveryReport,
  IMessageBus,
  MessageHandler,
  PublishOptions,
  RequestHandler,
  SendOptions,
  SubscribeOptions,
  Subscription,
  Topic,
} from './message-bus.js';
import { ScopedBus } from './scoped-bus.js';
import type { TopicPermissions } from './topic-permissions.js';
import type { TopicCounters } from './topic-table.js';
import * as houseTopics from './topics.js';

/** Options of an {@link InProcessBus}. */
export interface InProcessBusOptions {
  /** Stamped on what is published on the bus itself, not through a scoped one. Default `host`. */
  readonly sender?: string;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** Told of failing handlers and of dropped and refused messages, at a bounded rate. Must not throw. */
  readonly onReport?: BusReportListener;
  /**
   * Declared topics, so that who subscribes by name gets the topic's capacity and overflow rule. The topics of the
   * house are always among them.
   */
  readonly topics?: readonly TopicQueue[];
}

/**
 * The message bus of one process. Messages wait in a bounded queue for each subscription and are delivered in later
 * turns of the event loop, in slices, so that neither a slow handler nor a flood of messages stops the process.
 */
export class InProcessBus implements IMessageBus, IScalableSubsystem {
  readonly subsystemName = BUS_SUBSYSTEM;
  readonly #engine: BusEngine;

  constructor(options: InProcessBusOptions = {}) {
    const topics: readonly TopicQueue[] = [...Object.values(houseTopics), ...(options.topics ?? [])];
    const declared = new Map(topics.map((topic) => [topic.name, topic]));
    const clock = options.clock ?? new SystemClock(false);
    this.#engine = new BusEngine(options.sender ?? 'host', clock, options.onReport, declared);
  }

  publish<P>(topic: Topic<P, unknown> | string, payload: P): boolean {
    return this.#engine.publish(this.#engine.root, nameOf(topic), payload);
  }

  async publishAndWait<P>(
    topic: Topic<P, unknown> | string,
    payload: P,
    options?: PublishOptions,
  ): Promise<DeliveryReport> {
    return this.#engine.publishAndWait(this.#engine.root, nameOf(topic), payload, options?.signal);
  }

  send<P, R>(topic: Topic<P, R>, payload: P, options?: SendOptions): Promise<R>;
  send(topic: string, payload: unknown, options?: SendOptions): Promise<unknown>;
  async send(
    topic: { readonly name: string } | string,
    payload: unknown,
    options: SendOptions = {},
  ): Promise<unknown> {
    return this.#engine.send(this.#engine.root, nameOf(topic), payload, options);
  }

  subscribe<P>(
    topic: Topic<P, unknown> | string,
    handler: MessageHandler<P>,
    options: SubscribeOptions = {},
  ): Subscription {
    return this.#engine.subscribe(
      this.#engine.root,
      topic,
      handler as MessageHandler,
      options,
      options.signal,
    );
  }

  respond<P, R>(topic: Topic<P, R> | string, handler: RequestHandler<P, R>): Subscription {
    return this.#engine.respond(this.#engine.root, topic, handler as RequestHandler);
  }

  statistics(): BusStatistics {
    return this.#engine.statistics();
  }

  /**
   * Counters by topic, for topics that were published to. Bounded by `maxCacheEntries`; the counters of topics that
   * were forgotten are summed under `(forgotten)`.
   */
  topicStatistics(): ReadonlyMap<string, Readonly<TopicCounters>> {
    return this.#engine.core.topics.counters();
  }

  /**
   * The bus for one sender.
   * @param sender stamped on every message that it publishes.
   * @param permissions the topics that it may use.
   * @param runInContext runs its handlers, such as `(action) => storage.run(plugin, action)`.
   * @throws DwError `bus-invalid-topic` when a permission is not a pattern, `bus-closed`.
   */
  scoped(sender: string, permissions: TopicPermissions, runInContext?: RunInContext): ScopedBus {
    return new ScopedBus(this.#engine, sender, permissions, runInContext);
  }

  /**
   * Ends all subscriptions, rejects all requests and waits with `bus-closed`, and refuses everything from then on.
   * Calling it again does nothing.
   */
  close(): void {
    this.#engine.close();
  }

  get limitDescriptors(): LimitDescriptors {
    return this.#engine.core.limits.descriptors;
  }

  get currentLimits(): BusLimitValues {
    return this.#engine.core.limits.current;
  }

  get currentBackpressureState(): BackpressureState {
    return this.#engine.core.meter.update(this.#engine.core.queued);
  }

  async reconfigureLimitsAsync(limits: LimitValues, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#engine.core.limits.apply(limits);
  }

  /** Calls `listener` when limits have changed. */
  onLimitsChanged(listener: LimitListener): Disposable {
    return this.#engine.core.limits.onChanged(listener);
  }

  /** Calls `listener` when the backpressure state has changed. It must not throw. */
  onBackpressureChanged(listener: BackpressureListener): Disposable {
    return this.#engine.core.meter.onChanged(listener);
  }

  getScalingMetrics(): ReadonlyMap<string, MetricValue> {
    const { core, pendingRequests } = this.#engine;
    const { published, delivered, failed, dropped, rejected } = core.totals;
    const known = published === 0 ? 0 : 1 - Math.min(1, core.topics.learned / published);
    return new Map<string, MetricValue>([
      ['cache.size', core.topics.size],
      ['cache.hitRate', known],
      ['cache.memoryBytes', core.queued * ASSUMED_MESSAGE_BYTES],
      ['backpressure.state', this.currentBackpressureState],
      ['backpressure.queueDepth', core.queued],
      ['bus.published', published],
      ['bus.delivered', delivered],
      ['bus.failed', failed],
      ['bus.dropped', dropped],
      ['bus.rejected', rejected],
      ['bus.subscriptions', core.subscriptions],
      ['bus.pendingRequests', pendingRequests],
      ['bus.reportFailures', core.reporter.listenerFailures],
    ]);
  }
}
