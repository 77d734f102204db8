// What an explanation promises holds for real calls: no call makes more attempts, and none takes longer, than the worst
// case says, whatever its action does and however many others there are.

import { FakeClock } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from './document.js';
import { explainPolicy } from './explain.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

const ms = (most: number) => fc.integer({ min: 1, max: most });
const strategy = fc.oneof(
  fc.record({
    type: fc.constant('timeout'),
    timeoutMs: ms(1_000),
    mode: fc.constantFrom('aggressive', 'cooperative'),
  }),
  fc.record({
    type: fc.constant('retry'),
    maxRetries: fc.nat({ max: 3 }),
    backoff: fc.constantFrom('fixed', 'linear', 'exponential', 'decorrelated-jitter'),
    baseDelayMs: fc.nat({ max: 100 }),
    maxDelayMs: ms(300),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    maxRetryAfterMs: ms(400),
    budget: fc.constantFrom(null, {}),
  }),
  fc.record({ type: fc.constant('hedge'), delayMs: fc.nat({ max: 200 }), maxHedges: fc.nat({ max: 2 }) }),
  fc.record({
    type: fc.constant('bulkhead'),
    concurrency: fc.integer({ min: 1, max: 2 }),
    queue: fc.nat({ max: 3 }),
    queueTimeoutMs: fc.nat({ max: 200 }),
  }),
  fc.record({
    type: fc.constant('rate-limit'),
    limit: fc.integer({ min: 1, max: 3 }),
    perMs: ms(200),
    queue: fc.nat({ max: 3 }),
    maxWaitMs: fc.nat({ max: 300 }),
  }),
  fc.record({
    type: fc.constant('circuit-breaker'),
    breakMs: ms(500),
    window: fc.constant({ kind: 'consecutive', failures: 3 }),
  }),
  fc.record({ type: fc.constantFrom('coalesce', 'fallback') }),
  fc.record({
    type: fc.constant('chaos'),
    enabled: fc.boolean(),
    faultRate: fc.constantFrom(0, 0.5),
    latencyRate: fc.constantFrom(0, 1),
    latencyMinMs: fc.nat({ max: 100 }),
    latencyMaxMs: fc.nat({ max: 100 }),
  }),
);
const policy = fc.array(strategy, { minLength: 1, maxLength: 5 });
const run = fc.record({ latencyMs: fc.nat({ max: 1_500 }), fails: fc.boolean(), hint: fc.nat({ max: 500 }) });
const runs = fc.array(run, { minLength: 1, maxLength: 12 });

describe('the worst case', () => {
  it('is never passed by a call', async () => {
    let bounded = 0;
    await fc.assert(
      fc.asyncProperty(
        policy,
        runs,
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        async (given, schedule, dice) => {
          const strategies = given.map((one, at) => ({ ...one, name: `s${at}` }));
          const document = readPolicyDocument({ name: 'p', strategies });
          const { attempts: mostAttempts, timeMs } = explainPolicy(document);
          if (timeMs !== null) bounded++;
          const clock = new FakeClock();
          const service = new ResilienceService({
            clock,
            strategies: STRATEGY_CLASSES,
            random: () => dice.next().value as number,
          });
          service.set(document);
          let at = 0;
          const call = async (): Promise<void> => {
            let attempts = 0;
            const began = clock.now();
            const action = async (_signal: AbortSignal): Promise<void> => {
              attempts++;
              const { latencyMs, fails, hint } = schedule[at++ % schedule.length] ?? {};
              // It does not heed its signal: the worst that an action can do.
              await new Promise<void>((resolve) => clock.setTimeout(resolve, latencyMs ?? 0));
              if (fails === true) throw Object.assign(new Error('failed'), { retryAfterMs: hint });
            };
            await service.execute('p', action).catch(() => undefined);
            expect(attempts).toBeLessThanOrEqual(mostAttempts);
            // A thousandth for sums of fractions.
            if (timeMs !== null) expect(clock.now() - began).toBeLessThanOrEqual(timeMs + 0.001);
          };
          const calls = Promise.all([call(), call(), call()]);
          let settled = false;
          void calls.finally(() => (settled = true)).catch(() => undefined);
          for (let n = 0; n < 100 && !settled; n++) await clock.advanceAsync(5_000);
          await calls;
          service.dispose();
        },
      ),
      { numRuns: 500 },
    );
    // The test is about something.
    expect(bounded).toBeGreaterThan(20);
  }, 60_000);
});
