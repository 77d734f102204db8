// The rules of the linter about timeouts.

import type { LintRule } from './linter-rule.js';
import { inside, msText, nameOf, placed } from './linter-rule.js';
import { longestBackoffsMs } from './worst-case.js';

/** Rules about timeouts. */
export const TIMEOUT_RULES: readonly LintRule[] = [
  {
    id: 'total-timeout-below-attempt',
    severity: 'error',
    rule: 'A timeout around another is not shorter than it.',
    why: 'the outer one always ends the call first, so the inner one never acts and the first attempt is cut off',
    check: (policy) =>
      inside(policy, 'timeout', 'timeout').flatMap(([outer, inner]) =>
        outer.strategy.timeoutMs < inner.strategy.timeoutMs
          ? [
              `${nameOf(outer)} ends after ${msText(outer.strategy.timeoutMs)} what ${nameOf(inner)} inside of it gives ${msText(inner.strategy.timeoutMs)}`,
            ]
          : [],
      ),
  },
  {
    id: 'timeout-outside-breaker-only',
    severity: 'warning',
    rule: 'A circuit breaker has a timeout inside of it if there is one outside.',
    why: 'a call that hangs is given up from outside and says nothing to the breaker, which never opens for it',
    check: (policy) =>
      placed(policy, 'circuit-breaker').flatMap((breaker) => {
        const timeouts = placed(policy, 'timeout');
        return timeouts.length > 0 && timeouts.every(({ at }) => at < breaker.at)
          ? [`${nameOf(breaker)} has its timeouts only outside of it`]
          : [];
      }),
  },
  {
    id: 'worst-case-over-timeout',
    severity: 'warning',
    rule: 'What is inside of a total timeout fits into it, Retry-After left aside.',
    why: 'the timeout cuts off the last attempts, which then were made for nothing',
    check: (policy) =>
      placed(policy, 'timeout').flatMap((timeout) => {
        const within = policy.worst[timeout.at + 1];
        const retried = policy.strategies.slice(timeout.at + 1).some(({ type }) => type === 'retry');
        return retried &&
          within !== undefined &&
          within.timeMs !== Infinity &&
          within.timeMs > timeout.strategy.timeoutMs
          ? [
              `${nameOf(timeout)} allows ${msText(timeout.strategy.timeoutMs)}, and what is inside of it takes up to ${msText(within.timeMs)}`,
            ]
          : [];
      }),
  },
  {
    id: 'backoff-over-timeout',
    severity: 'warning',
    rule: 'The waits of a retry fit into the timeout around it.',
    why: 'the time is over while it waits, so its last retries are never made',
    check: (policy) =>
      inside(policy, 'timeout', 'retry').flatMap(([timeout, retry]) => {
        const waits = longestBackoffsMs(retry.strategy, { serverHints: false });
        return waits >= timeout.strategy.timeoutMs && waits > 0
          ? [
              `${nameOf(retry)} waits up to ${msText(waits)} inside of ${nameOf(timeout)} of ${msText(timeout.strategy.timeoutMs)}`,
            ]
          : [];
      }),
  },
  {
    id: 'hedge-after-timeout',
    severity: 'warning',
    rule: 'A hedge begins before a timeout ends the attempt that it hedges.',
    why: 'the second attempt never begins while the first one is still wanted',
    check: (policy) =>
      placed(policy, 'hedge').flatMap((hedge) =>
        placed(policy, 'timeout').flatMap((timeout) =>
          timeout.strategy.timeoutMs <= hedge.strategy.delayMs
            ? [
                `${nameOf(hedge)} begins after ${msText(hedge.strategy.delayMs)}, when ${nameOf(timeout)} has ended the call after ${msText(timeout.strategy.timeoutMs)}`,
              ]
            : [],
        ),
      ),
  },
  {
    id: 'slow-call-over-timeout',
    severity: 'warning',
    rule: 'A call is slow before the timeout inside of the breaker ends it.',
    why: 'no call is ever slow: it has failed with the timeout before',
    check: (policy) =>
      inside(policy, 'circuit-breaker', 'timeout').flatMap(([breaker, timeout]) =>
        breaker.strategy.slowCallMs > timeout.strategy.timeoutMs
          ? [
              `${nameOf(breaker)} takes calls for slow after ${msText(breaker.strategy.slowCallMs)}, and ${nameOf(timeout)} ends them after ${msText(timeout.strategy.timeoutMs)}`,
            ]
          : [],
      ),
  },
  {
    id: 'probe-time-under-timeout',
    severity: 'warning',
    rule: 'A probe may hold its place for as long as a timeout inside of the breaker lets it run.',
    why: 'others probe beside it while it may still be answered, so more probes run at once than the breaker allows',
    check: (policy) =>
      inside(policy, 'circuit-breaker', 'timeout').flatMap(([breaker, timeout]) => {
        const { maxProbeMs } = breaker.strategy;
        return maxProbeMs > 0 && maxProbeMs < timeout.strategy.timeoutMs
          ? [
              `a probe of ${nameOf(breaker)} holds its place for ${msText(maxProbeMs)}, and ${nameOf(timeout)} lets it run for ${msText(timeout.strategy.timeoutMs)}`,
            ]
          : [];
      }),
  },
  {
    id: 'time-unbounded',
    severity: 'warning',
    rule: 'Something bounds the time of a call.',
    why: 'a call that hangs keeps its caller, and its place in every limit, for as long as the action likes',
    check: ({ strategies, worst }) =>
      strategies.length > 0 && worst[0]?.timeMs === Infinity
        ? [worst[0].unbounded ?? 'nothing bounds the time of a call']
        : [],
  },
];
