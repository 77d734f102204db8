// The policy that requests between simulated nodes go through when a run asks for one: everything that a policy can do to
// a request, at once and at short times. What a request may have done must still be told as it is.

import type { Clock } from '@datawarehouse/sdk';
import {
  PeerCalls,
  PEER_POLICY,
} from '../../../packages/plugin-consensus/src/groups/peer-calls/peer-calls.js';
import { readPolicyDocument } from '../../../packages/plugin-resilience/src/policy/document.js';
import { ResilienceService } from '../../../packages/plugin-resilience/src/policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../../../packages/plugin-resilience/src/policy/strategy-classes.js';

const STRATEGIES = [
  { type: 'retry', maxRetries: 2, baseDelayMs: 10, budget: null },
  {
    type: 'circuit-breaker',
    window: { kind: 'consecutive', failures: 3 },
    breakMs: 200,
    share: false,
  },
  { type: 'bulkhead', concurrency: 4, queue: 4, queueTimeoutMs: 100 },
  { type: 'coalesce' },
  { type: 'hedge', delayMs: 15 },
  { type: 'timeout', timeoutMs: 60 },
  {
    type: 'chaos',
    enabled: true,
    faultRate: 0.03,
    latencyRate: 0.1,
    latencyMinMs: 1,
    latencyMaxMs: 40,
    resultRate: 0.02,
    result: { answer: 'made up' },
  },
];

/** Requests to peers under that policy. Snapshots and the like take their time, so the policy is for short ones only. */
export function hostileCalls(clock: Clock, random: () => number): PeerCalls {
  const service = new ResilienceService({ clock, random, strategies: STRATEGY_CLASSES });
  service.set(readPolicyDocument({ name: PEER_POLICY, strategies: STRATEGIES }));
  return new PeerCalls(() => service, clock);
}
