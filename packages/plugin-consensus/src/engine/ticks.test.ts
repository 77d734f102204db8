// Time as the engine sees it: election timeouts that follow the network, and ticks that do not come in bursts.

import { FakeClock } from '@datawarehouse/sdk/testing';
import type { TimerHandle } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { electionTimeoutMs, ticksFor } from './election-timeout.js';
import { LatencyHistogram } from './latency-histogram.js';
import { TickSource } from './tick-source.js';

describe('the election timeout', () => {
  it('is the multiple of the slowest peer’s 99th percentile, but at least the minimum', () => {
    const rtt = (p99Ms: number, samples = 10) => ({ samples, p99Ms });
    expect(electionTimeoutMs([rtt(1), rtt(2)], 150, 10)).toBe(150);
    expect(electionTimeoutMs([rtt(1), rtt(40)], 150, 10)).toBe(400);
    expect(electionTimeoutMs([rtt(40, 2), undefined], 150, 10)).toBeUndefined();
    expect(electionTimeoutMs([rtt(1e9)], 150, 10)).toBe(30_000);
  });

  it('leaves room for three heartbeats', () => {
    expect(ticksFor(150)).toEqual({ electionTicks: 15, heartbeatTicks: 5 });
    for (let ms = 1; ms < 5_000; ms += 7) {
      const { electionTicks, heartbeatTicks } = ticksFor(ms);
      expect(heartbeatTicks * 3).toBeLessThanOrEqual(Math.max(electionTicks, 3));
      expect(electionTicks).toBeGreaterThan(heartbeatTicks);
    }
  });
});

/** A clock whose interval fires only when the test says so: a stalled event loop. */
class StalledClock extends FakeClock {
  fire: () => void = () => undefined;
  override setInterval(callback: () => void): TimerHandle {
    this.fire = callback;
    return { cancel: () => undefined };
  }
}

describe('ticks', () => {
  it('follow the clock when it runs', () => {
    const clock = new FakeClock();
    let ticks = 0;
    const source = new TickSource(clock, (count) => (ticks += count));
    source.start();
    clock.advance(1_000);
    expect(ticks).toBe(100);
    source.stop();
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('make up for a late timer, but not for a process that was stopped', () => {
    const clock = new StalledClock();
    let ticks = 0;
    const source = new TickSource(clock, (count) => (ticks += count));
    source.start();
    clock.advance(25);
    clock.fire();
    expect(ticks).toBe(2);
    clock.advance(5);
    clock.fire();
    expect(ticks).toBe(3);
    clock.advance(60_000);
    clock.fire();
    expect(ticks).toBe(4);
    expect(source.stalls).toBe(1);
  });
});

describe('the latency histogram', () => {
  it('finds percentiles to a quarter, of recent durations only', () => {
    const histogram = new LatencyHistogram();
    for (let n = 1; n <= 100; n++) histogram.record(n);
    expect(histogram.percentile(0.5)).toBeGreaterThan(49);
    expect(histogram.percentile(0.5)).toBeLessThan(50 * 1.26);
    expect(histogram.percentile(0.99)).toBeGreaterThan(98);
    histogram.rotate();
    expect(histogram.percentile(0.5)).toBeGreaterThan(49);
    histogram.rotate();
    expect(histogram.percentile(0.5)).toBe(0);
    expect(histogram.count).toBe(100);
  });
});
