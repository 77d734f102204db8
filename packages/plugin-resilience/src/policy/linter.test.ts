import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from './document.js';
import { LINT_RULES } from './linter-rules.js';
import { lintPolicy, refuseUnworkable } from './linter.js';
import type { Given } from './policy-views.test.kit.js';
import { policyOf } from './policy-views.test.kit.js';

interface Case {
  readonly rule: string;
  readonly fires: readonly (readonly Given[])[];
  readonly quiet: readonly (readonly Given[])[];
}

const timeout = (timeoutMs: number, name?: string): Given => ({
  type: 'timeout',
  timeoutMs,
  ...(name === undefined ? {} : { name }),
});
const retrying = (rejections: readonly string[]): Given => ({ type: 'retry', handle: { rejections } });

const CASES: readonly Case[] = [
  {
    rule: 'total-timeout-below-attempt',
    fires: [[timeout(100, 'total'), 'retry', timeout(200)]],
    quiet: [
      [timeout(200, 'total'), 'retry', timeout(200)],
      [timeout(200)],
      [{ type: 'timeout', timeoutMs: 100, name: 'total', dryRun: true }, timeout(200)],
    ],
  },
  {
    rule: 'timeout-outside-breaker-only',
    fires: [[timeout(100), 'circuit-breaker']],
    quiet: [
      ['circuit-breaker', timeout(100)],
      [timeout(500, 'total'), 'circuit-breaker', timeout(100)],
      ['circuit-breaker'],
    ],
  },
  {
    rule: 'worst-case-over-timeout',
    fires: [[timeout(1_000, 'total'), 'retry', timeout(900)]],
    quiet: [
      [timeout(60_000, 'total'), 'retry', timeout(1_000)],
      [timeout(1_000, 'total'), timeout(1_000)],
    ],
  },
  {
    rule: 'backoff-over-timeout',
    fires: [[timeout(1_000), { type: 'retry', baseDelayMs: 5_000 }]],
    quiet: [
      [timeout(10_000), 'retry'],
      [timeout(1), { type: 'retry', maxRetries: 0 }],
      [{ type: 'retry', baseDelayMs: 5_000 }, timeout(1_000)],
    ],
  },
  {
    rule: 'hedge-after-timeout',
    fires: [
      [timeout(1_000), 'hedge'],
      ['hedge', timeout(500)],
    ],
    quiet: [[timeout(5_000), 'hedge'], ['hedge']],
  },
  {
    rule: 'slow-call-over-timeout',
    fires: [[{ type: 'circuit-breaker', slowCallMs: 2_000 }, timeout(1_000)]],
    quiet: [
      [{ type: 'circuit-breaker', slowCallMs: 500 }, timeout(1_000)],
      ['circuit-breaker', timeout(1_000)],
    ],
  },
  {
    rule: 'probe-time-under-timeout',
    fires: [[{ type: 'circuit-breaker', maxProbeMs: 999 }, timeout(1_000)]],
    quiet: [
      [{ type: 'circuit-breaker', maxProbeMs: 1_000 }, timeout(1_000)],
      [{ type: 'circuit-breaker', maxProbeMs: 0 }, timeout(1_000)],
      [timeout(70_000), 'circuit-breaker', timeout(1_000)],
    ],
  },
  {
    rule: 'time-unbounded',
    fires: [['retry'], [{ type: 'timeout', timeoutMs: 1, mode: 'cooperative' }]],
    quiet: [['retry', 'timeout'], []],
  },
  {
    rule: 'retry-of-open-breaker',
    fires: [[retrying(['circuit-breaker']), 'circuit-breaker']],
    quiet: [
      ['retry', 'circuit-breaker'],
      ['circuit-breaker', retrying(['circuit-breaker'])],
      [retrying(['circuit-breaker'])],
    ],
  },
  {
    rule: 'retry-of-own-limit',
    fires: [
      [retrying(['bulkhead']), 'bulkhead'],
      [retrying(['rate-limit']), 'rate-limit'],
      [retrying(['adaptive-concurrency']), 'adaptive-concurrency'],
    ],
    quiet: [
      ['retry', 'bulkhead'],
      ['bulkhead', retrying(['bulkhead'])],
    ],
  },
  {
    rule: 'retry-inside-hedge',
    fires: [['hedge', 'retry']],
    quiet: [
      ['retry', 'hedge'],
      ['hedge', { type: 'retry', dryRun: true }],
    ],
  },
  { rule: 'retry-inside-retry', fires: [['retry', { type: 'retry', name: 'inner' }]], quiet: [['retry']] },
  {
    rule: 'retry-without-budget',
    fires: [[{ type: 'retry', budget: null }], [{ type: 'retry', budget: false }]],
    quiet: [['retry'], [{ type: 'retry', budget: null, maxRetries: 0 }]],
  },
  {
    rule: 'breaker-outside-retry',
    fires: [['circuit-breaker', 'retry']],
    quiet: [['retry', 'circuit-breaker']],
  },
  { rule: 'rate-limit-inside-retry', fires: [['retry', 'rate-limit']], quiet: [['rate-limit', 'retry']] },
  { rule: 'coalesce-inside-retry', fires: [['retry', 'coalesce']], quiet: [['coalesce', 'retry']] },
  {
    rule: 'two-bulkheads-one-pool',
    fires: [['bulkhead', 'timeout', { type: 'bulkhead', name: 'other' }]],
    quiet: [
      ['bulkhead'],
      // One counts calls, the other attempts.
      ['bulkhead', 'retry', { type: 'bulkhead', name: 'attempts' }],
      ['bulkhead', { type: 'bulkhead', name: 'tried', dryRun: true }],
    ],
  },
  {
    rule: 'bulkhead-beside-adaptive',
    fires: [
      ['bulkhead', 'adaptive-concurrency'],
      ['adaptive-concurrency', 'bulkhead'],
    ],
    quiet: [['bulkhead', 'retry', 'adaptive-concurrency'], ['bulkhead']],
  },
  {
    rule: 'queue-without-bound',
    fires: [[{ type: 'bulkhead', queue: 5 }, 'timeout'], [{ type: 'adaptive-concurrency', queue: 5 }]],
    quiet: [
      ['timeout', { type: 'bulkhead', queue: 5 }],
      [{ type: 'bulkhead', queue: 5, queueTimeoutMs: 10 }],
      ['bulkhead'],
    ],
  },
  {
    rule: 'queue-timeout-over-timeout',
    fires: [[timeout(100), { type: 'bulkhead', queue: 5, queueTimeoutMs: 100 }]],
    quiet: [
      [timeout(100), { type: 'bulkhead', queue: 5, queueTimeoutMs: 50 }],
      [{ type: 'bulkhead', queue: 5, queueTimeoutMs: 100 }, timeout(100)],
    ],
  },
  {
    rule: 'wait-without-queue',
    fires: [
      [{ type: 'bulkhead', queueTimeoutMs: 5 }],
      [{ type: 'rate-limit', maxWaitMs: 5 }],
      [{ type: 'rate-limit', queue: 5 }],
    ],
    quiet: [['bulkhead'], ['rate-limit'], [{ type: 'rate-limit', queue: 5, maxWaitMs: 5 }]],
  },
  {
    rule: 'fallback-not-outermost',
    fires: [
      ['timeout', 'fallback'],
      ['bulkhead', 'fallback'],
    ],
    quiet: [
      ['fallback', 'timeout'],
      ['coalesce', 'fallback'],
    ],
  },
  {
    rule: 'fallback-hides-failures',
    fires: [
      ['retry', 'fallback'],
      ['circuit-breaker', 'fallback'],
      ['hedge', 'fallback'],
    ],
    quiet: [['fallback', 'retry', 'circuit-breaker', 'hedge']],
  },
  {
    rule: 'chaos-enabled',
    fires: [['timeout', { type: 'chaos', enabled: true, faultRate: 0.5 }]],
    quiet: [
      ['timeout', 'chaos'],
      ['timeout', { type: 'chaos', enabled: true, dryRun: true }],
    ],
  },
  { rule: 'chaos-outermost', fires: [['chaos', 'retry']], quiet: [['retry', 'chaos'], ['chaos']] },
  {
    rule: 'two-breakers',
    fires: [['circuit-breaker', { type: 'circuit-breaker', name: 'other' }]],
    quiet: [['circuit-breaker', 'retry', { type: 'circuit-breaker', name: 'other' }]],
  },
];

const rulesOf = (given: readonly Given[]): string[] => lintPolicy(policyOf(...given)).map(({ rule }) => rule);

describe('the linter', () => {
  it('has a test for each of its rules', () => {
    const tested = [...CASES.map(({ rule }) => rule), 'adapts-nothing'];
    expect(tested.sort()).toEqual(LINT_RULES.map(({ id }) => id).sort());
  });

  it.each(CASES)('$rule fires where it should and nowhere else', ({ rule, fires, quiet }) => {
    for (const given of fires) expect(rulesOf(given), JSON.stringify(given)).toContain(rule);
    for (const given of quiet) expect(rulesOf(given), JSON.stringify(given)).not.toContain(rule);
  });

  it('warns of a policy that adapts and has nothing to adapt', () => {
    const lint = (type: string, adaptive: unknown) =>
      lintPolicy(
        readPolicyDocument({ name: 'p', adaptive, strategies: [{ type: 'timeout' }, { type }] }),
      ).map(({ rule }) => rule);
    expect(lint('fallback', true)).toContain('adapts-nothing');
    for (const type of ['circuit-breaker', 'bulkhead'])
      expect(lint(type, true)).not.toContain('adapts-nothing');
    expect(lint('fallback', false)).not.toContain('adapts-nothing');
  });

  it('finds nothing wrong with the order that is recommended', () => {
    const good = policyOf(
      'fallback',
      timeout(60_000, 'total'),
      'retry',
      'circuit-breaker',
      'bulkhead',
      timeout(10_000),
    );
    expect(lintPolicy(good)).toEqual([]);
  });

  it('names the strategies and says why', () => {
    expect(lintPolicy(policyOf(timeout(100, 'total'), timeout(2_000)))).toEqual([
      {
        rule: 'total-timeout-below-attempt',
        severity: 'error',
        message: 'timeout total ends after 100 ms what timeout inside of it gives 2 s',
        why: 'the outer one always ends the call first, so the inner one never acts and the first attempt is cut off',
      },
    ]);
  });

  it('refuses what cannot work, all of it at once, and warns of the rest', () => {
    expect(refuseUnworkable(policyOf('retry')).map(({ rule }) => rule)).toEqual(['time-unbounded']);
    const bad = policyOf(
      timeout(100, 'total'),
      retrying(['circuit-breaker']),
      'circuit-breaker',
      timeout(200),
    );
    let thrown: unknown;
    try {
      refuseUnworkable(bad);
    } catch (error) {
      thrown = error;
    }
    expect(isDwError(thrown, 'policy-invalid') && thrown.details?.['problems']).toEqual([
      expect.stringContaining('(total-timeout-below-attempt)'),
      expect.stringContaining('(retry-of-open-breaker)'),
    ]);
  });
});
