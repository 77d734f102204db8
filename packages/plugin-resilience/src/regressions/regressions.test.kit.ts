// What the tests of known faults stand on: one policy on a fake clock, with the strategies that ship.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../policy/strategy-classes.js';

/** The name of the policy. */
export const POLICY = 'p';

/** A service with one policy. */
export function policyOf(...strategies: readonly Readonly<Record<string, unknown>>[]) {
  const clock = new FakeClock();
  const service = new ResilienceService({
    clock,
    strategies: STRATEGY_CLASSES,
    random: () => 0.5,
    maxCacheEntries: 100_000,
  });
  const set = (...others: typeof strategies): void =>
    service.set(readPolicyDocument({ name: POLICY, strategies: others }));
  set(...strategies);
  return { clock, service, set };
}

/** An action that never answers. */
export const hangs = (): Promise<never> => new Promise(() => {});

/** An action that fails with `error`. */
export const failing = (error: unknown) => (): never => {
  throw error;
};

/** What a promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}
