// The bound on the retries of all calls of a policy together.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RetryBudget } from './retry-budget.js';

/** How many retries are allowed at `now`, one after another. */
function drain(budget: RetryBudget, now: number): number {
  let allowed = 0;
  while (allowed < 10_000 && budget.retry(now)) allowed++;
  return allowed;
}

function firsts(budget: RetryBudget, count: number, now: number): void {
  for (let n = 0; n < count; n++) budget.first(now);
}

describe('a retry budget', () => {
  it('allows a share of the first attempts, and some in any case', () => {
    const budget = new RetryBudget({ ratio: 0.2, minPerSecond: 1, windowMs: 10_000 }, 0);
    expect(drain(budget, 0)).toBe(10);
    firsts(budget, 100, 0);
    expect(budget.left(0)).toBe(20);
    expect(drain(budget, 0)).toBe(20);
    expect(budget.left(0)).toBe(0);
  });

  it('has its defaults for what is left out', () => {
    const budget = new RetryBudget({}, 0);
    firsts(budget, 50, 0);
    expect(drain(budget, 0)).toBe(10 * 10 + 50 * 0.2);
  });

  it('forgets first attempts with the window, and retries not before', () => {
    const budget = new RetryBudget({ ratio: 1, minPerSecond: 0, windowMs: 1_000 }, 0);
    firsts(budget, 8, 0);
    expect(drain(budget, 0)).toBe(8);
    firsts(budget, 8, 950);
    expect(drain(budget, 950)).toBe(8);
    // The first eight attempts have left the window, the retries of then are still counted.
    firsts(budget, 4, 1_050);
    expect(drain(budget, 1_050)).toBe(0);
    expect(budget.left(1_100)).toBe(4);
    expect(drain(budget, 10_000)).toBe(0);
  });

  it('that is switched off allows any number, and counts for when it is switched on', () => {
    for (const off of [null, false] as const) {
      const budget = new RetryBudget(off, 0);
      expect(budget.left(0)).toBe(Infinity);
      expect(drain(budget, 0)).toBe(10_000);
      budget.configure({ ratio: 0, minPerSecond: 10 }, 0);
      expect(drain(budget, 0)).toBe(0);
    }
  });

  it('acts by other limits at once, and keeps what the window saw', () => {
    const budget = new RetryBudget({ ratio: 1, minPerSecond: 0, windowMs: 1_000 }, 0);
    firsts(budget, 10, 500);
    expect(drain(budget, 500)).toBe(10);
    budget.configure({ ratio: 1.5, minPerSecond: 0, windowMs: 1_000 }, 500);
    expect(budget.left(500)).toBe(5);
    budget.configure({ ratio: 1.5, minPerSecond: 0, windowMs: 200 }, 550);
    expect(budget.left(550)).toBe(5);
    budget.configure({ ratio: 1.5, minPerSecond: 0, windowMs: 10_000 }, 560);
    expect(budget.left(560)).toBe(5);
    expect(budget.left(9_000)).toBe(5);
    // What was seen is as old as its slot may be for first attempts, and as young for retries.
    budget.configure({ ratio: 1.5, minPerSecond: 0, windowMs: 1_000 }, 1_600);
    expect(budget.left(1_600)).toBe(-10);
    expect(budget.left(3_000)).toBe(0);
  });

  it('never allows more than its share of any window, under any schedule and any changes', () => {
    const limits = fc.record({
      ratio: fc.constantFrom(0, 0.1, 0.5, 1, 2),
      minPerSecond: fc.constantFrom(0, 1, 5),
      windowMs: fc.constantFrom(100, 1_000, 3_000, 10_000),
    });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 700 }) }) },
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('first' as const), count: fc.nat({ max: 9 }) }) },
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('retry' as const), count: fc.nat({ max: 9 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('configure' as const), limits }) },
    );
    fc.assert(
      fc.property(
        limits,
        fc.nat({ max: 5_000 }),
        fc.array(step, { maxLength: 80 }),
        (initial, start, steps) => {
          let now = start;
          let inForce = initial;
          const budget = new RetryBudget(initial, now);
          const made: number[] = [];
          const allowed: number[] = [];
          // What a shorter window had forgotten a longer one does not know.
          let known = -Infinity;
          const within = (times: readonly number[]): number =>
            times.filter((at) => at > Math.max(known, now - inForce.windowMs)).length;
          for (const action of steps) {
            if (action.kind === 'wait') now += action.ms;
            else if (action.kind === 'configure') {
              known = Math.max(known, now - inForce.windowMs);
              inForce = action.limits;
              budget.configure(inForce, now);
            } else if (action.kind === 'first') {
              for (let n = 0; n < action.count; n++) {
                budget.first(now);
                made.push(now);
              }
            } else {
              for (let n = 0; n < action.count; n++) {
                if (!budget.retry(now)) break;
                allowed.push(now);
                const most = inForce.ratio * within(made) + (inForce.minPerSecond * inForce.windowMs) / 1_000;
                expect(within(allowed)).toBeLessThanOrEqual(most + 1e-6);
              }
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
