// The contract of the message bus: what plugins say to each other and what they may rely on.

import type { Static, TSchema } from '@sinclair/typebox';

/**
 * What a full subscription queue does with one message more.
 * - `block`: `publishAndWait` waits for room; `publish`, which cannot wait, is refused as with `reject`
 * - `drop-oldest`: the message that has waited longest is dropped
 * - `drop-newest`: the new message is dropped
 * - `reject`: the publisher is told (`publish` returns false, `publishAndWait` and `send` throw `bus-queue-full`)
 *
 * Every message that is dropped or refused is counted, by topic and subscriber, and reported.
 */
export type OverflowRule = 'block' | 'drop-oldest' | 'drop-newest' | 'reject';

/** A declared topic: its name, what it carries, and what happens when a subscriber falls behind. */
export interface Topic<P = unknown, R = never> {
  /** Dot-separated words of `[A-Za-z0-9_-]`, at most 256 characters. */
  readonly name: string;
  /** One sentence: what a message on this topic means. */
  readonly description: string;
  /** Schema (JSON Schema) of the payload; checked where a message enters from outside the process. */
  readonly payload: TSchema;
  /** Schema of the reply, for topics that are used with `send`. */
  readonly reply: TSchema | undefined;
  /** What happens to a message when a subscriber's queue is full. */
  readonly overflow: OverflowRule;
  /** Messages that wait for one subscriber at most. */
  readonly capacity: number;
  /** Carries the types only; never present at run time. */
  readonly __types?: { payload: P; reply: R };
}

/** What {@link defineTopic} takes. */
export interface TopicDefinition<P extends TSchema, R extends TSchema | undefined = undefined> {
  readonly name: string;
  readonly description: string;
  readonly payload: P;
  readonly reply?: R;
  /** Default `drop-oldest`. */
  readonly overflow?: OverflowRule;
  /** Messages; default 1 000. */
  readonly capacity?: number;
}

/** The topic type that belongs to a definition. */
export type TopicOf<P extends TSchema, R extends TSchema | undefined> = Topic<
  Static<P>,
  R extends TSchema ? Static<R> : never
>;

/** One message as a handler receives it. It is shared by all handlers: treat it as frozen. */
export interface BusMessage<P = unknown> {
  readonly topic: string;
  readonly payload: P;
  /** Who sent it: a plugin id, or `host`, `http`, … The host stamps it; a sender cannot choose it. */
  readonly sender: string;
  /** Milliseconds since 1970 UTC at which it was published. */
  readonly time: number;
  /** Counts up by one for each message published on this bus. */
  readonly sequence: number;
}

/** Handles one message. The next message for the same subscription waits until a returned promise settles. */
export type MessageHandler<P = unknown> = (message: BusMessage<P>) => void | Promise<void>;

/** Answers one `send`. `signal` aborts when the sender has stopped waiting. */
export type RequestHandler<P = unknown, R = unknown> = (
  message: BusMessage<P>,
  signal: AbortSignal,
) => R | Promise<R>;

/** A live subscription. */
export interface Subscription extends Disposable {
  /** The topic or pattern it listens to. */
  readonly pattern: string;
  /** Messages waiting now. */
  readonly pending: number;
  /** Messages lost to the overflow rule since it was made. */
  readonly dropped: number;
  /** Ends it. Messages still waiting are not delivered. Calling it again does nothing. */
  unsubscribe(): void;
}

/** How a subscription behaves. */
export interface SubscribeOptions {
  /** Messages that wait at most; default: the topic's capacity, or 1 000 for a pattern. */
  readonly capacity?: number;
  /** Default: the topic's rule, or `drop-oldest` for a pattern. */
  readonly overflow?: OverflowRule;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal;
}

/** Options of {@link IMessageBus.send}. */
export interface SendOptions {
  /** Milliseconds to wait for the reply; default 30 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Options of {@link IMessageBus.publishAndWait}. */
export interface PublishOptions {
  readonly signal?: AbortSignal;
}

/** What became of a message that was published with {@link IMessageBus.publishAndWait}. */
export interface DeliveryReport {
  /** Subscriptions whose handler completed. */
  readonly delivered: number;
  /** Subscriptions whose handler threw. */
  readonly failed: number;
  /** Subscriptions that lost the message to their overflow rule. */
  readonly dropped: number;
}

/** Counters of a bus since it was made. */
export interface BusStatistics {
  readonly published: number;
  readonly delivered: number;
  readonly failed: number;
  readonly dropped: number;
  readonly rejected: number;
  readonly subscriptions: number;
  /** Messages waiting in all subscriptions. */
  readonly queued: number;
}

/**
 * Publish and subscribe, and request and reply, inside one process.
 *
 * Order: each subscription gets the messages of one publisher on one topic in the order they were published.
 * Isolation: a handler that throws, hangs or falls behind harms no other subscription and no publisher.
 * Bounds: every subscription's queue is bounded by its topic's capacity; see {@link OverflowRule}.
 */
export interface IMessageBus {
  /**
   * Hands a message to every subscription of the topic and returns at once; handlers run later.
   * @returns false when a subscription refused it because it was full (overflow `reject` or `block`).
   * @throws DwError `bus-invalid-topic` when the name is not a topic, `bus-not-permitted` when the manifest of the
   * publisher does not name it, `bus-closed` after the bus was closed.
   */
  publish<P>(topic: Topic<P, unknown> | string, payload: P): boolean;

  /**
   * Publishes and resolves when every handler has completed or thrown.
   * @throws as `publish`, and DwError `bus-queue-full` when a subscription with overflow `reject` is full; the
   * others still get it.
   */
  publishAndWait<P>(
    topic: Topic<P, unknown> | string,
    payload: P,
    options?: PublishOptions,
  ): Promise<DeliveryReport>;

  /**
   * Asks the topic's responder and resolves with its answer.
   * @throws DwError `no-handler` at once when nobody responds to the topic, `timeout` when the answer is late,
   * `bus-queue-full` when the responder has too many requests waiting; what the responder throws is passed on.
   */
  send<P, R>(topic: Topic<P, R>, payload: P, options?: SendOptions): Promise<R>;
  send(topic: string, payload: unknown, options?: SendOptions): Promise<unknown>;

  /**
   * Listens to a topic, or to a pattern in which `*` stands for one word and a final `>` for one or more.
   * @throws DwError `bus-invalid-topic`, `bus-not-permitted`, `bus-closed`.
   */
  subscribe<P>(
    topic: Topic<P, unknown> | string,
    handler: MessageHandler<P>,
    options?: SubscribeOptions,
  ): Subscription;

  /**
   * Becomes the one responder of a topic (no pattern). Requests are answered concurrently, up to the topic's capacity.
   * @throws DwError `bus-responder-exists` when the topic has one already; and as `subscribe`.
   */
  respond<P, R>(topic: Topic<P, R> | string, handler: RequestHandler<P, R>): Subscription;

  /** Counters since the bus was made. */
  statistics(): BusStatistics;
}
