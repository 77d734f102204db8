// Bus messages as server-sent events. It holds at most one message of each subscription: the next one waits in the
// bus, whose queue is bounded and counts what it drops. The client is told how many it has missed.

import type { BusMessage, IMessageBus, Subscription } from '@datawarehouse/sdk';

/** Comments in between show a proxy, and this side, whether the other end still lives. */
const PING_MS = 15_000;
const CAPACITY = 1_000;

interface Waiting {
  readonly text: string;
  /** Lets the bus hand over the subscription's next message. */
  readonly taken: () => void;
}

function format(message: BusMessage): string {
  let data: string;
  try {
    data = JSON.stringify(message);
  } catch {
    // In-process payloads may hold what JSON cannot (a BigInt, a cycle); the listener still learns that it was there.
    data = JSON.stringify({ ...message, payload: null, unserializable: true });
  }
  // JSON text has no line breaks, so one data line is enough.
  return `event: ${message.topic}\nid: ${message.sequence}\ndata: ${data}\n\n`;
}

/**
 * Streams the messages of some topics or patterns until the signal aborts. Subscribes at once, not at the first read.
 * @throws as `subscribe` of the bus.
 */
export function eventStream(
  bus: IMessageBus,
  patterns: readonly string[],
  signal: AbortSignal,
): AsyncIterable<string> {
  const waiting: Waiting[] = [];
  let wake: (() => void) | undefined;
  const subscriptions: Subscription[] = [];
  let released = false;
  const release = (): void => {
    released = true;
    for (const subscription of subscriptions) subscription.unsubscribe();
    for (const { taken } of waiting.splice(0)) taken();
    wake?.();
  };
  const onMessage = (message: BusMessage): Promise<void> =>
    new Promise((resolve) => {
      if (released) return resolve();
      waiting.push({ text: format(message), taken: resolve });
      wake?.();
    });
  try {
    for (const pattern of patterns) {
      subscriptions.push(bus.subscribe(pattern, onMessage, { capacity: CAPACITY, overflow: 'drop-oldest' }));
    }
  } catch (thrown) {
    release();
    throw thrown;
  }
  signal.addEventListener('abort', release, { once: true });
  return events();

  async function* events(): AsyncGenerator<string> {
    let reported = 0;
    try {
      yield ': listening\n\n';
      while (!released) {
        const next = waiting.shift();
        if (next === undefined) {
          if (await quiet()) yield ': ping\n\n';
          continue;
        }
        next.taken();
        yield next.text;
        const dropped = subscriptions.reduce((sum, subscription) => sum + subscription.dropped, 0);
        if (dropped > reported) {
          reported = dropped;
          yield `event: dw.dropped\ndata: {"dropped":${dropped}}\n\n`;
        }
      }
    } finally {
      signal.removeEventListener('abort', release);
      release();
    }
  }

  /** Waits for a message or the end. True when neither came in time. */
  function quiet(): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (timedOut: boolean): void => {
        clearTimeout(timer);
        wake = undefined;
        resolve(timedOut);
      };
      const timer = setTimeout(() => finish(true), PING_MS);
      wake = () => finish(false);
    });
  }
}
