// Elsewhere: events are told within the call, and what a listener throws comes out of it in place of the error.

import { expect, it } from 'vitest';
import { POLICY, failing, failureOf, policyOf } from './regressions.test.kit.js';

it('a throwing listener that replaces the caller’s error', async () => {
  // given a listener that throws, before one that does not, and strategies that have something to tell
  const { clock, service } = policyOf(
    { type: 'retry', maxRetries: 1, baseDelayMs: 1 },
    { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 2 }, breakMs: 1_000 },
  );
  service.listen(() => {
    throw new Error('the listener is broken');
  });
  const heard: string[] = [];
  service.listen(({ kind }) => void heard.push(kind));
  // when a call is tried again and opens the breaker
  const error = new Error('the action’s own');
  const result = failureOf(service.execute(POLICY, failing(error)));
  await clock.advanceAsync(10);
  // then its caller gets the very error of the action, the next one its refusal, and other listeners hear of it
  expect(await result).toBe(error);
  expect(await failureOf(service.execute(POLICY, failing(error)))).toMatchObject({ code: 'circuit-open' });
  await clock.advanceAsync(10);
  expect(heard).toContain('circuit-changed');
  expect(service.events.listenerFailures).toBe(heard.length);
});
