// The windows of closed breakers, against lists that remember everything.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WindowOptions } from '../circuit-breaker-options.js';
import { newWindow, windowAfter } from './make-window.js';
import type { Sample, SampleGroup, SampleWindow } from './sample-window.js';
import { FAILED, GOOD, SLOW } from './sample-window.js';

const LIMITS = { slowRate: 1 };

function count(size: number, failureRate = 0.5, minimumThroughput = 1): WindowOptions {
  return { kind: 'count', size, failureRate, minimumThroughput };
}

function time(durationMs: number, failureRate = 0.5, minimumThroughput = 1): WindowOptions {
  return { kind: 'time', durationMs, failureRate, minimumThroughput };
}

function consecutive(failures: number): WindowOptions {
  return { kind: 'consecutive', failures };
}

function filled(options: WindowOptions, samples: readonly Sample[], now = 0): SampleWindow {
  const window = newWindow(options);
  for (const sample of samples) window.add(sample, now);
  return window;
}

function sums(groups: readonly SampleGroup[]): { good: number; failed: number; slow: number; both: number } {
  const sum = { good: 0, failed: 0, slow: 0, both: 0 };
  for (const group of groups) {
    sum.good += group.good;
    sum.failed += group.failed;
    sum.slow += group.slow;
    sum.both += group.both;
  }
  return sum;
}

function tally(samples: readonly Sample[]): ReturnType<typeof sums> {
  const of = (kind: Sample): number => samples.filter((sample) => sample === kind).length;
  return { good: of(GOOD), failed: of(FAILED), slow: of(SLOW), both: of(3) };
}

const sample = fc.constantFrom<Sample>(0, 0, 1, 2, 3);

/** The samples of groups that know their order. */
function listed(groups: readonly SampleGroup[]): Sample[] {
  return groups.flatMap(({ good, failed, slow, both }) => [
    ...Array.from({ length: good }, () => GOOD),
    ...Array.from({ length: failed }, () => FAILED as Sample),
    ...Array.from({ length: slow }, () => SLOW as Sample),
    ...Array.from({ length: both }, (): Sample => 3),
  ]);
}

describe('a count window', () => {
  it('holds the last calls, in order, and judges them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(sample, { maxLength: 40 }), (size, samples) => {
        const window = filled(count(size, 0.6, 3), samples);
        const last = samples.slice(-size);
        expect(listed(window.groups(0))).toEqual(last);
        const failed = last.filter((one) => (one & FAILED) !== 0).length;
        const slow = last.filter((one) => (one & SLOW) !== 0).length;
        const enough = last.length >= Math.min(3, size);
        const trips =
          enough && ((failed > 0 && failed >= 0.6 * last.length) || (slow > 0 && slow >= last.length));
        expect(window.verdict(LIMITS, 0) !== undefined).toBe(trips);
        expect(window.clean(0)).toBe(failed === 0 && slow === 0);
      }),
    );
  });

  it('holds no array before the first bad call, and forgets no good one then', () => {
    const window = filled(
      count(1_000, 0.5, 10),
      Array.from({ length: 600 }, () => GOOD),
    );
    expect(Object.values(window).some((field) => ArrayBuffer.isView(field))).toBe(false);
    window.add(FAILED, 0);
    expect(sums(window.groups(0))).toMatchObject({ good: 600, failed: 1 });
  });
});

describe('a time window', () => {
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), sample });

  it('holds the calls of its time to a tenth of it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 5_000;
        const window = newWindow(time(1_000, 0.6, 3));
        // The first is bad, so that there are buckets from the start.
        const seen: { readonly bucket: number; readonly sample: Sample }[] = [];
        for (const { afterMs, sample } of [{ afterMs: 0, sample: FAILED as Sample }, ...steps]) {
          now += afterMs;
          window.add(sample, now);
          seen.push({ bucket: Math.floor(now / 100), sample });
        }
        const last = seen
          .filter(({ bucket }) => bucket > Math.floor(now / 100) - 10)
          .map(({ sample }) => sample);
        expect(sums(window.groups(now))).toEqual(tally(last));
        const failed = last.filter((one) => (one & FAILED) !== 0).length;
        const slow = last.filter((one) => (one & SLOW) !== 0).length;
        const trips =
          last.length >= 3 &&
          ((failed > 0 && failed >= 0.6 * last.length) || (slow > 0 && slow >= last.length));
        expect(window.verdict(LIMITS, now) !== undefined).toBe(trips);
      }),
    );
  });

  it('knows the number of good calls before the first bad one, to less than half of its time', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 }), (steps) => {
        let now = 5_000;
        const window = newWindow(time(1_000));
        const times: number[] = [];
        for (const afterMs of steps) {
          now += afterMs;
          window.add(GOOD, now);
          times.push(now);
        }
        expect(Object.values(window).some((field) => ArrayBuffer.isView(field))).toBe(false);
        expect(window.clean(now)).toBe(true);
        const { good } = sums(window.groups(now));
        expect(good).toBeGreaterThanOrEqual(times.filter((at) => at > now - 500).length);
        expect(good).toBeLessThanOrEqual(times.filter((at) => at > now - 1_500).length);
      }),
    );
  });

  it('is clean again when its failures are out of reach', () => {
    const window = filled(time(1_000), [FAILED], 5_000);
    expect(window.clean(5_999)).toBe(false);
    expect(window.clean(6_000)).toBe(true);
    expect(window.verdict(LIMITS, 6_000)).toBeUndefined();
  });

  it('does not trip on failures of another time, nor on too few', () => {
    const window = filled(time(1_000, 0.5, 4), [FAILED, FAILED, FAILED], 0);
    window.add(FAILED, 1_000);
    expect(window.verdict(LIMITS, 1_000)).toBeUndefined();
    for (let n = 0; n < 3; n++) window.add(FAILED, 1_050);
    expect(window.verdict(LIMITS, 1_050)).toBe('4 of 4 calls failed within 1000 ms');
  });
});

describe('another window in place of one', () => {
  const samples: Sample[] = [1, 0, 0, 2, 0, 1, 3, 1];

  it('keeps the last calls when it is smaller, and all when it is larger', () => {
    const old = filled(count(100), samples);
    expect(listed(windowAfter(count(4), old, 0).groups(0))).toEqual([0, 1, 3, 1]);
    expect(listed(windowAfter(count(500), old, 0).groups(0))).toEqual(samples);
    expect(listed(windowAfter(count(50), filled(count(100), [0, 0, 0]), 0).groups(0))).toEqual([0, 0, 0]);
  });

  it('keeps calls of a time as far as it reaches', () => {
    const old = newWindow(time(1_000));
    old.add(FAILED, 5_050);
    old.add(GOOD, 5_450);
    old.add(SLOW, 5_850);
    expect(sums(windowAfter(time(10_000), old, 5_900).groups(5_900))).toMatchObject({
      good: 1,
      failed: 1,
      slow: 1,
    });
    expect(sums(windowAfter(time(500), old, 5_900).groups(5_900))).toMatchObject({
      good: 1,
      failed: 0,
      slow: 1,
    });
    // And those that were kept grow old as they would have.
    const shorter = windowAfter(time(500), old, 5_900);
    expect(sums(shorter.groups(6_200))).toMatchObject({ good: 0, slow: 1 });
  });

  it('takes calls whose time is not known to be of the moment of the change', () => {
    const moved = windowAfter(time(1_000), filled(count(100), samples), 7_000);
    expect(sums(moved.groups(7_900))).toEqual(tally(samples));
    expect(sums(moved.groups(8_000))).toEqual(tally([]));
  });

  it('keeps the latest calls of a time when it counts', () => {
    const old = newWindow(time(1_000));
    for (let n = 0; n < 10; n++) old.add(GOOD, 5_000);
    old.add(FAILED, 5_500);
    old.add(GOOD, 5_900);
    expect(listed(windowAfter(count(3), old, 5_900).groups(0))).toEqual([0, 1, 0]);
    expect(sums(windowAfter(count(100), old, 5_900).groups(0))).toMatchObject({ good: 11, failed: 1 });
  });

  it('keeps a row of failures, and makes none up', () => {
    const row = (window: SampleWindow): number => {
      const { failed, slow, both } = sums(windowAfter(consecutive(9), window, 0).groups(0));
      return failed + slow + both;
    };
    expect(row(filled(count(100), samples))).toBe(3);
    expect(row(filled(count(100), [1, 1, 0]))).toBe(0);
    expect(row(filled(consecutive(5), [1, 1, 2]))).toBe(3);
    expect(sums(windowAfter(count(10), filled(consecutive(5), [0, 1, 1]), 0).groups(0))).toMatchObject({
      failed: 2,
    });
    const mixed = filled(time(1_000), [GOOD, FAILED], 5_000);
    mixed.add(FAILED, 5_900);
    const window = windowAfter(consecutive(9), mixed, 5_900);
    // Whether the call at 5 000 failed after the good one is not known.
    expect(sums(window.groups(0)).failed).toBe(1);
  });

  it('is the same one when it reaches as far, so that what it remembers stays exactly as it is', () => {
    for (const [old, next, other] of [
      [consecutive(5), consecutive(9), count(5)],
      [count(50), count(50, 0.9, 7), count(51)],
      [time(1_000), time(1_000, 0.9, 7), time(1_001)],
    ] as const) {
      const window = filled(old, [0, 0, 1], 5_000);
      expect(windowAfter(next, window, 5_000)).toBe(window);
      expect(windowAfter(other, window, 5_000)).not.toBe(window);
    }
    const window = filled(count(10, 0.5, 1), [0, 1, 1]);
    expect(window.verdict(LIMITS, 0)).toBeDefined();
    windowAfter(count(10, 0.9, 1), window, 0);
    expect(window.verdict(LIMITS, 0)).toBeUndefined();
  });

  it('of any kind after any other holds no more than the other did', () => {
    const options = fc.constantFrom(count(3), count(50), time(300), time(5_000), consecutive(4));
    fc.assert(
      fc.property(
        options,
        fc.array(fc.tuple(sample, fc.integer({ min: 0, max: 100 })), { maxLength: 40 }),
        fc.array(options, { minLength: 1, maxLength: 4 }),
        (first, samples, then) => {
          let now = 10_000;
          let window = newWindow(first);
          for (const [one, afterMs] of samples) window.add(one, (now += afterMs));
          let before = sums(window.groups(now));
          for (const next of then) {
            window = windowAfter(next, window, now);
            const after = sums(window.groups(now));
            expect(after.good).toBeLessThanOrEqual(before.good);
            expect(after.failed + after.both).toBeLessThanOrEqual(before.failed + before.both);
            expect(after.slow).toBeLessThanOrEqual(before.slow + before.both);
            before = after;
          }
        },
      ),
    );
  });
});
