// A policy whose order changes while calls share a run.

import { FakeClock } from '@datawarehouse/sdk/testing';
import { expect, it } from 'vitest';
import { readPolicyDocument } from '../../policy/document.js';
import { ResilienceService } from '../../policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../../policy/strategy-classes.js';

it('does not let a caller that holds a place wait for a run that waits for that place', async () => {
  // Given a run that backs off outside of a bulkhead of one place.
  const clock = new FakeClock();
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES, random: () => 0.5 });
  const retry = { type: 'retry', maxRetries: 1, backoff: 'fixed', baseDelayMs: 100, jitter: 0 };
  const bulkhead = { type: 'bulkhead', concurrency: 1, queue: 5 };
  const set = (...strategies: object[]): void => service.set(readPolicyDocument({ name: 'p', strategies }));
  set({ type: 'coalesce' }, retry, bulkhead);
  let attempts = 0;
  const first = service.execute('p', async () => {
    if (++attempts === 1) throw new Error('not yet');
    return 'the first run';
  });
  await clock.advanceAsync(1);
  // When the bulkhead goes outside, and an equal call comes that takes its place.
  set(bulkhead, { type: 'coalesce' }, retry);
  const second = service.execute('p', async () => 'a run of its own');
  await clock.advanceAsync(1_000);
  // Then both end, each with its own run.
  const [statistics] = service.stats();
  expect(statistics).toMatchObject({ inFlight: 0, successes: 2 });
  expect(statistics?.strategies.find(({ type }) => type === 'coalesce')?.counters).toMatchObject({
    runs: 2,
    joined: 0,
    underWay: 0,
    callers: 0,
  });
  await expect(first).resolves.toBe('the first run');
  await expect(second).resolves.toBe('a run of its own');
});
