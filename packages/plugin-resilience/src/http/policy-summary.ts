// One line about a policy, for lists.

import type { KeptPolicy } from '../policy/document-book.js';
import type { Policy } from '../policy/policy.js';

/** A policy in a list. */
export interface PolicySummary {
  readonly name: string;
  readonly source: string;
  /** Types, outermost first. */
  readonly strategies: readonly string[];
  /** The worst state of its breakers; null without any. */
  readonly circuit: string | null;
  readonly keys: number;
  readonly inFlight: number;
  readonly calls: number;
  readonly failures: number;
  readonly rejections: number;
  readonly retries: number;
  readonly p99Ms: number;
}

/** Makes the line of a policy. */
export function summaryOf(policy: Policy, { source }: KeptPolicy): PolicySummary {
  const { name, strategies, circuit, keys, inFlight } = policy.state();
  const { calls, failures, rejections, retries, p99Ms } = policy.statistics();
  return {
    name,
    source,
    strategies,
    circuit: circuit ?? null,
    keys,
    inFlight,
    calls,
    failures,
    rejections,
    retries,
    p99Ms,
  };
}
