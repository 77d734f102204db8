// Counts latencies in buckets that grow by two per cent, so that percentiles of any number of them fit in a few
// kilobytes and are off by no more than that.

const GROWTH = Math.log(1.02);
/** Microseconds of the first bucket's upper edge. */
const FIRST_MICROSECONDS = 1;
/** Up to about ten minutes. */
const BUCKETS = 1_024;

/** Latencies in milliseconds. */
export class LatencyHistogram {
  private readonly buckets = new Uint32Array(BUCKETS);
  private total = 0;
  private largestMs = 0;

  get count(): number {
    return this.total;
  }

  get maxMs(): number {
    return this.largestMs;
  }

  /** Counts one. */
  record(ms: number): void {
    const index = Math.ceil(Math.log(Math.max(FIRST_MICROSECONDS, ms * 1_000)) / GROWTH);
    const bucket = Math.min(BUCKETS - 1, index);
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    this.total += 1;
    if (ms > this.largestMs) this.largestMs = ms;
  }

  /** The latency that this share of all (0 to 1) does not exceed, in milliseconds; 0 when there is none. */
  percentile(share: number): number {
    if (this.total === 0) return 0;
    let left = Math.ceil(this.total * share);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.buckets[bucket] ?? 0;
      if (left <= 0) return Math.min(this.largestMs, Math.exp(bucket * GROWTH) / 1_000);
    }
    return this.largestMs;
  }
}
