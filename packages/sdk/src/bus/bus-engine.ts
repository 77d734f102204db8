// The in-process bus as its fronts see it: everything is done on behalf of an owner, whose name is stamped on what it
// publishes. Fan-out to the subscribers of a topic goes through eventemitter3; what a listener there does is put the
// message into a queue, so that no handler ever runs inside of `publish`.

import { EventEmitter } from 'eventemitter3';
import type { Clock } from '../time/index.js';
import { SystemClock } from '../time/index.js';
import { BusCore } from './bus-core.js';
import type { Endable, RunInContext } from './bus-owner.js';
import { BusOwner } from './bus-owner.js';
import type { BusReportListener } from './bus-reporter.js';
import type { QueueOptions } from './bus-subscription.js';
import { BusSubscription } from './bus-subscription.js';
import { Delivery } from './delivery.js';
import {
  busClosed,
  invalidOption,
  noHandler,
  responderExists,
  sendTimeout,
  tooManyRequests,
  tooManySubscriptions,
} from './errors.js';
import type {
  BusMessage,
  BusStatistics,
  DeliveryReport,
  MessageHandler,
  OverflowRule,
  RequestHandler,
  SendOptions,
  Topic,
} from './message-bus.js';
import { OutgoingRequest } from './outgoing-request.js';
import { Responder } from './responder.js';
import { assertTopicName, assertTopicPattern, isTopicPattern } from './topic-name.js';

const DEFAULT_TIMEOUT_MS = 30_000;
/** The largest delay that Node's timers take; a longer one would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const OVERFLOW_RULES: ReadonlySet<OverflowRule> = new Set(['block', 'drop-oldest', 'drop-newest', 'reject']);
const MAX_CAPACITY = 1_000_000;
/** On the machine's clock, the time of day is read once in so many messages and at least once a turn. */
const TIME_MASK = 63;

/** What the engine needs of a declared topic: its name, and how its queues are to be. */
export type TopicQueue = Pick<Topic, 'name' | 'capacity' | 'overflow'>;

type TopicReference = TopicQueue | string;

/** Everything that a bus does. Its fronts check permissions and hide it. */
export class BusEngine {
  readonly core: BusCore;
  readonly root: BusOwner;
  private readonly emitter = new EventEmitter<
    Record<string, (message: BusMessage, delivery?: Delivery) => void>
  >();
  private readonly responders = new Map<string, Responder>();
  /** The owners that have something on the bus. */
  private readonly holders = new Set<BusOwner>();
  private closed = false;
  private readonly coarseTime: boolean;
  private sequence = 0;
  private requests = 0;
  private time = 0;
  private timeIsFresh = false;
  private readonly staleTime = (): void => void (this.timeIsFresh = false);

  constructor(
    sender: string,
    private readonly clock: Clock,
    listener: BusReportListener | undefined,
    private readonly declared: ReadonlyMap<string, TopicQueue>,
  ) {
    this.core = new BusCore(clock, listener);
    this.coarseTime = clock instanceof SystemClock;
    this.root = this.owner(sender, undefined);
  }

  /** Makes an owner. @throws DwError `bus-closed`. */
  owner(sender: string, runInContext: RunInContext | undefined): BusOwner {
    const owner = new BusOwner(sender, runInContext, this.holders);
    this.assertOpen(owner);
    return owner;
  }

  /** Ends an owner and all that it holds. */
  disown(owner: BusOwner): void {
    owner.end(busClosed(owner.sender));
  }

  /** Ends every owner. */
  close(): void {
    this.closed = true;
    for (const owner of [...this.holders].toReversed()) this.disown(owner);
    this.core.reporter.close();
  }

  /** Hot path. @throws DwError `bus-invalid-topic`, `bus-closed`. */
  publish(owner: BusOwner, name: string, payload: unknown): boolean {
    this.core.refused = false;
    this.offer(owner, name, payload, undefined);
    return !this.core.refused;
  }

  async publishAndWait(
    owner: BusOwner,
    name: string,
    payload: unknown,
    signal: AbortSignal | undefined,
  ): Promise<DeliveryReport> {
    signal?.throwIfAborted();
    const delivery = new Delivery();
    const wait: Endable = { end: (reason) => delivery.abandon(reason) };
    const onAbort = (): void => delivery.abandon(signal?.reason);
    this.offer(owner, name, payload, delivery);
    owner.hold(wait);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await delivery.seal();
    } finally {
      signal?.removeEventListener('abort', onAbort);
      owner.release(wait);
    }
  }

  async send(owner: BusOwner, name: string, payload: unknown, options: SendOptions): Promise<unknown> {
    this.assertOpen(owner);
    assertTopicName(name);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    if (!(timeoutMs > 0)) throw invalidOption('timeoutMs', timeoutMs, 'above 0');
    signal?.throwIfAborted();
    const responder = this.responders.get(name);
    if (responder === undefined) throw noHandler(name);
    const limit = this.core.limits.current.maxConcurrentOperations;
    if (this.requests >= limit) throw tooManyRequests(limit);
    this.core.topics.get(name).published++;
    this.core.totals.published++;
    this.requests++;
    const request = new OutgoingRequest(
      this.message(owner, name, payload),
      owner,
      this.clock,
      Math.min(timeoutMs, MAX_TIMEOUT_MS),
      () => sendTimeout(name, responder.owner.sender, timeoutMs),
      signal,
      () => void this.requests--,
    );
    try {
      responder.offer(request);
    } catch (thrown) {
      request.reject(thrown);
    }
    return request.answer;
  }

  subscribe(
    owner: BusOwner,
    topic: TopicReference,
    handler: MessageHandler,
    options: Partial<QueueOptions>,
    signal: AbortSignal | undefined,
  ): BusSubscription {
    const pattern = nameOf(topic);
    assertTopicPattern(pattern);
    assertHandler(handler);
    this.assertRoom(owner);
    signal?.throwIfAborted();
    const onAbort = (): void => subscription.end();
    const subscription = new BusSubscription(
      pattern,
      owner,
      handler,
      this.queueOptions(topic, options),
      this.core,
      (ended) => {
        signal?.removeEventListener('abort', onAbort);
        this.unlink(ended);
      },
    );
    if (isTopicPattern(pattern)) this.core.topics.addPattern(subscription);
    else this.emitter.on(pattern, subscription.offer);
    this.hold(subscription);
    signal?.addEventListener('abort', onAbort, { once: true });
    return subscription;
  }

  respond(owner: BusOwner, topic: TopicReference, handler: RequestHandler): Responder {
    const name = nameOf(topic);
    assertTopicName(name);
    assertHandler(handler);
    this.assertRoom(owner);
    const existing = this.responders.get(name);
    if (existing !== undefined) throw responderExists(name, existing.owner.sender);
    const { capacity } = this.queueOptions(topic, {});
    const responder = new Responder(name, owner, handler, capacity, this.core, (ended) => {
      this.responders.delete(ended.pattern);
      this.letGo(ended);
    });
    this.responders.set(name, responder);
    this.hold(responder);
    return responder;
  }

  statistics(): BusStatistics {
    const { totals, subscriptions, queued } = this.core;
    return { ...totals, subscriptions, queued };
  }

  /** Requests that wait for their answers. */
  get pendingRequests(): number {
    return this.requests;
  }

  private offer(owner: BusOwner, name: string, payload: unknown, delivery: Delivery | undefined): void {
    this.assertOpen(owner);
    const topic = this.core.topics.get(name);
    topic.published++;
    this.core.totals.published++;
    const message = this.message(owner, name, payload);
    this.emitter.emit(name, message, delivery);
    if (topic.wildcards.length === 0) return;
    for (const subscription of topic.wildcards) subscription.offer(message, delivery);
  }

  private message(owner: BusOwner, topic: string, payload: unknown): BusMessage {
    const sequence = ++this.sequence;
    if (!this.coarseTime) this.time = this.clock.wallTime();
    else if (!this.timeIsFresh || (sequence & TIME_MASK) === 0) this.readTime();
    return Object.freeze({ topic, payload, sender: owner.sender, time: this.time, sequence });
  }

  private readTime(): void {
    this.time = this.clock.wallTime();
    if (this.timeIsFresh) return;
    this.timeIsFresh = true;
    setImmediate(this.staleTime);
  }

  private hold(endable: BusSubscription | Responder): void {
    endable.owner.hold(endable);
    this.core.subscriptionsChanged(1);
  }

  private letGo(endable: BusSubscription | Responder): void {
    endable.owner.release(endable);
    this.core.subscriptionsChanged(-1);
  }

  private unlink(subscription: BusSubscription): void {
    this.core.topics.removePattern(subscription);
    this.emitter.removeListener(subscription.pattern, subscription.offer);
    this.letGo(subscription);
  }

  private queueOptions(topic: TopicReference, options: Partial<QueueOptions>): QueueOptions {
    const defaults = typeof topic === 'string' ? this.declared.get(topic) : topic;
    const capacity = options.capacity ?? defaults?.capacity ?? this.core.limits.current.defaultQueueCapacity;
    if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
      throw invalidOption('capacity', capacity, `a whole number from 1 to ${MAX_CAPACITY}`);
    }
    const overflow = options.overflow ?? defaults?.overflow ?? 'drop-oldest';
    if (!OVERFLOW_RULES.has(overflow)) {
      throw invalidOption('overflow', overflow, [...OVERFLOW_RULES].join(', '));
    }
    return { capacity, overflow };
  }

  private assertOpen(owner: BusOwner): void {
    if (this.closed || owner.ended !== undefined) throw busClosed(owner.sender);
  }

  private assertRoom(owner: BusOwner): void {
    this.assertOpen(owner);
    const limit = this.core.limits.current.maxSubscriptions;
    if (this.core.subscriptions >= limit) throw tooManySubscriptions(limit);
  }
}

function assertHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw invalidOption('handler', typeof handler, 'a function');
}

/** The name of a topic, however it was given. */
export function nameOf(topic: { readonly name: string } | string): string {
  return typeof topic === 'string' ? topic : topic.name;
}
