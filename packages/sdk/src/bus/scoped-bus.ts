// The bus as one plugin gets it: under the plugin's name, with its permissions, and with everything that it takes on
// the bus held together, so that it can be taken away whole.

import type { BusEngine } from './bus-engine.js';
import { nameOf } from './bus-engine.js';
import type { BusOwner, RunInContext } from './bus-owner.js';
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
import type { TopicPermissions } from './topic-permissions.js';
import { PermissionCheck } from './topic-permissions.js';

/**
 * An {@link IMessageBus} for one sender. Its fields are private to the engine of the language, so that who holds it
 * cannot reach the bus behind it or send under another name. Made by `InProcessBus.scoped`.
 */
export class ScopedBus implements IMessageBus, Disposable {
  readonly #engine: BusEngine;
  readonly #owner: BusOwner;
  readonly #permissions: PermissionCheck;

  /** @internal Use `InProcessBus.scoped`. */
  constructor(
    engine: BusEngine,
    sender: string,
    permissions: TopicPermissions,
    runInContext: RunInContext | undefined,
  ) {
    this.#engine = engine;
    this.#permissions = new PermissionCheck(sender, permissions);
    this.#owner = engine.owner(sender, runInContext);
  }

  /** Under which name it publishes. */
  get sender(): string {
    return this.#owner.sender;
  }

  /** Subscriptions, responders, requests and waits that it holds. 0 when nothing is left behind. */
  get held(): number {
    return this.#owner.size;
  }

  publish<P>(topic: Topic<P, unknown> | string, payload: P): boolean {
    const name = nameOf(topic);
    this.#permissions.mayPublish(name);
    return this.#engine.publish(this.#owner, name, payload);
  }

  async publishAndWait<P>(
    topic: Topic<P, unknown> | string,
    payload: P,
    options?: PublishOptions,
  ): Promise<DeliveryReport> {
    const name = nameOf(topic);
    this.#permissions.mayPublish(name);
    return this.#engine.publishAndWait(this.#owner, name, payload, options?.signal);
  }

  send<P, R>(topic: Topic<P, R>, payload: P, options?: SendOptions): Promise<R>;
  send(topic: string, payload: unknown, options?: SendOptions): Promise<unknown>;
  async send(
    topic: { readonly name: string } | string,
    payload: unknown,
    options: SendOptions = {},
  ): Promise<unknown> {
    const name = nameOf(topic);
    this.#permissions.mayPublish(name);
    return this.#engine.send(this.#owner, name, payload, options);
  }

  subscribe<P>(
    topic: Topic<P, unknown> | string,
    handler: MessageHandler<P>,
    options: SubscribeOptions = {},
  ): Subscription {
    this.#permissions.maySubscribe(nameOf(topic));
    const wrapped = handler as MessageHandler;
    return this.#engine.subscribe(this.#owner, topic, wrapped, options, options.signal);
  }

  respond<P, R>(topic: Topic<P, R> | string, handler: RequestHandler<P, R>): Subscription {
    this.#permissions.maySubscribe(nameOf(topic));
    return this.#engine.respond(this.#owner, topic, handler as RequestHandler);
  }

  statistics(): BusStatistics {
    return this.#engine.statistics();
  }

  /**
   * Ends every subscription and responder, and rejects every request and wait of this sender with `bus-closed`; from
   * then on it refuses everything with `bus-closed`. Calling it again does nothing.
   */
  dispose(): void {
    this.#engine.disown(this.#owner);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
