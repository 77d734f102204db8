// Counts answers and their times for one route. Counted in plain fields on the hot path; exported when somebody asks.

/** Upper edges of the latency buckets, in milliseconds. The last bucket is everything slower. */
export const LATENCY_EDGES_MS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
];

/** Counters of one route, since the host started. */
export class RouteStatistics {
  /** Answers by hundreds of the status: index 2 is 2xx. Index 0 counts clients that went away before the answer. */
  readonly byStatusClass = [0, 0, 0, 0, 0, 0];
  /** Answers by latency bucket; one more than there are edges. */
  readonly buckets: number[] = Array.from({ length: LATENCY_EDGES_MS.length + 1 }, () => 0);
  totalMs = 0;
  count = 0;

  /** Counts one answer. Hot path. `status` 0 says that the client went away. */
  record(status: number, ms: number): void {
    const statusClass = Math.trunc(status / 100);
    this.byStatusClass[statusClass] = (this.byStatusClass[statusClass] ?? 0) + 1;
    this.count += 1;
    this.totalMs += ms;
    let bucket = 0;
    while (bucket < LATENCY_EDGES_MS.length && ms > (LATENCY_EDGES_MS[bucket] ?? 0)) bucket += 1;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
  }
}
