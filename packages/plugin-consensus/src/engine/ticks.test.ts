// Time as the engine sees it: election timeouts that follow the network, and ticks that do not come in bursts.

import { FakeClock } from '@datawarehouse/sdk/testing';
import type { TimerHandle } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { electionTimeoutMs, ticksFor } from './election-timeout.js';
import { LatencyHistogram } from './latency-histogram.js';
import { TickSource } from './tick-source.js';

describe('the election timeout', () => {
  const rtt = (p99Ms: number, samples = 100, p50Ms = p99Ms / 2) => ({ samples, p50Ms, p99Ms });

  it('is the multiple of the slowest peer’s 99th percentile, but at least the minimum', () => {
    expect(electionTimeoutMs([rtt(1), rtt(2)], 150, 10)).toBe(150);
    expect(electionTimeoutMs([rtt(1), rtt(40)], 150, 10)).toBe(400);
    expect(electionTimeoutMs([rtt(40, 2), undefined], 150, 10)).toBeUndefined();
    expect(electionTimeoutMs([rtt(1e9)], 150, 10)).toBe(30_000);
  });

  it('is not stretched by round trips in which a process stood still', () => {
    expect(electionTimeoutMs([rtt(1_400, 20, 0.5)], 150, 10)).toBe(1_000);
    expect(electionTimeoutMs([rtt(1_400, 20, 90)], 150, 10)).toBe(9_000);
    expect(electionTimeoutMs([rtt(60, 20, 0.5)], 150, 10)).toBe(600);
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

/** A clock whose timer fires only when the test says so: a stalled event loop. */
class StalledClock extends FakeClock {
  fire: () => void = () => undefined;
  override setTimeout(callback: () => void): TimerHandle {
    this.fire = callback;
    return { cancel: () => undefined };
  }
}

describe('ticks', () => {
  it('are counted by the clock, and called back for when something is due', () => {
    const clock = new FakeClock();
    const calls: number[] = [];
    const source = new TickSource(clock, () => {
      calls.push(source.passed);
      return 30;
    });
    source.start();
    clock.advance(1_000);
    expect(source.passed).toBe(100);
    expect(calls).toEqual([1, 31, 61, 91]);
    // Something else turns out to be due earlier, or at once.
    source.at(105);
    source.at(110);
    clock.advance(60);
    expect(calls.slice(4)).toEqual([105]);
    source.at(0);
    clock.advance(10);
    expect(calls.slice(5)).toEqual([107]);
    source.stop();
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('make up for a late timer, but not for a process that was stopped', () => {
    const clock = new StalledClock();
    const calls: number[] = [];
    const source = new TickSource(clock, () => {
      calls.push(source.passed);
      return 20;
    });
    source.start();
    clock.advance(25);
    clock.fire();
    expect(calls).toEqual([2]);
    clock.advance(200 + 30);
    clock.fire();
    expect(calls).toEqual([2, 25]);
    // Due at 45. Nothing is done at once: who was stopped has messages to read first.
    clock.advance(60_000);
    clock.fire();
    expect(source.passed).toBe(42);
    expect(source.stalls).toBe(1);
    expect(calls).toEqual([2, 25]);
    clock.advance(30);
    clock.fire();
    expect(calls).toEqual([2, 25, 45]);
  });

  it('are not put off by those who ask for the next one again and again', () => {
    const clock = new StalledClock();
    const calls: number[] = [];
    const source = new TickSource(clock, () => {
      calls.push(source.passed);
      return 1;
    });
    source.start();
    for (let n = 0; n < 3; n++) {
      const armed = clock.fire;
      source.at(0);
      // The tick has come, the timer has not, and there is a turn in between.
      clock.advance(10);
      source.at(0);
      expect(clock.fire).toBe(armed);
      clock.advance(1);
      clock.fire();
    }
    expect(calls).toEqual([1, 2, 3]);
  });

  it('go on after what was due has thrown', () => {
    const clock = new StalledClock();
    let calls = 0;
    const source = new TickSource(clock, () => {
      calls++;
      throw new Error('broken');
    });
    source.start();
    for (let n = 1; n <= 3; n++) {
      clock.advance(10);
      const armed = clock.fire;
      expect(armed).toThrow('broken');
      expect([calls, clock.fire === armed]).toEqual([n, false]);
    }
  });

  it('go on, slowly, where every timer is late', () => {
    const clock = new StalledClock();
    const calls: number[] = [];
    const source = new TickSource(clock, () => {
      calls.push(source.passed);
      return 20;
    });
    source.start();
    for (let n = 0; n < 30; n++) {
      clock.advance(300);
      clock.fire();
    }
    expect(calls.length).toBeGreaterThan(5);
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
