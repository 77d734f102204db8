// Elsewhere: the end of the break is a time of the wall clock, and NTP or an operator that sets it back keeps it open.

import { expect, it } from 'vitest';
import { POLICY, failing, failureOf, policyOf } from './regressions.test.kit.js';

const HOUR = 3_600_000;

it('a clock step that keeps a breaker open', async () => {
  for (const step of [-HOUR, HOUR]) {
    // given a breaker that opens for a second
    const { clock, service } = policyOf(
      { type: 'timeout', timeoutMs: 100 },
      { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 1 }, breakMs: 1_000 },
    );
    const refused = async (): Promise<boolean> => {
      const outcome = service.execute(POLICY, () => 'through').catch(() => 'refused');
      return (await outcome) === 'refused';
    };
    await failureOf(service.execute(POLICY, failing(new Error('down'))));
    // when the wall clock is stepped
    clock.stepWallTime(step);
    await clock.advanceAsync(999);
    // then it stays open for its second and no longer
    expect(await refused()).toBe(true);
    await clock.advanceAsync(1);
    expect(await refused()).toBe(false);
    expect(service.policy(POLICY).state().circuit).toBe('closed');
  }
});
