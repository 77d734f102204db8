// What a span of time said about latency: of calls that succeeded, and of all.

/** Calls after which a mean says something: that of 20 is rarely off by more than half. */
export const MIN_SAMPLES = 20;
const MIN_WINDOW_MS = 100;
const MAX_WINDOW_MS = 5_000;

/** How a call ended, for those who learn from latency. `abandoned`: given up, so it would have taken longer still. */
export type SampleKind = 'succeeded' | 'failed' | 'abandoned';

/** The samples of one span. */
export class LatencyWindow {
  /** The most calls that were inside at once. */
  peak = 0;
  private count = 0;
  private sum = 0;
  private successes = 0;
  private successSum = 0;

  constructor(public began: number) {}

  /** Begins anew. `inside`: calls inside now. */
  restart(now: number, inside: number): void {
    this.began = now;
    this.peak = inside;
    this.count = this.sum = this.successes = this.successSum = 0;
  }

  /**
   * Adds a call. One that did not succeed may have ended early for a reason of its own, so it counts as at least
   * `leastMs`: failing fast never looks like being fast.
   */
  add(kind: SampleKind, elapsedMs: number, leastMs: number): void {
    this.count++;
    this.sum += kind === 'succeeded' ? elapsedMs : Math.max(elapsedMs, leastMs);
    if (kind !== 'succeeded') return;
    this.successes++;
    this.successSum += elapsedMs;
  }

  /** Whether it says enough, and is long enough for calls that began after the last change to have ended. */
  complete(now: number): boolean {
    const roundTrips = Math.min(MAX_WINDOW_MS, Math.max(MIN_WINDOW_MS, 2 * this.meanMs));
    return this.count >= MIN_SAMPLES && now - this.began >= roundTrips;
  }

  /** Mean of all calls. */
  get meanMs(): number {
    return this.sum / this.count;
  }

  /** Mean of those that succeeded. */
  get successMeanMs(): number {
    return this.successSum / this.successes;
  }

  /** Whether fewer than half of the calls succeeded: then latency says nothing about room for more. */
  get mostlyFailed(): boolean {
    return 2 * this.successes < this.count;
  }
}
