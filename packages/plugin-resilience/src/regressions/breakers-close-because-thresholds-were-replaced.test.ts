// Elsewhere: other thresholds are another breaker, which begins closed, in the middle of an outage.

import { expect, it } from 'vitest';
import { POLICY, failing, failureOf, policyOf } from './regressions.test.kit.js';

const breaker = (failures: number, breakMs: number) => ({
  type: 'circuit-breaker',
  window: { kind: 'consecutive', failures },
  breakMs,
});

it('breakers that close because thresholds were replaced', async () => {
  // given a breaker that is open for ten seconds, and one that has seen two failures of three
  const { clock, service, set } = policyOf(breaker(3, 10_000));
  const down = failing(new Error('down'));
  for (let n = 0; n < 3; n++) await failureOf(service.execute(POLICY, down, { key: 'open' }));
  for (let n = 0; n < 2; n++) await failureOf(service.execute(POLICY, down, { key: 'nearly' }));
  await clock.advanceAsync(4_000);
  // when its thresholds and its break are replaced, again and again
  for (let n = 0; n < 20; n++) set(breaker(4 + n, 1_000 + n));
  set(breaker(3, 60_000));
  // then the open one stays open for the six seconds that it has left
  const refusal = await failureOf(service.execute(POLICY, () => 'through', { key: 'open' }));
  expect(refusal).toMatchObject({ code: 'circuit-open', retryAfterMs: 6_000 });
  await clock.advanceAsync(5_999);
  expect(service.policy(POLICY).state().circuit).toBe('open');
  await clock.advanceAsync(1);
  expect(await service.execute(POLICY, () => 'through', { key: 'open' })).toBe('through');
  // and the other one still knows what it has seen
  expect(await failureOf(service.execute(POLICY, down, { key: 'nearly' }))).toMatchObject({
    message: 'down',
  });
  const next = await failureOf(service.execute(POLICY, () => 'through', { key: 'nearly' }));
  expect(next).toMatchObject({ code: 'circuit-open' });
});
