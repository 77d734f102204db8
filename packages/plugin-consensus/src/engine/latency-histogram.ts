// Percentiles of recent durations in constant memory: counts in buckets that grow by a quarter, in two windows, of which
// the older one is dropped as a whole.

const BUCKETS = 64;
const SMALLEST_MS = 0.05;
const GROWTH = 1.25;
const LOG_GROWTH = Math.log(GROWTH);

/** Durations of the last one to two windows. */
export class LatencyHistogram {
  private current = new Uint32Array(BUCKETS);
  private previous = new Uint32Array(BUCKETS);
  private total = 0;

  /** Durations recorded since it was made. */
  get count(): number {
    return this.total;
  }

  /** Records a duration in ms. */
  record(ms: number): void {
    const bucket = ms <= SMALLEST_MS ? 0 : Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH);
    const index = Math.min(bucket, BUCKETS - 1);
    this.current[index] = (this.current[index] as number) + 1;
    this.total++;
  }

  /** Forgets the older window. Call it once each window. */
  rotate(): void {
    [this.previous, this.current] = [this.current, this.previous];
    this.current.fill(0);
  }

  /** The duration in ms that a `fraction` of the recent ones stay below; 0 when there are none. Right to a quarter. */
  percentile(fraction: number): number {
    let all = 0;
    for (let n = 0; n < BUCKETS; n++) all += (this.current[n] as number) + (this.previous[n] as number);
    if (all === 0) return 0;
    let seen = 0;
    for (let n = 0; n < BUCKETS; n++) {
      seen += (this.current[n] as number) + (this.previous[n] as number);
      if (seen >= all * fraction) return SMALLEST_MS * GROWTH ** n;
    }
    return SMALLEST_MS * GROWTH ** (BUCKETS - 1);
  }
}
