// The clock of one life of a simulated node: it runs a little fast or slow, and its wall time steps. Monotonic time may
// leap ahead, as when a virtual machine goes on after a rest; it never steps back, as on a real machine.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import type { Owner, Scheduler } from './scheduler.js';

const EPOCH = Date.UTC(2024, 0, 1);
/** What the event loop of a busy process may take before it comes round. */
const MAX_LOOP_MS = 0.2;

/** The quartz of a machine. It outlives the processes on it. */
export interface Quartz {
  /** Seconds of this machine for each second of the world. */
  rate: number;
  /** Ms by which the wall time is off. */
  wallOffset: number;
  /** Ms by which the monotonic time has leapt ahead, all in all. */
  leapt: number;
}

/** A {@link Clock} on the simulation's time. */
export class SimClock implements Clock {
  /** What the clock showed when it was last looked at, at which time of the world, and how fast it ran since. */
  private shown = 0;
  private lookedAt: number;
  private rate: number;
  private leapt: number;

  /** @param unit Uniform in [0, 1). */
  constructor(
    private readonly scheduler: Scheduler,
    private readonly owner: Owner,
    private readonly quartz: Quartz,
    private readonly unit: () => number,
  ) {
    this.lookedAt = scheduler.now;
    this.rate = quartz.rate;
    this.leapt = quartz.leapt;
  }

  now(): number {
    const { quartz, scheduler } = this;
    this.shown += (scheduler.now - this.lookedAt) * this.rate + (quartz.leapt - this.leapt);
    this.lookedAt = scheduler.now;
    this.rate = quartz.rate;
    this.leapt = quartz.leapt;
    return this.shown;
  }

  wallTime(): number {
    return EPOCH + Math.floor(this.scheduler.now * this.quartz.rate + this.quartz.wallOffset);
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    const delay = delayMs > 0 ? delayMs / this.quartz.rate : 0;
    return this.scheduler.schedule(this.owner, delay, 'timer', callback);
  }

  setInterval(callback: () => void, periodMs: number): TimerHandle {
    const period = Math.max(1, periodMs) / this.quartz.rate;
    let current = { cancel: (): void => undefined };
    let due = this.scheduler.now;
    const arm = (): void => {
      // From when it was due, unless the process stood still for longer: then there is one call and not many.
      due = Math.max(due + period, this.scheduler.now);
      current = this.scheduler.schedule(this.owner, due - this.scheduler.now, 'interval', () => {
        arm();
        callback();
      });
    };
    arm();
    return {
      cancel: () => {
        current.cancel();
      },
    };
  }

  setImmediate(callback: () => void): TimerHandle {
    return this.scheduler.schedule(this.owner, this.unit() * MAX_LOOP_MS, 'turn', callback);
  }
}
