// Turns the clock's timer into ticks. A timer that comes late makes up for a little and no more: after a stall of the
// event loop, or a process that was stopped for a while, a burst of ticks would start elections before the messages
// that came meanwhile have been read.

import type { Clock, TimerHandle } from '@datawarehouse/sdk';
import { TICK_MS } from './election-timeout.js';

/** Ticks that one late timer makes up for. */
const MAX_TICKS_AT_ONCE = 3;

/** Calls back with the ticks that have passed. */
export class TickSource {
  private timer: TimerHandle | undefined;
  private last = 0;
  private stallCount = 0;

  constructor(
    private readonly clock: Clock,
    private readonly onTicks: (ticks: number) => void,
  ) {}

  /** Times that the event loop or the process stood still for longer than can be made up for. */
  get stalls(): number {
    return this.stallCount;
  }

  start(): void {
    this.last = this.clock.now();
    this.timer = this.clock.setInterval(() => this.fire(), TICK_MS);
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private fire(): void {
    const now = this.clock.now();
    const ticks = Math.floor((now - this.last) / TICK_MS);
    if (ticks > MAX_TICKS_AT_ONCE) {
      this.stallCount++;
      this.last = now;
      this.onTicks(1);
      return;
    }
    this.last += ticks * TICK_MS;
    if (ticks > 0) this.onTicks(ticks);
  }
}
