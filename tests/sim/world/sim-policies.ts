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

/** What is left of it when all harm ends: an operator has put it in the place of the other. */
const MILD = [{ type: 'timeout', timeoutMs: 5_000 }];

/** A new node votes once it has met all other voters; that long the policy of its first life lets it. */
const ACQUAINTANCE_MS = 3_000;

/** The policies of all nodes: hostile until they relent. */
export class HostilePolicies {
  /** The service of the newest life of each node. */
  private readonly services = new Map<string, ResilienceService>();
  private strategies: readonly object[] = STRATEGIES;

  /** Requests of a new life of a node. Snapshots and the like take their time, so the policy is for short ones only. */
  calls(nodeId: string, clock: Clock, random: () => number): PeerCalls {
    const service = new ResilienceService({ clock, random, strategies: STRATEGY_CLASSES });
    const first = !this.services.has(nodeId);
    this.services.set(nodeId, service);
    if (first) {
      this.put(service, MILD);
      clock.setTimeout(() => this.put(service), ACQUAINTANCE_MS);
    } else this.put(service);
    return new PeerCalls(() => service, clock);
  }

  /** Ends the harm on these nodes, which run, and on those that begin to run later. */
  relent(nodeIds: readonly string[]): void {
    this.strategies = MILD;
    for (const id of nodeIds) {
      const service = this.services.get(id);
      if (service !== undefined) this.put(service);
    }
  }

  private put(service: ResilienceService, strategies = this.strategies): void {
    service.set(readPolicyDocument({ name: PEER_POLICY, strategies }));
  }
}
