// The round-trip times of one peer over the last samples, for those who set timeouts by them. Bounded: a ring.

import type { RttStatistics } from '@datawarehouse/sdk';

/** The last round-trip times. */
export class RttWindow {
  private readonly ring: Float64Array;
  private count = 0;
  private next = 0;
  private cached: RttStatistics | undefined;

  /** @param capacity samples that are kept. */
  constructor(capacity = 256) {
    this.ring = new Float64Array(capacity);
  }

  /** Takes a sample in milliseconds. */
  add(milliseconds: number): void {
    this.ring[this.next] = milliseconds;
    this.next = (this.next + 1) % this.ring.length;
    this.count = Math.min(this.count + 1, this.ring.length);
    this.cached = undefined;
  }

  /** The window summed up, or undefined before the first sample. Sorts once after each new sample. */
  statistics(): RttStatistics | undefined {
    if (this.count === 0) return undefined;
    this.cached ??= this.summed();
    return this.cached;
  }

  private summed(): RttStatistics {
    const sorted = this.ring.slice(0, this.count).sort();
    const latest = this.ring[(this.next - 1 + this.ring.length) % this.ring.length] ?? 0;
    return Object.freeze({
      samples: this.count,
      p50Ms: nearestRank(sorted, 0.5),
      p99Ms: nearestRank(sorted, 0.99),
      latestMs: latest,
    });
  }
}

function nearestRank(sorted: Float64Array, quantile: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * quantile) - 1)] ?? 0;
}
