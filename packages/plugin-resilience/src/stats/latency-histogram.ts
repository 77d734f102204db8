// Where latencies are counted: buckets whose width grows with the value, so that a quantile is right to about 3 % from a
// microsecond to hours, in two windows that take turns, so that what it says is of the last minute or so. Recording is a
// few integer operations; asking costs the same however many calls there were.

/** Buckets between one power of two and the next. */
const STEPS = 16;
const STEP_BITS = 4;
/** Powers of two above the linear start; 2^32 µs is more than an hour. */
const BUCKETS = STEPS + (32 - STEP_BITS) * STEPS;
const LARGEST_US = 2 ** 32 - 1;

/** What {@link LatencyHistogram.summary} tells. All are 0 when there are no samples. */
export interface LatencySummary {
  /** Samples that the quantiles are of. */
  readonly samples: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** Latencies of the last one to two windows. */
export class LatencyHistogram {
  private current = new Uint32Array(BUCKETS);
  private previous = new Uint32Array(BUCKETS);
  /** Samples in each. */
  private inCurrent = 0;
  private inPrevious = 0;
  private endsAt: number;

  /** @param now Monotonic time, ms. */
  constructor(
    now: number,
    private readonly windowMs: number,
  ) {
    this.endsAt = now + windowMs;
  }

  /** Counts a call that took `ms` and ended at `now`. */
  record(ms: number, now: number): void {
    if (now >= this.endsAt) this.rotate(now);
    const bucket = bucketOf(ms);
    (this.current[bucket] as number)++;
    this.inCurrent++;
  }

  /** The quantiles now. Looks at each bucket once at most. */
  summary(now: number): LatencySummary {
    if (now >= this.endsAt) this.rotate(now);
    const { current, previous } = this;
    const samples = this.inCurrent + this.inPrevious;
    const found = { samples, p50Ms: 0, p95Ms: 0, p99Ms: 0 };
    const p50 = samples * 0.5;
    const p95 = samples * 0.95;
    const p99 = samples * 0.99;
    for (let n = 0, below = 0; below < p99; n++) {
      const here = (current[n] as number) + (previous[n] as number);
      if (here === 0) continue;
      const middle = middleMsOf(n);
      if (below < p50) found.p50Ms = middle;
      if (below < p95) found.p95Ms = middle;
      found.p99Ms = middle;
      below += here;
    }
    return found;
  }

  private rotate(now: number): void {
    const { current } = this;
    this.current = this.previous;
    this.current.fill(0);
    this.previous = current;
    this.inPrevious = this.inCurrent;
    this.inCurrent = 0;
    if (now >= this.endsAt + this.windowMs) {
      // It ended a whole window ago.
      current.fill(0);
      this.inPrevious = 0;
    }
    this.endsAt = now + this.windowMs;
  }
}

/** The bucket of a latency: linear up to 16 µs, then 16 for each doubling. */
function bucketOf(ms: number): number {
  const us = ms * 1000;
  if (!(us >= STEPS)) return us > 0 ? us | 0 : 0;
  const whole = us >= LARGEST_US ? LARGEST_US : us >>> 0;
  const shift = 31 - STEP_BITS - Math.clz32(whole);
  // The bits below the highest one that count; the highest one itself makes the first step of its row.
  return (shift << STEP_BITS) + (whole >>> shift);
}

/** The middle of a bucket, ms. */
function middleMsOf(bucket: number): number {
  if (bucket < STEPS) return (bucket + 0.5) / 1000;
  const shift = (bucket >> STEP_BITS) - 1;
  const first = (STEPS + (bucket & (STEPS - 1))) * 2 ** shift;
  return (first + 2 ** shift / 2) / 1000;
}
