// The policies that ship. An operator sets others of the same names where these do not fit; removing what was set brings
// these back.

/** A policy document before it is read: what is left out has its default. */
export interface GivenPolicy {
  readonly name: string;
  readonly description?: string;
  readonly strategies: readonly ({ readonly type: string } & Readonly<Record<string, unknown>>)[];
}

/** Opens when half of the calls of a minute failed, and not for the first few. */
const HALF_OF_A_MINUTE = { kind: 'time', durationMs: 60_000, failureRate: 0.5, minimumThroughput: 10 };

/** The policies that every node has. */
export const DEFAULT_POLICIES: readonly GivenPolicy[] = [
  {
    name: 'default',
    description: 'For calls that may be repeated, and of which nothing else is known',
    strategies: [
      { type: 'timeout', name: 'total', timeoutMs: 35_000 },
      { type: 'retry', maxRetries: 2 },
      { type: 'circuit-breaker', window: HALF_OF_A_MINUTE },
      { type: 'timeout', timeoutMs: 10_000 },
    ],
  },
  {
    name: 'fail-fast',
    description: 'For calls whose callers would rather do without an answer than wait; nothing is repeated',
    strategies: [
      { type: 'circuit-breaker', window: HALF_OF_A_MINUTE, breakMs: 5_000 },
      { type: 'timeout', timeoutMs: 2_000 },
    ],
  },
  {
    name: 'http-outbound',
    description: 'For repeatable requests to services outside of the cluster; give the host as the key',
    strategies: [
      { type: 'timeout', name: 'total', timeoutMs: 50_000 },
      { type: 'retry', maxRetries: 3 },
      { type: 'circuit-breaker', window: HALF_OF_A_MINUTE },
      { type: 'bulkhead', concurrency: 64, queue: 64, queueTimeoutMs: 1_000 },
      { type: 'timeout', timeoutMs: 10_000 },
    ],
  },
  {
    name: 'peer-rpc',
    description:
      'For requests to other nodes, which may have their effect though no answer comes: nothing is repeated. Give the node as the key',
    strategies: [
      // A peer is back as soon as its connection is, so the breaker is short, and each node judges its own links. Only
      // silence says that a peer is ill: what it refuses it has answered, and a lost connection refuses at once anyway.
      {
        type: 'circuit-breaker',
        window: { kind: 'consecutive', failures: 10 },
        handle: { codes: ['answer-overdue', 'peer-timeout'] },
        breakMs: 1_000,
        share: false,
      },
      { type: 'bulkhead', concurrency: 1_024 },
      { type: 'timeout', timeoutMs: 30_000 },
    ],
  },
];
