// The limits of the subsystem `resilience`. The manifest repeats them; a test compares the two.

import type { LimitDescriptors } from '@datawarehouse/sdk';

/** Bytes that one (policy, key) is reckoned with: layers, a window of samples, places in maps. */
export const BYTES_PER_KEY = 1_024;

/** Every limit, with its default and range. */
export const RESILIENCE_LIMITS = {
  maxCacheEntries: {
    unit: 'keys',
    min: 1,
    max: 10_000_000,
    default: 10_000,
    description:
      'Keys that have state, over all policies; idle ones go first, an open breaker never, and new keys are refused when none may go',
  },
  maxMemoryBytes: {
    unit: 'bytes',
    min: 1_048_576,
    max: 17_179_869_184,
    default: 104_857_600,
    description:
      'Bytes of the state of all keys, each reckoned with 1 KiB; the tighter of this and maxCacheEntries holds',
  },
  maxConcurrentOperations: {
    unit: 'calls',
    min: 1,
    max: 100_000,
    default: 10,
    description: 'Calls of one key under way at once, in bulkheads whose policy does not say how many',
  },
  maxQueueDepth: {
    unit: 'calls',
    min: 0,
    max: 100_000,
    default: 100_000,
    description: 'Calls that wait in one queue of one key at most, whatever the policy says',
  },
  maxPolicies: {
    unit: 'policies',
    min: 1,
    max: 1_000,
    default: 100,
    description: 'Policies that there may be; more are refused, those that are there stay',
  },
  maxTryRuns: {
    unit: 'runs',
    min: 0,
    max: 16,
    default: 2,
    description: 'Runs of "dw resilience try" at once; more are refused, and 0 turns it off',
  },
  maxReportedEvents: {
    unit: 'events/s',
    min: 0,
    max: 10_000,
    default: 50,
    description:
      'Changes of breakers and thresholds that are logged and published in a second; the rest is counted',
  },
} as const satisfies LimitDescriptors;

/** The values of the limits. */
export type ResilienceLimits = { readonly [Name in keyof typeof RESILIENCE_LIMITS]: number };
