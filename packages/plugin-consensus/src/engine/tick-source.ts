// Turns the clock into ticks. A group does something at few of them, so there is no timer for each: whoever has
// something to do says at which tick, and one timer is set to the first of those. Ten thousand groups that only wait
// cost one call for each time that one of them has waited enough.
//
// A timer that comes late makes up for a little and no more: after a stall of the event loop, or a process that was
// stopped for a while, all that time at once would start elections before the messages that came meanwhile are read.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import { TICK_MS } from './election-timeout.js';

/** Ticks that a timer may be late. What is due is then put off by as many, for messages to be read first. */
const MAX_LATE_TICKS = 3;

/** Counts ticks, and calls back at those at which there is something to do. */
export class TickSource {
  private timer: TimerHandle | undefined;
  /** The tick that the timer is set to. */
  private due = 0;
  private count = 0;
  /** Clock time of tick `count`. */
  private last = 0;
  private stallCount = 0;
  private running = false;

  /** @param onDue Does what is due, and returns in how many ticks there is more to do. */
  constructor(
    private readonly clock: Clock,
    private readonly onDue: () => number,
  ) {}

  /** Times that the event loop or the process stood still for longer than can be made up for. */
  get stalls(): number {
    return this.stallCount;
  }

  /** Ticks since the start. */
  get passed(): number {
    if (!this.running) return this.count;
    const now = this.clock.now();
    const ticks = Math.floor((now - this.last) / TICK_MS);
    if (this.count + ticks > this.due + MAX_LATE_TICKS) {
      this.stallCount++;
      this.last = now;
      this.count = Math.max(this.count + 1, this.due - MAX_LATE_TICKS);
    } else if (ticks > 0) {
      this.last += ticks * TICK_MS;
      this.count += ticks;
    }
    return this.count;
  }

  start(): void {
    this.running = true;
    this.last = this.clock.now();
    this.due = this.count + 1;
    this.arm();
  }

  stop(): void {
    this.running = false;
    this.timer?.cancel();
    this.timer = undefined;
  }

  /** There is something to do at this tick: the timer comes then, or before. */
  at(tick: number): void {
    if (!this.running || tick >= this.due) return;
    const due = Math.max(tick, this.passed + 1);
    // The timer is set to that already, or is late: setting it anew in every turn of a busy node would put it off for ever.
    if (due >= this.due) return;
    this.due = due;
    this.arm();
  }

  private arm(): void {
    this.timer?.cancel();
    const wait = this.last + (this.due - this.count) * TICK_MS - this.clock.now();
    // Whole milliseconds, as timers have them: one that came a hair too early would come again at once, without end.
    this.timer = this.clock.setTimeout(() => this.fire(), Math.max(1, Math.ceil(wait)));
  }

  private fire(): void {
    try {
      if (this.passed < this.due) return;
      this.due = this.count + 1;
      this.due = this.count + Math.max(1, this.onDue());
    } finally {
      // Whatever was thrown, time goes on: a leader would keep its role, and nobody stand for another.
      if (this.running) this.arm();
    }
  }
}
