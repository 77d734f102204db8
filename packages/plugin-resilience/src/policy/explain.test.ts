import { describe, expect, it } from 'vitest';
import { explainPolicy } from './explain.js';
import { policyOf } from './policy-views.test.kit.js';

describe('the explanation of a policy', () => {
  it('goes through the strategies and adds up the worst case', () => {
    const explained = explainPolicy(
      policyOf(
        { type: 'timeout', name: 'total', timeoutMs: 20_000 },
        { type: 'retry', maxRetries: 2, jitter: 0, respectRetryAfter: false },
        { type: 'circuit-breaker' },
        { type: 'timeout', timeoutMs: 2_000 },
      ),
    );
    expect(explained).toMatchObject({
      policy: 'p',
      attempts: 3,
      timeMs: 6_600,
      summary: 'one call makes at most 3 attempts and takes at most 6.6 s',
      findings: [],
    });
    expect(
      explained.strategies.map(({ name, attempts, timeMs, does }) => [name, attempts, timeMs, does]),
    ).toEqual([
      ['total', 3, 6_600, 'gives up after 20 s'],
      [
        'retry',
        3,
        6_600,
        'tries again up to 2 times within a budget, with exponential waits of at most 600 ms together',
      ],
      [
        'circuit-breaker',
        1,
        2_000,
        'turns calls away for 30 s once too many have failed, then lets probes through',
      ],
      ['timeout', 1, 2_000, 'gives up after 2 s'],
    ]);
  });

  it('says why there is no bound, in JSON null and not a number', () => {
    const explained = explainPolicy(policyOf({ type: 'bulkhead', queue: 3 }, 'timeout'));
    expect(explained.timeMs).toBeNull();
    expect(explained.unbounded).toBe('nothing bounds the time that a call waits in bulkhead');
    expect(explained.summary).toBe(
      'one call makes at most 1 attempt and takes an unbounded time (nothing bounds the time that a call waits in bulkhead)',
    );
    expect(explained.findings.map(({ rule }) => rule)).toContain('queue-without-bound');
  });

  it('says of every strategy what it does, and of a dry run that it does not', () => {
    const { strategies } = explainPolicy(
      policyOf(
        'fallback',
        'coalesce',
        { type: 'rate-limit', queue: 2, maxWaitMs: 100 },
        { type: 'adaptive-concurrency', queue: 1 },
        'hedge',
        { type: 'chaos', dryRun: true, enabled: true },
        'chaos',
        { type: 'timeout', mode: 'cooperative' },
      ),
    );
    expect(strategies.map(({ does }) => does)).toEqual([
      'answers with a value in place of an error',
      'lets calls that are equal and under way at once share one attempt',
      'lets 100 in each 1 s for each key; 2 more wait, each for at most 100 ms',
      'lets 2 to 512 in at once for each key, as latency allows; 1 more wait',
      'begins 1 further attempt at most, one each 1 s, and takes the first success',
      'dry run, counts only: makes some calls fail, wait or get a made-up result by intent',
      'does nothing: it is not enabled',
      'tells the action after 30 s to stop, and waits until it has',
    ]);
  });
});
