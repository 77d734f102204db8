// Counts the crashes of one plugin in a sliding window. Never holds more times than the limit.

/** Crashes within {@link CRASH_WINDOW_MS} that put a plugin into quarantine. */
export const CRASH_LIMIT = 3;

/** Length of the window, in milliseconds: five minutes. */
export const CRASH_WINDOW_MS = 5 * 60_000;

/** A sliding window over the crashes of one plugin. */
export class CrashWindow {
  private times: number[] = [];
  private count = 0;

  constructor(
    private readonly limit: number = CRASH_LIMIT,
    private readonly windowMs: number = CRASH_WINDOW_MS,
  ) {}

  /** Crashes since it was made. */
  get total(): number {
    return this.count;
  }

  /** Records a crash at monotonic time `now`, in milliseconds, and says whether the limit is reached. */
  record(now: number): boolean {
    this.count += 1;
    this.times = this.times.filter((time) => now - time < this.windowMs);
    this.times.push(now);
    if (this.times.length > this.limit) this.times.shift();
    return this.times.length >= this.limit;
  }

  /** Forgets the crashes in the window; {@link total} goes on. */
  clear(): void {
    this.times = [];
  }
}
