import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Given } from './policy-views.test.kit.js';
import { views } from './policy-views.test.kit.js';
import type { RetryView } from './strategy-view.js';
import { longestBackoffMs, worstCases } from './worst-case.js';

const worst = (...given: readonly Given[]) => worstCases(views(...given))[0];
const quiet = { type: 'retry', respectRetryAfter: false, jitter: 0, backoff: 'fixed' } as const;

describe('the worst case', () => {
  it('of nothing is one attempt of an unbounded time', () => {
    expect(worst()).toEqual({
      attempts: 1,
      timeMs: Infinity,
      unbounded: 'nothing bounds the time that the action takes',
    });
  });

  it('of a retry is all attempts and all waits', () => {
    // 4 × 1 s, and 3 × 200 ms between them.
    expect(worst(quiet, { type: 'timeout', timeoutMs: 1_000 })).toMatchObject({
      attempts: 4,
      timeMs: 4_600,
    });
  });

  it('of a retry that heeds its callee is what the callee may ask for', () => {
    const retry = { ...quiet, respectRetryAfter: true, maxRetryAfterMs: 5_000 };
    const row = views(retry, { type: 'timeout', timeoutMs: 1_000 });
    expect(worstCases(row)[0]?.timeMs).toBe(19_000);
    expect(worstCases(row, { serverHints: false })[0]?.timeMs).toBe(4_600);
  });

  it('is the product of retries and hedges', () => {
    const row = worst(
      { ...quiet, maxRetries: 2 },
      { type: 'hedge', maxHedges: 2, delayMs: 100 },
      { type: 'timeout', timeoutMs: 1_000 },
    );
    // Each of three attempts: two more begin 100 and 200 ms later.
    expect(row).toMatchObject({ attempts: 9, timeMs: 3 * 1_200 + 400 });
  });

  it('is cut by a total timeout, and not by one that only asks', () => {
    expect(worst({ type: 'timeout', timeoutMs: 500 }, 'retry')).toMatchObject({ timeMs: 500, attempts: 4 });
    expect(worst({ type: 'timeout', timeoutMs: 500, mode: 'cooperative' })?.timeMs).toBe(Infinity);
  });

  it('counts the waits in queues, and is unbounded where one has no bound', () => {
    const timeout = { type: 'timeout', timeoutMs: 1_000 } as const;
    expect(worst({ type: 'bulkhead', queue: 5, queueTimeoutMs: 300 }, timeout)?.timeMs).toBe(1_300);
    expect(worst({ type: 'rate-limit', queue: 5, maxWaitMs: 400 }, timeout)?.timeMs).toBe(1_400);
    expect(worst({ type: 'bulkhead', queueTimeoutMs: 300 }, timeout)?.timeMs).toBe(1_000);
    expect(worst({ type: 'bulkhead', name: 'pool', queue: 5 }, timeout)).toMatchObject({
      timeMs: Infinity,
      unbounded: 'nothing bounds the time that a call waits in pool',
    });
    expect(worst(timeout, { type: 'adaptive-concurrency', queue: 5 })?.timeMs).toBe(1_000);
  });

  it('counts the delays of chaos that is enabled', () => {
    const chaos = { type: 'chaos', latencyRate: 0.1, latencyMaxMs: 700 } as const;
    expect(worst(chaos, { type: 'timeout', timeoutMs: 1_000 })?.timeMs).toBe(1_000);
    expect(worst({ ...chaos, enabled: true }, { type: 'timeout', timeoutMs: 1_000 })?.timeMs).toBe(1_700);
  });

  it('does not count on what is on a dry run', () => {
    expect(worst({ type: 'timeout', timeoutMs: 5, dryRun: true })?.timeMs).toBe(Infinity);
    expect(worst({ type: 'retry', dryRun: true }, 'timeout')?.attempts).toBe(1);
  });

  it('is given for each strategy, as a call that comes to it sees it', () => {
    const row = worstCases(views({ type: 'timeout', timeoutMs: 9_000 }, quiet, 'timeout'));
    expect(row.map(({ timeMs }) => timeMs)).toEqual([9_000, 120_600, 30_000, Infinity]);
  });

  it('has waits that are never longer than the longest', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('fixed', 'linear', 'exponential', 'decorrelated-jitter'),
        fc.nat({ max: 1_000 }),
        fc.integer({ min: 0, max: 1_000 }),
        (backoff, baseDelayMs, n) => {
          const [retry] = views({ type: 'retry', backoff, baseDelayMs, factor: 100, maxDelayMs: 5_000 });
          const wait = longestBackoffMs(retry as RetryView, n);
          return wait >= 0 && wait <= 5_000;
        },
      ),
      { numRuns: 200 },
    );
  });
});
