// The bus as a plugin sees it: under its own name and permissions, every subscription tracked, closed with the plugin.

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
} from '@datawarehouse/sdk';

/** What a {@link PluginBus} needs of its plugin's context. */
export interface PluginBusOwner {
  /** @throws DwError `context-closed` once the plugin is being stopped. */
  assertOpen(): void;
  /** @throws DwError `context-closed` once the plugin is stopped and everything of it undone. */
  assertUsable(): void;
  /** Undoes `dispose` when the plugin stops; gives a function that forgets it. */
  track(what: string, dispose: () => void): () => void;
}

/** A scoped bus that forgets nothing it handed out. */
export class PluginBus implements IMessageBus {
  constructor(
    private readonly bus: IMessageBus,
    private readonly owner: PluginBusOwner,
  ) {}

  publish<P>(topic: Topic<P, unknown> | string, payload: P): boolean {
    this.owner.assertUsable();
    return this.bus.publish(topic, payload);
  }

  async publishAndWait<P>(
    topic: Topic<P, unknown> | string,
    payload: P,
    options?: PublishOptions,
  ): Promise<DeliveryReport> {
    this.owner.assertUsable();
    return this.bus.publishAndWait(topic, payload, options);
  }

  send<P, R>(topic: Topic<P, R>, payload: P, options?: SendOptions): Promise<R>;
  send(topic: string, payload: unknown, options?: SendOptions): Promise<unknown>;
  async send<P, R>(topic: Topic<P, R> | string, payload: P, options?: SendOptions): Promise<R> {
    this.owner.assertUsable();
    return this.bus.send(topic as Topic<P, R>, payload, options);
  }

  subscribe<P>(
    topic: Topic<P, unknown> | string,
    handler: MessageHandler<P>,
    options?: SubscribeOptions,
  ): Subscription {
    this.owner.assertOpen();
    return this.track(this.bus.subscribe(topic, handler, options), options?.signal);
  }

  respond<P, R>(topic: Topic<P, R> | string, handler: RequestHandler<P, R>): Subscription {
    this.owner.assertOpen();
    return this.track(this.bus.respond(topic, handler));
  }

  statistics(): BusStatistics {
    return this.bus.statistics();
  }

  private track(subscription: Subscription, signal?: AbortSignal): Subscription {
    const forget = this.owner.track(`subscription to ${subscription.pattern}`, () =>
      subscription.unsubscribe(),
    );
    signal?.addEventListener('abort', forget, { once: true });
    const unsubscribe = (): void => {
      signal?.removeEventListener('abort', forget);
      forget();
      subscription.unsubscribe();
    };
    return {
      get pattern() {
        return subscription.pattern;
      },
      get pending() {
        return subscription.pending;
      },
      get dropped() {
        return subscription.dropped;
      },
      unsubscribe,
      [Symbol.dispose]: unsubscribe,
    };
  }
}
