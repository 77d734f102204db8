import { describe, expect, it } from 'vitest';
import type { Rate } from './rate.js';
import { rateOf } from './rate.js';
import { SlidingWindow, WINDOW_SLOTS } from './sliding-window.js';

function windowOf(limit: number, perMs: number): Rate {
  const shared = { type: 'rate-limit', dryRun: false, algorithm: 'sliding-window' } as const;
  return rateOf({ ...shared, limit, perMs, burst: 0, maxWaitMs: 0, queue: 0 }, 0, undefined);
}

describe('a sliding window', () => {
  it('keeps few entries however high the limit is, and gives a place back less than a slot late', () => {
    const rate = windowOf(100_000, 1_000);
    const window = new SlidingWindow(0, 0);
    const begun: number[] = [];
    let latest = 0;
    let earliest = Number.POSITIVE_INFINITY;
    // Fewer than the limit for a second, then many more.
    for (let now = 0; now < 4_000; now += now % 2_000 < 1_000 ? 0.012 : 0.003) {
      // How long ago the call began whose place this one needs.
      const age = now - (begun.at(-100_000) ?? Number.NEGATIVE_INFINITY);
      if (window.wait(1, rate, now) > 0) latest = Math.max(latest, age);
      else {
        earliest = Math.min(earliest, age);
        window.take(rate, now);
        begun.push(now);
        if (begun.length % 1_000 === 0) expect(window.entries).toBeLessThanOrEqual(WINDOW_SLOTS + 2);
      }
    }
    expect(earliest).toBeGreaterThanOrEqual(1_000 - 1e-5);
    expect(latest).toBeLessThan(1_000 + 1_000 / WINDOW_SLOTS);
    expect(begun.length).toBeGreaterThan(350_000);
  });

  it('keeps a bounded number of entries while the length of the window is changed again and again', () => {
    const window = new SlidingWindow(0, 0);
    let now = 0;
    for (let step = 0; step < 5_000; step++) {
      const rate = windowOf(1_000_000, 2 ** (step % 20));
      now += rate.perMs / WINDOW_SLOTS;
      window.take({ ...rate, perMs: 2 ** 40 }, now);
      window.take(windowOf(64, 2 ** 40), now);
      expect(window.entries).toBeLessThanOrEqual(2 * WINDOW_SLOTS);
    }
    expect(window.free(windowOf(1_000_000, 2 ** 40), now)).toBe(990_000);
  });
});
