// The clock as a plugin under test gets it: its timers are known, end with the plugin, and their failures are heard.

import type { Clock, TimerHandle } from '../time/index.js';

/** A {@link Clock} whose timers end with the plugin. */
export class TrackedClock implements Clock {
  private readonly timers = new Set<TimerHandle>();

  /**
   * @param assertUsable throws once the plugin is stopped.
   * @param onFailure told of what callbacks throw or reject with.
   */
  constructor(
    private readonly clock: Clock,
    private readonly assertUsable: () => void,
    private readonly onFailure: (where: string, thrown: unknown) => void,
  ) {}

  /** Timers that are pending. */
  get pending(): number {
    return this.timers.size;
  }

  now(): number {
    return this.clock.now();
  }

  wallTime(): number {
    return this.clock.wallTime();
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    this.assertUsable();
    const inner = this.clock.setTimeout(() => {
      this.timers.delete(handle);
      this.guard('a timer', callback);
    }, delayMs);
    const handle = this.track(inner);
    return handle;
  }

  setInterval(callback: () => void, periodMs: number): TimerHandle {
    this.assertUsable();
    return this.track(this.clock.setInterval(() => this.guard('an interval', callback), periodMs));
  }

  setImmediate(callback: () => void): TimerHandle {
    this.assertUsable();
    const inner = this.clock.setImmediate(() => {
      this.timers.delete(handle);
      this.guard('an immediate', callback);
    });
    const handle = this.track(inner);
    return handle;
  }

  /** Stops every timer. */
  cancelAll(): void {
    for (const timer of this.timers) timer.cancel();
  }

  private guard(where: string, callback: () => unknown): void {
    try {
      const result = callback();
      if (result instanceof Promise) result.catch((thrown: unknown) => this.onFailure(where, thrown));
    } catch (thrown) {
      this.onFailure(where, thrown);
    }
  }

  private track(inner: TimerHandle): TimerHandle {
    const handle: TimerHandle = {
      cancel: () => {
        this.timers.delete(handle);
        inner.cancel();
      },
    };
    this.timers.add(handle);
    return handle;
  }
}
