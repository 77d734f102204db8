// Calls whose actions call through a policy themselves: what the inner policy turns away is an error of the outer action,
// as in Polly and resilience4j, and no rejection of the outer policy.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { settle } from '../testing/policy.test.kit.js';
import { readPolicyDocument } from './document.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

const hangs = (): Promise<never> => new Promise(() => {});

/** A service with an inner policy that turns every call away, and an outer one around it. */
function given(
  outer: readonly unknown[],
  inner: readonly unknown[] = [{ type: 'bulkhead', concurrency: 1 }],
) {
  const clock = new FakeClock();
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES, random: () => 0.5 });
  service.set(readPolicyDocument({ name: 'inner', strategies: inner }));
  service.set(readPolicyDocument({ name: 'outer', strategies: outer }));
  void service.execute('inner', hangs).catch(() => {});
  let made = 0;
  const nested = (): Promise<unknown> => {
    made++;
    return service.execute('inner', () => 'inside');
  };
  const counters = (name: string, type: string): Readonly<Record<string, number>> =>
    service
      .policy(name)
      .statistics()
      .strategies.find((strategy) => strategy.type === type)?.counters ?? {};
  return { clock, service, nested, counters, made: () => made };
}

const codeOf = (result: Promise<unknown>): Promise<unknown> =>
  result.then(
    (value) => value,
    (error: { code?: unknown }) => error.code,
  );

describe('what a nested policy turns away', () => {
  it('is a failure to a breaker', async () => {
    const { service, nested, counters } = given([
      { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 2 } },
    ]);
    for (let n = 0; n < 2; n++) expect(await codeOf(service.execute('outer', nested))).toBe('bulkhead-full');
    expect(await codeOf(service.execute('outer', nested))).toBe('circuit-open');
    expect(counters('outer', 'circuit-breaker')).toMatchObject({ failed: 2, rejected: 1 });
  });

  it('is tried again by the rules for errors of the action: retryable ones, and final ones not', async () => {
    const { clock, service, nested, made } = given([{ type: 'retry', maxRetries: 2, baseDelayMs: 10 }]);
    const result = codeOf(service.execute('outer', nested));
    await clock.advanceAsync(1_000);
    expect([await result, made()]).toEqual(['bulkhead-full', 3]);
    const isolated = given(
      [{ type: 'retry', maxRetries: 2, baseDelayMs: 10 }],
      [{ type: 'circuit-breaker' }],
    );
    isolated.service.isolate('inner', undefined, 'maintenance');
    expect(await codeOf(isolated.service.execute('outer', isolated.nested))).toBe('circuit-isolated');
    expect(isolated.made()).toBe(1);
  });

  it('counts as a failure of the outer policy, and as a rejection of the inner', async () => {
    const { service, nested } = given([{ type: 'bulkhead', concurrency: 5 }]);
    await codeOf(service.execute('outer', nested));
    expect(service.policy('outer').statistics()).toMatchObject({ failures: 1, rejections: 0, timeouts: 0 });
    expect(service.policy('inner').statistics()).toMatchObject({ failures: 0, rejections: 1 });
  });

  it('that timed out is no timeout of the outer policy', async () => {
    const { clock, service } = given(
      [{ type: 'retry', maxRetries: 0 }],
      [{ type: 'timeout', timeoutMs: 10 }],
    );
    const result = codeOf(service.execute('outer', () => service.execute('inner', hangs)));
    await clock.advanceAsync(10);
    expect(await result).toBe('call-timeout');
    expect(service.policy('outer').statistics()).toMatchObject({ failures: 1, timeouts: 0 });
    expect(service.policy('inner').statistics()).toMatchObject({ timeouts: 2 });
  });

  it('is not matched by the rejections that the outer policy names', async () => {
    const { service, nested } = given([
      { type: 'fallback', value: 'instead', handle: { rejections: ['bulkhead'], codes: ['none'] } },
    ]);
    expect(await codeOf(service.execute('outer', nested))).toBe('bulkhead-full');
  });

  it('is an error of the action also when it is of the same policy, for another key', async () => {
    const { service, counters } = given([
      { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 1 } },
      { type: 'bulkhead', concurrency: 1 },
    ]);
    void service.execute('outer', hangs, { key: 'b' }).catch(() => {});
    const nested = (): Promise<unknown> => service.execute('outer', () => 1, { key: 'b' });
    expect(await codeOf(service.execute('outer', nested, { key: 'a' }))).toBe('bulkhead-full');
    expect(service.breakers('outer', 'a')[0]?.view(0).state).toBe('open');
    expect(service.breakers('outer', 'b')[0]?.view(0).state).toBe('closed');
    expect(counters('outer', 'circuit-breaker')).toMatchObject({ failed: 1 });
    expect(service.policy('outer').statistics()).toMatchObject({ failures: 1, rejections: 1 });
  });

  it('comes out of a hedge and of calls that share a run as what it is', async () => {
    for (const type of ['hedge', 'coalesce']) {
      const { clock, service, nested } = given([{ type }]);
      const result = codeOf(service.execute('outer', nested));
      await clock.advanceAsync(5_000);
      expect(await result).toBe('bulkhead-full');
      expect(service.policy('outer').statistics()).toMatchObject({ failures: 1, rejections: 0 });
    }
  });

  it('within a caller’s fallback is what that failed with', async () => {
    const { service, nested } = given([{ type: 'fallback' }]);
    const options = { fallback: nested };
    expect(await codeOf(service.execute('outer', () => Promise.reject(new Error('down')), options))).toBe(
      'bulkhead-full',
    );
    expect(service.policy('outer').statistics()).toMatchObject({ failures: 1, rejections: 0 });
  });
});

it('what the policy itself turns away further in is its own rejection still, also out of a hedge or a shared run', async () => {
  for (const type of ['hedge', 'coalesce']) {
    const { clock, service } = given([
      { type: 'retry', maxRetries: 3 },
      { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 1 } },
      { type, ...(type === 'hedge' ? { delayMs: 10 } : {}) },
      { type: 'bulkhead', concurrency: 1 },
    ]);
    void service.execute('outer', hangs, { identity: 'x' }).catch(() => {});
    const second = codeOf(service.execute('outer', () => 1, { identity: 'y' }));
    await clock.advanceAsync(20);
    await settle();
    expect(await second).toBe('bulkhead-full');
    // The first attempt of the hedge is given up when the second is turned away: both calls are rejections.
    const rejections = type === 'hedge' ? 2 : 1;
    expect(service.policy('outer').statistics()).toMatchObject({ failures: 0, rejections, retries: 0 });
    expect(service.breakers('outer', '')[0]?.view(0).state).toBe('closed');
  }
});
