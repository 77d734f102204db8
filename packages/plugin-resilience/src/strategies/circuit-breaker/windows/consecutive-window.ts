// Failures since the last success.

import type { ConsecutiveWindowOptions, WindowOptions } from '../circuit-breaker-options.js';
import type { Sample, SampleGroup, SampleTotals, SampleWindow } from './sample-window.js';
import { FAILED, GOOD, SLOW, groupOf, groupSize } from './sample-window.js';

/** Counts failures, and calls that were too slow, since the last call that was neither. */
export class ConsecutiveWindow implements SampleWindow {
  private bad = 0;
  /** Of them, those that were slow without failing: for the reason alone. */
  private slow = 0;
  private latest = 0;

  constructor(private options: ConsecutiveWindowOptions) {}

  add(sample: Sample, now: number): void {
    if (sample === GOOD) {
      this.bad = 0;
      this.slow = 0;
      return;
    }
    this.bad++;
    if (sample === SLOW) this.slow++;
    this.latest = now;
  }

  verdict(): string | undefined {
    if (this.bad < this.options.failures) return undefined;
    return this.slow === 0
      ? `${this.bad} calls failed in a row`
      : `${this.bad} calls in a row failed or were slow`;
  }

  retune(options: WindowOptions): boolean {
    if (options.kind !== 'consecutive') return false;
    this.options = options;
    return true;
  }

  totals(): SampleTotals {
    return { calls: this.bad, failed: this.bad - this.slow, slow: this.slow };
  }

  clean(): boolean {
    return this.bad === 0;
  }

  groups(): readonly SampleGroup[] {
    const groups: SampleGroup[] = [];
    if (this.bad > this.slow) groups.push(groupOf(FAILED, this.bad - this.slow, this.latest));
    if (this.slow > 0) groups.push(groupOf(SLOW, this.slow, this.latest));
    return groups;
  }

  /** A window that goes on with what another remembers: the bad calls after the last good one. */
  static after(
    options: ConsecutiveWindowOptions,
    groups: readonly SampleGroup[],
    now: number,
  ): ConsecutiveWindow {
    const window = new ConsecutiveWindow(options);
    for (let n = groups.length - 1; n >= 0; n--) {
      const group = groups[n] as SampleGroup;
      // Where good and bad ones are mixed, which came last is not known: the breaker is not made to open by a guess.
      if (group.good > 0) break;
      window.bad += groupSize(group);
      window.slow += group.slow;
      window.latest = Math.max(window.latest, group.at ?? now);
    }
    return window;
  }
}
