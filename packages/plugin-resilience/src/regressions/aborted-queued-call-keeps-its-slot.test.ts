// Elsewhere: a call that is aborted while it waits is rejected, and its place in the queue stays taken until its turn.

import { expect, it } from 'vitest';
import { POLICY, failureOf, hangs, policyOf } from './regressions.test.kit.js';

it('an aborted queued call that keeps its slot', async () => {
  for (const gate of [
    { type: 'bulkhead', concurrency: 1, queue: 1 },
    { type: 'rate-limit', limit: 1, perMs: 60_000, queue: 1, maxWaitMs: 120_000 },
    { type: 'adaptive-concurrency', initial: 2, min: 2, max: 2, queue: 1 },
  ]) {
    // given a queue with one slot, which a call that waits has taken
    const { clock, service } = policyOf(gate);
    const controllers = Array.from({ length: 4 }, () => new AbortController());
    const waiting = (): number => service.stats()[0]?.strategies[0]?.counters['waiting'] ?? -1;
    const results = [];
    while (waiting() === 0)
      results.push(failureOf(service.execute(POLICY, hangs, controllers[results.length]?.signal)));
    const last = results.length - 1;
    // when its caller does not want it any more
    controllers[last]?.abort('not wanted');
    expect(await results[last]).toBe('not wanted');
    // then the slot is free for another one at once
    expect(waiting()).toBe(0);
    const other = failureOf(service.execute(POLICY, hangs, controllers[last + 1]?.signal));
    expect(waiting()).toBe(1);
    // and nothing is left when all are gone
    for (const controller of controllers) controller.abort('all over');
    expect(await other).toBe('all over');
    expect(service.stats()[0]).toMatchObject({ inFlight: 0, failures: 0 });
    expect(waiting()).toBe(0);
    await clock.advanceAsync(300_000);
    expect(clock.pendingTimers()).toEqual([]);
  }
});
