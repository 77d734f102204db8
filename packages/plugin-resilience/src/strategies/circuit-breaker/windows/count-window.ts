// The last calls. Until the first bad one they are a number; then a ring of one byte for each.

import type { CountWindowOptions, WindowOptions } from '../circuit-breaker-options.js';
import type { Sample, SampleGroup, SampleTotals, SampleWindow, TripLimits } from './sample-window.js';
import { FAILED, GOOD, SLOW, groupOf, groupSize, tripReason } from './sample-window.js';

/** Remembers the last `size` calls. */
export class CountWindow implements SampleWindow {
  /** Calls remembered: at most `options.size`. */
  private total = 0;
  private failed = 0;
  private slow = 0;
  /** Where the next sample goes in {@link ring}. */
  private next = 0;
  /** Undefined while all that is remembered is good. */
  private ring: Uint8Array | undefined;

  constructor(private options: CountWindowOptions) {}

  add(sample: Sample): void {
    const { size } = this.options;
    if (this.ring === undefined) {
      if (sample === GOOD) {
        if (this.total < size) this.total++;
        return;
      }
      // Good calls are zeros: those that are remembered are there already.
      this.ring = new Uint8Array(size);
      this.next = this.total % size;
    }
    this.put(this.ring, sample, size);
  }

  private put(ring: Uint8Array, sample: Sample, size: number): void {
    const { next } = this;
    if (this.total === size) {
      const leaving = ring[next] as number;
      this.failed -= leaving & FAILED;
      this.slow -= (leaving & SLOW) >> 1;
    } else this.total++;
    ring[next] = sample;
    this.failed += sample & FAILED;
    this.slow += (sample & SLOW) >> 1;
    this.next = next + 1 === size ? 0 : next + 1;
  }

  verdict(limits: TripLimits): string | undefined {
    const { failureRate, minimumThroughput, size } = this.options;
    // A window that cannot hold the minimum is judged when it is full, and not never.
    if (this.total < Math.min(minimumThroughput, size)) return undefined;
    return tripReason(this.total, this.failed, this.slow, failureRate, limits.slowRate);
  }

  retune(options: WindowOptions): boolean {
    if (options.kind !== 'count' || options.size !== this.options.size) return false;
    this.options = options;
    return true;
  }

  totals(): SampleTotals {
    return { calls: this.total, failed: this.failed, slow: this.slow };
  }

  clean(): boolean {
    return this.failed === 0 && this.slow === 0;
  }

  groups(): readonly SampleGroup[] {
    const { ring, total } = this;
    if (ring === undefined) return total === 0 ? [] : [groupOf(GOOD, total, undefined)];
    const groups: SampleGroup[] = [];
    const first = total === ring.length ? this.next : 0;
    let run = 0;
    for (let n = 0; n < total; n++) {
      const sample = ring[(first + n) % ring.length] as Sample;
      run++;
      if (n + 1 < total && ring[(first + n + 1) % ring.length] === sample) continue;
      groups.push(groupOf(sample, run, undefined));
      run = 0;
    }
    return groups;
  }

  /** A window that goes on with the last that another remembers. */
  static after(options: CountWindowOptions, groups: readonly SampleGroup[]): CountWindow {
    const window = new CountWindow(options);
    let spare = groups.reduce((sum, group) => sum + groupSize(group), 0) - options.size;
    for (const group of groups) {
      // Of samples whose order is not known, the bad ones are taken to be the latest.
      for (const [sample, count] of inOrder(group)) {
        const skipped = Math.min(Math.max(0, spare), count);
        spare -= skipped;
        for (let n = skipped; n < count; n++) window.add(sample);
      }
    }
    return window;
  }
}

function inOrder(group: SampleGroup): readonly (readonly [Sample, number])[] {
  return [
    [GOOD, group.good],
    [SLOW, group.slow],
    [FAILED, group.failed],
    [3, group.both],
  ];
}
