// Elsewhere: the signal is looked at before each attempt, and a caller that aborts waits out the backoff.

import { expect, it } from 'vitest';
import { POLICY, failing, failureOf, policyOf } from './regressions.test.kit.js';

it('abort ignored during backoff', async () => {
  // given a call that waits a minute for its second attempt
  const { clock, service } = policyOf({ type: 'retry', backoff: 'fixed', baseDelayMs: 60_000, jitter: 0 });
  const controller = new AbortController();
  let attempts = 0;
  const result = failureOf(
    service.execute(
      POLICY,
      () => {
        attempts++;
        throw new Error('down');
      },
      controller.signal,
    ),
  );
  await clock.advanceAsync(1_000);
  expect(clock.pendingTimers()).toHaveLength(1);
  // when its caller does not want it any more
  const reason = new Error('not wanted');
  controller.abort(reason);
  // then it ends at once with the caller's reason, keeps no timer, makes no other attempt, and is no failure
  expect(await result).toBe(reason);
  expect(clock.now()).toBe(1_000);
  expect(clock.pendingTimers()).toEqual([]);
  await clock.advanceAsync(120_000);
  expect(attempts).toBe(1);
  expect(service.stats()[0]).toMatchObject({ cancelled: 1, failures: 0, inFlight: 0 });
  expect(await failureOf(service.execute(POLICY, failing(reason), AbortSignal.abort(reason)))).toBe(reason);
});
