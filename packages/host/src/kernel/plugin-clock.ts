// The clock a plugin is given: its timers run in the plugin's scope, what they throw is a crash of the plugin, and
// none outlives it.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';

/** What a {@link PluginClock} needs of its plugin's context. */
export interface PluginClockOwner {
  /** Runs a callback in the plugin's scope and reports what it throws or rejects with. Never throws. */
  guard(where: string, callback: () => unknown): void;
  /** @throws DwError `context-closed` once the plugin is stopped. */
  assertUsable(): void;
}

/** A {@link Clock} whose timers end with the plugin. */
export class PluginClock implements Clock {
  private readonly timers = new Set<TimerHandle>();

  constructor(
    private readonly clock: Clock,
    private readonly owner: PluginClockOwner,
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
    this.owner.assertUsable();
    const inner = this.clock.setTimeout(() => {
      this.timers.delete(handle);
      this.owner.guard('a timer', callback);
    }, delayMs);
    const handle = this.track(inner);
    return handle;
  }

  setInterval(callback: () => void, periodMs: number): TimerHandle {
    this.owner.assertUsable();
    return this.track(this.clock.setInterval(() => this.owner.guard('an interval', callback), periodMs));
  }

  setImmediate(callback: () => void): TimerHandle {
    this.owner.assertUsable();
    const inner = this.clock.setImmediate(() => {
      this.timers.delete(handle);
      this.owner.guard('an immediate', callback);
    });
    const handle = this.track(inner);
    return handle;
  }

  /** Stops every timer. */
  cancelAll(): void {
    for (const timer of this.timers) timer.cancel();
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
