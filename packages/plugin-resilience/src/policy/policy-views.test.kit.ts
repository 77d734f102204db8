// Policies for tests of the linter and the worst case: every option at its default but those that are named.

import type { StrategyType } from '../engine/layer.js';
import type { PolicyDocument } from './document.js';
import type { StrategyView } from './strategy-view.js';

const DEFAULTS: { readonly [Type in StrategyType]: Extract<StrategyView, { readonly type: Type }> } = {
  'adaptive-concurrency': { type: 'adaptive-concurrency', min: 2, max: 512, queue: 0 },
  bulkhead: { type: 'bulkhead', concurrency: 10, queue: 0, queueTimeoutMs: 0 },
  chaos: {
    type: 'chaos',
    enabled: false,
    faultRate: 0,
    latencyRate: 0,
    latencyMinMs: 0,
    latencyMaxMs: 1_000,
    resultRate: 0,
  },
  'circuit-breaker': {
    type: 'circuit-breaker',
    breakMs: 30_000,
    maxProbeMs: 60_000,
    slowCallMs: 0,
    handle: {},
  },
  coalesce: { type: 'coalesce' },
  fallback: { type: 'fallback', handle: {} },
  hedge: { type: 'hedge', delayMs: 1_000, maxHedges: 1, handle: {} },
  'rate-limit': { type: 'rate-limit', limit: 100, perMs: 1_000, queue: 0, maxWaitMs: 0 },
  retry: {
    type: 'retry',
    maxRetries: 3,
    backoff: 'exponential',
    baseDelayMs: 200,
    maxDelayMs: 30_000,
    factor: 2,
    jitter: 0.5,
    handle: {},
    respectRetryAfter: true,
    maxRetryAfterMs: 60_000,
    budget: {},
  },
  timeout: { type: 'timeout', timeoutMs: 30_000, mode: 'aggressive' },
};

/** A strategy: its type, or options that differ from the default. */
export type Given = StrategyType | ({ readonly type: StrategyType } & Readonly<Record<string, unknown>>);

/** Strategies with defaults, outermost first. */
export function views(...given: readonly Given[]): readonly StrategyView[] {
  return given.map((one) => {
    const options = typeof one === 'string' ? { type: one } : one;
    return { ...DEFAULTS[options.type], ...options } as StrategyView;
  });
}

/** A policy of these strategies. */
export function policyOf(...given: readonly Given[]): PolicyDocument {
  return { name: 'p', strategies: views(...given) };
}
