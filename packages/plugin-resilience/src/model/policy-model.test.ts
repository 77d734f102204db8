// A hundred thousand random steps over whole policies, each compared with what a policy may do.

import { describe, expect, it } from 'vitest';
import { PolicyWorld } from './policy-world.test.kit.js';
import type { Innermost } from './world-limits.test.kit.js';

const STEPS = 100_000;
const RUNS: readonly Innermost[] = [
  'circuit-breaker',
  'bulkhead',
  'rate-limit',
  'circuit-breaker',
  'bulkhead',
  'rate-limit',
  'circuit-breaker',
  'bulkhead',
  'rate-limit',
  'circuit-breaker',
];

/** Seeds are told when a run fails; `DW_MODEL_SEED` tries others. */
const SEED = Number(process.env['DW_MODEL_SEED'] ?? 1);

describe('a whole policy, over a hundred thousand random steps', () => {
  const seen: Record<string, number> = {};

  it.each(RUNS.map((innermost, n) => ({ innermost, seed: SEED * 1_000 + n })))(
    'does what its limits say and leaves nothing behind: $innermost next to the action, seed $seed',
    async ({ innermost, seed }) => {
      const world = new PolicyWorld(seed, innermost);
      for (let n = 0; n < STEPS / RUNS.length; n++) await world.step();
      await world.finish();
      for (const [what, count] of Object.entries(world.seen)) seen[what] = (seen[what] ?? 0) + count;
    },
    30_000,
  );

  it('has seen everything that can happen to a call', () => {
    const kinds = [
      'success',
      'failure',
      'fallback',
      'cancelled',
      'retry',
      'change',
      'isolated',
      'reset',
      'bulkhead-full',
      'bulkhead-queue-timeout',
      'call-timeout',
      'circuit-isolated',
      'circuit-open',
      'rate-limited',
      'resilience-keys-exhausted',
    ];
    for (const kind of kinds) expect([kind, (seen[kind] ?? 0) > 20]).toEqual([kind, true]);
  });
});
