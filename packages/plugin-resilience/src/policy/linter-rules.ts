// The rules of the linter, as a table: the documentation is made from it, and each rule has tests of firing and not firing.

import { RETRIED_BY_DEFAULT, handledRejections } from '../engine/error-match.js';
import type { StrategyType } from '../engine/layer.js';
import { CAPACITY_RULES } from './linter-rules-capacity.js';
import type { LintRule } from './linter-rule.js';
import { inside, multiplied, nameOf, placed } from './linter-rule.js';
import { TIMEOUT_RULES } from './linter-rules-timeout.js';

/** The rejections that say that a limit of this very policy has been reached. */
const LIMITS: readonly StrategyType[] = ['bulkhead', 'adaptive-concurrency', 'rate-limit'];

const RETRY_RULES: readonly LintRule[] = [
  {
    id: 'retry-of-open-breaker',
    severity: 'error',
    rule: 'A retry around a circuit breaker does not retry its rejections.',
    why: 'the breaker is open to spare the callee and its callers, and the retry asks it again and again',
    check: (policy) =>
      inside(policy, 'retry', 'circuit-breaker').flatMap(([retry, breaker]) =>
        handles(retry.strategy.handle, 'circuit-breaker')
          ? [`${nameOf(retry)} retries what ${nameOf(breaker)} inside of it turns away`]
          : [],
      ),
  },
  {
    id: 'retry-of-own-limit',
    severity: 'warning',
    rule: 'A retry does not retry what a limit of its own policy turns away.',
    why: 'calls that there is no room for come back at once and take the room of others',
    check: (policy) =>
      LIMITS.flatMap((type) =>
        inside(policy, 'retry', type).flatMap(([retry, limit]) =>
          handles(retry.strategy.handle, type)
            ? [`${nameOf(retry)} retries what ${nameOf(limit)} inside of it turns away`]
            : [],
        ),
      ),
  },
  {
    id: 'retry-inside-hedge',
    severity: 'warning',
    rule: 'A retry is not inside of a hedge.',
    why: 'each hedge retries on its own, so attempts are multiplied just when the callee is slow',
    check: (policy) =>
      inside(policy, 'hedge', 'retry').map(
        ([hedge, retry]) =>
          `${nameOf(retry)} inside of ${nameOf(hedge)} makes up to ${policy.worst[hedge.at]?.attempts ?? 0} attempts of one call`,
      ),
  },
  {
    id: 'retry-inside-retry',
    severity: 'warning',
    rule: 'There is one retry in a policy.',
    why: 'attempts are multiplied, and the inner one hides from the outer one how many there were',
    check: (policy) =>
      inside(policy, 'retry', 'retry').map(
        ([outer, inner]) =>
          `${nameOf(inner)} inside of ${nameOf(outer)} makes up to ${policy.worst[outer.at]?.attempts ?? 0} attempts of one call`,
      ),
  },
  {
    id: 'retry-without-budget',
    severity: 'warning',
    rule: 'A retry has a budget.',
    why: 'when the callee is down every call is made several times, which keeps it down',
    check: (policy) =>
      placed(policy, 'retry').flatMap((retry) =>
        !retry.strategy.budget && retry.strategy.maxRetries > 0 ? [`${nameOf(retry)} has no budget`] : [],
      ),
  },
  {
    id: 'breaker-outside-retry',
    severity: 'warning',
    rule: 'A circuit breaker is inside of a retry.',
    why: 'it sees one failure where there were several, opens late, and a probe of it is retried',
    check: (policy) =>
      inside(policy, 'circuit-breaker', 'retry').map(
        ([breaker, retry]) => `${nameOf(breaker)} is around ${nameOf(retry)}`,
      ),
  },
  {
    id: 'rate-limit-inside-retry',
    severity: 'warning',
    rule: 'A rate limit is outside of a retry, unless each attempt is to be counted.',
    why: 'retries take the permits of first attempts, and a call that is turned away midway has cost for nothing',
    check: (policy) =>
      inside(policy, 'retry', 'rate-limit').map(
        ([retry, limit]) => `${nameOf(limit)} is inside of ${nameOf(retry)} and counts each attempt`,
      ),
  },
  {
    id: 'coalesce-inside-retry',
    severity: 'warning',
    rule: 'Coalescing is outside of a retry.',
    why: 'callers that shared one attempt retry it each at a time of its own, so the retries are not shared',
    check: (policy) =>
      inside(policy, 'retry', 'coalesce').map(
        ([retry, coalesce]) => `${nameOf(coalesce)} is inside of ${nameOf(retry)}`,
      ),
  },
];

const OUTCOME_RULES: readonly LintRule[] = [
  {
    id: 'fallback-not-outermost',
    severity: 'warning',
    rule: 'A fallback is around everything whose rejections it should stand in for.',
    why: 'what is outside of it turns calls away, and the caller gets that error and no fallback',
    check: (policy) =>
      placed(policy, 'fallback').flatMap((fallback) => {
        const outside = policy.strategies
          .slice(0, fallback.at)
          .filter(({ type }) => ['timeout', 'circuit-breaker', 'chaos', ...LIMITS].includes(type));
        return outside.length === 0
          ? []
          : [
              `${nameOf(fallback)} is inside of ${outside.map((strategy) => nameOf({ strategy })).join(', ')}`,
            ];
      }),
  },
  {
    id: 'fallback-hides-failures',
    severity: 'warning',
    rule: 'A fallback is not inside of a retry, a circuit breaker or a hedge.',
    why: 'the fallback makes successes of failures, so what is around it never sees one',
    check: (policy) =>
      (['retry', 'circuit-breaker', 'hedge'] as const).flatMap((type) =>
        inside(policy, type, 'fallback').map(
          ([around, fallback]) => `${nameOf(fallback)} is inside of ${nameOf(around)}`,
        ),
      ),
  },
  {
    id: 'chaos-enabled',
    severity: 'warning',
    rule: 'Chaos is enabled only for an experiment.',
    why: 'calls fail, wait or get made-up results by intent',
    check: (policy) =>
      placed(policy, 'chaos').flatMap((chaos) => {
        const { enabled, faultRate, latencyRate, resultRate } = chaos.strategy;
        return enabled
          ? [
              `${nameOf(chaos)} is enabled: ${percent(faultRate)} faults, ${percent(latencyRate)} delays, ${percent(resultRate)} made-up results`,
            ]
          : [];
      }),
  },
  {
    id: 'chaos-outermost',
    severity: 'warning',
    rule: 'Chaos is inside of the strategies that it is to try.',
    why: 'what it injects is seen only by what is around it, so the policy is not tried at all',
    check: (policy) =>
      policy.strategies.length > 1 && policy.strategies[0]?.type === 'chaos'
        ? [`${nameOf({ strategy: policy.strategies[0] })} is around all others`]
        : [],
  },
  {
    id: 'adapts-nothing',
    severity: 'warning',
    rule: 'A policy that adapts has a circuit breaker or a bulkhead.',
    why: 'those are the thresholds that move by themselves',
    check: ({ adapts, all }) =>
      adapts && !all.some(({ type }) => type === 'circuit-breaker' || type === 'bulkhead')
        ? ['it adapts, and has neither a circuit-breaker nor a bulkhead']
        : [],
  },
  {
    id: 'two-breakers',
    severity: 'warning',
    rule: 'There is one circuit breaker around the same attempts.',
    why: 'they see the same calls, and the one that opens first decides alone',
    check: (policy) =>
      inside(policy, 'circuit-breaker', 'circuit-breaker').flatMap(([outer, inner]) =>
        multiplied(policy, outer.at, inner.at)
          ? []
          : [`${nameOf(outer)} and ${nameOf(inner)} see the same calls`],
      ),
  },
];

/** Every rule. */
export const LINT_RULES: readonly LintRule[] = [
  ...TIMEOUT_RULES,
  ...RETRY_RULES,
  ...CAPACITY_RULES,
  ...OUTCOME_RULES,
];

function handles(match: Parameters<typeof handledRejections>[0], type: StrategyType): boolean {
  return handledRejections(match, RETRIED_BY_DEFAULT).includes(type);
}

function percent(rate: number): string {
  return `${Number((rate * 100).toFixed(1))} %`;
}
