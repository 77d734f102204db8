// The rules of the linter about how many calls there may be and how long they wait for their turn.

import type { LintRule } from './linter-rule.js';
import { inside, msText, multiplied, nameOf, placed } from './linter-rule.js';

/** Rules about bulkheads, other limits and their queues. */
export const CAPACITY_RULES: readonly LintRule[] = [
  {
    id: 'two-bulkheads-one-pool',
    severity: 'error',
    rule: 'There is one bulkhead around the same attempts.',
    why: 'both count the same calls, so the smaller one decides alone and the other only costs places',
    check: (policy) =>
      inside(policy, 'bulkhead', 'bulkhead').flatMap(([outer, inner]) =>
        multiplied(policy, outer.at, inner.at)
          ? []
          : [`${nameOf(outer)} and ${nameOf(inner)} are two bulkheads on one pool`],
      ),
  },
  {
    id: 'bulkhead-beside-adaptive',
    severity: 'warning',
    rule: 'A bulkhead and an adaptive limit are not around the same attempts.',
    why: 'what waits in one is latency to the other, which then finds a wrong limit',
    check: (policy) =>
      [
        ...inside(policy, 'bulkhead', 'adaptive-concurrency'),
        ...inside(policy, 'adaptive-concurrency', 'bulkhead'),
      ].flatMap(([outer, inner]) =>
        multiplied(policy, outer.at, inner.at)
          ? []
          : [`${nameOf(outer)} and ${nameOf(inner)} limit the same calls`],
      ),
  },
  {
    id: 'queue-without-bound',
    severity: 'warning',
    rule: 'A queue has a time limit: its own, or a timeout around it.',
    why: 'behind calls that hang a call waits for ever',
    check: (policy) =>
      [
        ...placed(policy, 'bulkhead').filter(({ strategy }) => strategy.queueTimeoutMs === 0),
        ...placed(policy, 'adaptive-concurrency'),
      ].flatMap((limit) =>
        limit.strategy.queue > 0 && !placed(policy, 'timeout').some(({ at }) => at < limit.at)
          ? [`calls may wait in ${nameOf(limit)} without a bound`]
          : [],
      ),
  },
  {
    id: 'queue-timeout-over-timeout',
    severity: 'warning',
    rule: 'A call leaves a queue before the timeout around it ends the call.',
    why: 'the timeout acts first, and the caller is told that the call was slow when it was never made',
    check: (policy) =>
      inside(policy, 'timeout', 'bulkhead').flatMap(([timeout, bulkhead]) => {
        const { queue, queueTimeoutMs } = bulkhead.strategy;
        return queue > 0 && queueTimeoutMs >= timeout.strategy.timeoutMs
          ? [
              `calls wait up to ${msText(queueTimeoutMs)} in ${nameOf(bulkhead)}, and ${nameOf(timeout)} ends them after ${msText(timeout.strategy.timeoutMs)}`,
            ]
          : [];
      }),
  },
  {
    id: 'wait-without-queue',
    severity: 'warning',
    rule: 'A time to wait comes with a queue to wait in.',
    why: 'without room in the queue a call is turned away at once, however long it might wait',
    check: (policy) => [
      ...placed(policy, 'bulkhead').flatMap((bulkhead) =>
        bulkhead.strategy.queueTimeoutMs > 0 && bulkhead.strategy.queue === 0
          ? [`${nameOf(bulkhead)} has a queueTimeoutMs and no queue`]
          : [],
      ),
      ...placed(policy, 'rate-limit').flatMap((limit) =>
        limit.strategy.maxWaitMs > 0 !== limit.strategy.queue > 0
          ? [`${nameOf(limit)} has only one of maxWaitMs and queue; a call waits only with both`]
          : [],
      ),
    ],
  },
];
