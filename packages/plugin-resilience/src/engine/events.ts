// What policies tell of themselves. Telling costs a caller nothing but a place in a bounded queue: listeners are called
// in a microtask of their own, and what they throw harms nobody.

import { AsyncResource } from 'node:async_hooks';
import { errorMessage } from '@datawarehouse/sdk';
import type { ResilienceEvent, ResilienceListener } from '@datawarehouse/sdk';

export type { CircuitState, ResilienceEvent, ResilienceListener } from '@datawarehouse/sdk';

/** Events that wait for the listeners; more are counted as lost. A turn that makes more has told enough. */
const MAX_WAITING = 1_024;
/** The same for changes of state, which what was done to single calls must not crowd out. */
const MAX_WAITING_CHANGES = 16_384;

/** Passes events on to listeners. */
export class EventSink {
  /** Events that nobody heard of, because too many came in one turn. */
  lost = 0;
  /** What listeners threw. */
  listenerFailures = 0;
  private waiting: ResilienceEvent[] = [];
  private readonly listeners = new Set<ResilienceListener>();
  private readonly changeListeners = new Set<ResilienceListener>();

  /** @param failed Told what a listener threw. */
  constructor(private readonly failed: (message: string) => void) {}

  /** Calls `listener` with every event from now on. Dispose of what it returns to stop. */
  listen(listener: ResilienceListener): Disposable {
    return register(this.listeners, listener);
  }

  /**
   * Calls `listener` with what changes state, and not with what was done to single calls: that is not even kept when
   * nobody else listens to it, so that a storm of rejections costs its callers nothing for this listener's sake.
   */
  listenToChanges(listener: ResilienceListener): Disposable {
    return register(this.changeListeners, listener);
  }

  /** Whether anybody listens. What is told otherwise need not be made. */
  get heard(): boolean {
    return this.listeners.size > 0 || this.changeListeners.size > 0;
  }

  report(event: ResilienceEvent): void {
    const isChange = event.kind !== 'acted';
    if (this.listeners.size === 0 && !(isChange && this.changeListeners.size > 0)) return;
    if (this.waiting.length >= (isChange ? MAX_WAITING_CHANGES : MAX_WAITING)) {
      this.lost++;
      return;
    }
    if (this.waiting.push(event) === 1) queueMicrotask(() => this.tell());
  }

  private tell(): void {
    const events = this.waiting;
    this.waiting = [];
    for (const event of events) {
      for (const listener of this.listeners) this.call(listener, event);
      if (event.kind === 'acted') continue;
      for (const listener of this.changeListeners) this.call(listener, event);
    }
  }

  private call(listener: ResilienceListener, event: ResilienceEvent): void {
    try {
      listener(event);
    } catch (thrown) {
      this.listenerFailures++;
      this.failed(errorMessage(thrown));
    }
  }
}

/** A listener runs in the asynchronous context of whoever registered it: that of a call is none of its business. */
function register(listeners: Set<ResilienceListener>, listener: ResilienceListener): Disposable {
  const bound = AsyncResource.bind(listener);
  listeners.add(bound);
  return { [Symbol.dispose]: () => void listeners.delete(bound) };
}
