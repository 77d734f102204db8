// The calls of a time, in ten buckets. Until the first bad one there are no buckets: good calls are counted by halves of
// the window, and spread evenly over the buckets of their half when these are made. That is exact in number, and off in
// age by less than half a window, always for calls that were good.

import type { TimeWindowOptions, WindowOptions } from '../circuit-breaker-options.js';
import type { Sample, SampleGroup, SampleTotals, SampleWindow, TripLimits } from './sample-window.js';
import { FAILED, GOOD, SLOW, tripReason } from './sample-window.js';

const BUCKETS = 10;
/** Buckets in a half of the window. */
const HALF = BUCKETS / 2;
/** Counters of a bucket: one for each kind of {@link Sample}. */
const KINDS = 4;
const MAX_COUNT = 0xffff_ffff;

/** Remembers the calls of the last `durationMs`, to a tenth of it. */
export class TimeWindow implements SampleWindow {
  private readonly bucketMs: number;
  /** Good calls of the half that {@link half} numbers, of the one before, and of the one before that. */
  private current = 0;
  private previous = 0;
  private before = 0;
  private half = 0;
  /** Undefined while all that is remembered is good. The counters of bucket `n` are at `(n % BUCKETS) * KINDS`. */
  private buckets: Uint32Array | undefined;
  /** Number of the newest bucket: those from `newest - BUCKETS + 1` on are remembered. */
  private newest = 0;
  private total = 0;
  private failed = 0;
  private slow = 0;

  constructor(private options: TimeWindowOptions) {
    this.bucketMs = options.durationMs / BUCKETS;
  }

  add(sample: Sample, now: number): void {
    const bucket = Math.floor(now / this.bucketMs);
    if (this.buckets === undefined) {
      if (sample === GOOD) {
        this.turnHalves(bucket);
        this.current++;
        return;
      }
      this.materialize(bucket);
    }
    this.advance(bucket);
    this.put(bucket, sample, 1);
  }

  verdict(limits: TripLimits, now: number): string | undefined {
    this.advance(Math.floor(now / this.bucketMs));
    const { durationMs, failureRate, minimumThroughput } = this.options;
    if (this.total < minimumThroughput) return undefined;
    const reason = tripReason(this.total, this.failed, this.slow, failureRate, limits.slowRate);
    return reason === undefined ? undefined : `${reason} within ${durationMs} ms`;
  }

  retune(options: WindowOptions): boolean {
    if (options.kind !== 'time' || options.durationMs !== this.options.durationMs) return false;
    this.options = options;
    return true;
  }

  totals(now: number): SampleTotals {
    const bucket = Math.floor(now / this.bucketMs);
    if (this.buckets === undefined) this.turnHalves(bucket);
    else this.advance(bucket);
    const good = this.current + this.previous + this.before;
    return { calls: this.total + good, failed: this.failed, slow: this.slow };
  }

  clean(now: number): boolean {
    this.advance(Math.floor(now / this.bucketMs));
    return this.failed === 0 && this.slow === 0;
  }

  groups(now: number): readonly SampleGroup[] {
    const bucket = Math.floor(now / this.bucketMs);
    if (this.buckets === undefined) this.materialize(bucket);
    this.advance(bucket);
    const groups: SampleGroup[] = [];
    for (let n = this.newest - BUCKETS + 1; n <= this.newest; n++) {
      const group = {
        at: (n + 0.5) * this.bucketMs,
        good: this.countOf(n, GOOD),
        failed: this.countOf(n, FAILED),
        slow: this.countOf(n, SLOW),
        both: this.countOf(n, 3),
      };
      if (group.good + group.failed + group.slow + group.both > 0) groups.push(group);
    }
    return groups;
  }

  private countOf(bucket: number, sample: Sample): number {
    return bucket < 0 ? 0 : (this.buckets?.[(bucket % BUCKETS) * KINDS + sample] ?? 0);
  }

  /** Makes the present half the one that `bucket` is in. */
  private turnHalves(bucket: number): void {
    const half = Math.floor(bucket / HALF);
    for (let turns = Math.min(half - this.half, 3); turns > 0; turns--) {
      this.before = this.previous;
      this.previous = this.current;
      this.current = 0;
    }
    if (half > this.half) this.half = half;
  }

  /** Makes buckets, and spreads the good calls over them. */
  private materialize(bucket: number): void {
    this.turnHalves(bucket);
    this.buckets = new Uint32Array(BUCKETS * KINDS);
    this.newest = bucket;
    const start = this.half * HALF;
    this.spread(this.before, start - BUCKETS, start - HALF);
    this.spread(this.previous, start - HALF, start);
    this.spread(this.current, start, bucket + 1);
    this.before = 0;
    this.previous = 0;
    this.current = 0;
  }

  private spread(count: number, from: number, to: number): void {
    const share = Math.ceil(count / (to - from));
    let left = count;
    // Latest first, so that a call which cannot be split is not taken for older than it is.
    for (let n = to - 1; n >= from && left > 0; n--) {
      const some = Math.min(share, left);
      left -= some;
      if (n > this.newest - BUCKETS) this.put(n, GOOD, some);
    }
  }

  /** Counts samples in a bucket that is remembered. */
  private put(bucket: number, sample: Sample, count: number): void {
    const { buckets } = this;
    if (buckets === undefined || bucket < 0) return;
    const at = (bucket % BUCKETS) * KINDS + sample;
    const before = buckets[at] as number;
    const added = Math.min(count, MAX_COUNT - before);
    buckets[at] = before + added;
    this.total += added;
    if ((sample & FAILED) !== 0) this.failed += added;
    if ((sample & SLOW) !== 0) this.slow += added;
  }

  /** Forgets what is out of reach when `bucket` is the newest. */
  private advance(bucket: number): void {
    const { buckets } = this;
    if (buckets === undefined || bucket <= this.newest) return;
    const stale = Math.min(bucket - this.newest, BUCKETS);
    for (let n = 0; n < stale; n++) {
      const at = ((bucket - n) % BUCKETS) * KINDS;
      for (let kind = 0; kind < KINDS; kind++) {
        const leaving = buckets[at + kind] as number;
        this.total -= leaving;
        if ((kind & FAILED) !== 0) this.failed -= leaving;
        if ((kind & SLOW) !== 0) this.slow -= leaving;
        buckets[at + kind] = 0;
      }
    }
    this.newest = bucket;
  }

  /** A window that goes on with what another remembers, as far as it reaches. */
  static after(options: TimeWindowOptions, groups: readonly SampleGroup[], now: number): TimeWindow {
    const window = new TimeWindow(options);
    window.materialize(Math.floor(now / window.bucketMs));
    for (const { at = now, good, failed, slow, both } of groups) {
      const bucket = Math.min(Math.floor(at / window.bucketMs), window.newest);
      if (bucket <= window.newest - BUCKETS) continue;
      window.put(bucket, GOOD, good);
      window.put(bucket, FAILED, failed);
      window.put(bucket, SLOW, slow);
      window.put(bucket, 3, both);
    }
    return window;
  }
}
