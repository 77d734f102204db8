// Thresholds that move by themselves, on real policies and a clock that the test turns.

import { describe, expect, it } from 'vitest';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { checkValue } from '../policy/check-value.js';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { BulkheadStrategy } from '../strategies/bulkhead/bulkhead-strategy.js';
import { CircuitBreakerStrategy } from '../strategies/circuit-breaker/circuit-breaker-strategy.js';
import type { AdaptiveOptions } from './adaptive-options.js';
import { ADAPTIVE_OPTIONS } from './adaptive-options.js';
import type { AdaptedEvent } from './adaptive-thresholds.js';
import { AdaptiveThresholds } from './adaptive-thresholds.js';

const STRATEGIES = { 'circuit-breaker': CircuitBreakerStrategy, bulkhead: BulkheadStrategy };
const INTERVAL_MS = 30_000;

function optionsOf(given: Partial<AdaptiveOptions>): AdaptiveOptions {
  const checked = checkValue(ADAPTIVE_OPTIONS, given);
  if (!checked.ok) throw new Error(checked.problems.join());
  return checked.value as AdaptiveOptions;
}

function strategyOf<T>(service: ResilienceService, type: abstract new (...args: never[]) => T): T {
  const found = service.policy('p').strategies.find((one) => one instanceof type);
  if (found === undefined) throw new Error('the policy has no such strategy');
  return found as T;
}

function adaptive(given: Partial<AdaptiveOptions> = { enabled: true }) {
  const clock = new FakeClock({ now: 1_000 });
  const service = new ResilienceService({ clock, strategies: STRATEGIES });
  service.set(
    readPolicyDocument({
      name: 'p',
      strategies: [
        { type: 'bulkhead', concurrency: 10 },
        { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 10 }, breakMs: 100_000 },
      ],
    }),
  );
  const reported: AdaptedEvent[] = [];
  const logged: string[] = [];
  const published: unknown[] = [];
  const thresholds = new AdaptiveThresholds({
    clock,
    options: optionsOf(given),
    policies: () => service.policies(),
    events: service,
    report: (event) => void reported.push(event),
    log: { info: (_fields: unknown, message?: string) => void logged.push(message ?? '') },
    bus: {
      publish: (_topic, payload) => {
        published.push(payload);
        return true;
      },
    },
  });
  const call = (fails: boolean, key = ''): Promise<unknown> =>
    service
      .execute('p', () => (fails ? Promise.reject(new Error('down')) : Promise.resolve(1)), { key })
      .catch(() => {});
  const calls = async (good: number, bad: number, key?: string): Promise<void> => {
    for (let n = 0; n < Math.max(good, bad); n++) {
      if (n < bad) await call(true, key);
      if (n < good) await call(false, key);
    }
  };
  const breaker = (): CircuitBreakerStrategy => strategyOf(service, CircuitBreakerStrategy);
  const bulkhead = (): BulkheadStrategy => strategyOf(service, BulkheadStrategy);
  const failures = (): number | undefined => {
    const { window } = breaker().options;
    return window.kind === 'consecutive' ? window.failures : undefined;
  };
  const state = (key = ''): string | undefined => service.breakers('p', key)[0]?.view(clock.now()).state;
  return {
    clock,
    service,
    thresholds,
    reported,
    logged,
    published,
    calls,
    call,
    breaker,
    bulkhead,
    failures,
    state,
  };
}

describe('thresholds that move by themselves', () => {
  it('move after calls were seen, and say so to listeners, the log and the bus', async () => {
    const { clock, calls, failures, reported, logged, published, thresholds } = adaptive();
    for (let n = 0; n < 3; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    // The first look only begins to count; the second sees the first window; the third makes sure.
    expect(failures()).toBe(8);
    expect(reported).toMatchObject([
      {
        kind: 'adapted',
        policy: 'p',
        strategy: 'circuit-breaker',
        limit: 'failures',
        previous: 10,
        current: 8,
      },
    ]);
    expect(logged).toEqual([
      'moved failures of policy p: on average 50 % of calls fail, more than 5 %: fewer failures in a row are tolerated',
    ]);
    expect(published).toMatchObject([{ policy: 'p', limit: 'failures', previous: 10, current: 8 }]);
    thresholds[Symbol.dispose]();
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('do nothing where nobody asked for it, until somebody does', async () => {
    const { clock, calls, failures, thresholds } = adaptive({});
    expect(clock.pendingTimers()).toEqual([]);
    for (let n = 0; n < 5; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    expect(failures()).toBe(10);
    thresholds.reconfigure(optionsOf({ enabled: true }));
    for (let n = 0; n < 3; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    expect(failures()).toBe(8);
    thresholds[Symbol.dispose]();
  });

  it('stay where they moved to when a policy is changed elsewhere, and follow it where it is changed itself', async () => {
    const { clock, service, calls, failures } = adaptive();
    for (let n = 0; n < 3; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    const change = (concurrency: number, failures: number): void =>
      service.set(
        readPolicyDocument({
          name: 'p',
          strategies: [
            { type: 'bulkhead', concurrency },
            { type: 'circuit-breaker', window: { kind: 'consecutive', failures }, breakMs: 100_000 },
          ],
        }),
      );
    change(20, 10);
    expect(failures()).toBe(8);
    change(20, 11);
    expect(failures()).toBe(11);
  });

  it('do not go on moving when calls stop', async () => {
    const { clock, calls, failures } = adaptive();
    for (let n = 0; n < 3; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    clock.advance(INTERVAL_MS * 20);
    expect(failures()).toBe(8);
  });

  it('look at a sliding window, and not at a lifetime (weakness elsewhere: errors were never forgotten)', async () => {
    const { clock, calls, failures } = adaptive();
    for (let n = 0; n < 4; n++) {
      await calls(200, 200);
      clock.advance(INTERVAL_MS);
    }
    const lowest = failures() ?? 0;
    for (let n = 0; n < 22; n++) {
      await calls(20, 0);
      clock.advance(INTERVAL_MS);
    }
    expect(failures()).toBeGreaterThan(lowest);
  });
});

describe('what is in use while thresholds move', () => {
  it('an open breaker stays open for its time (weakness elsewhere: it was replaced by a closed one every 30 s)', async () => {
    const { clock, calls, failures, state, breaker } = adaptive();
    const before = breaker();
    await calls(0, 10, 'down');
    for (let n = 0; n < 3; n++) {
      await calls(20, 20);
      clock.advance(INTERVAL_MS);
    }
    expect(failures()).toBe(8);
    expect(breaker()).toBe(before);
    expect(state('down')).toBe('open');
    clock.advance(100_000 - 3 * INTERVAL_MS - 1);
    expect(state('down')).toBe('open');
    clock.advance(1);
    expect(state('down')).toBe('half-open');
  });

  it('calls inside count against the concurrency that moved (weakness elsewhere: they escaped it)', async () => {
    const { clock, service, bulkhead } = adaptive();
    const finish: (() => void)[] = [];
    const held = Array.from({ length: 9 }, () =>
      service.execute('p', () => new Promise<void>((resolve) => finish.push(resolve))),
    );
    const slowCalls = async (ms: number): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        await service.execute('p', () => {
          clock.advance(ms);
          return 1;
        });
      }
    };
    for (const ms of [10, 10, 200, 200, 200, 200]) {
      const before = clock.now();
      await slowCalls(ms);
      clock.advance(INTERVAL_MS - (clock.now() - before));
      if (bulkhead().options.concurrency < 10) break;
    }
    expect(bulkhead().options.concurrency).toBe(8);
    await expect(service.execute('p', () => 1)).rejects.toMatchObject({ code: 'bulkhead-full' });
    for (const done of finish) done();
    await Promise.all(held);
    await expect(service.execute('p', () => 1)).resolves.toBe(1);
  });

  it('breaks follow measured recoveries (weakness elsewhere: nobody measured any)', async () => {
    const { clock, calls, call, breaker, reported } = adaptive();
    for (let outage = 0; outage < 2; outage++) {
      await calls(0, 10);
      await Promise.resolve();
      clock.advance(100_000);
      await call(false);
      await Promise.resolve();
      clock.advance(INTERVAL_MS);
    }
    expect(breaker().options.breakMs).toBe(80_000);
    expect(reported).toMatchObject([
      {
        limit: 'breakMs',
        previous: 100_000,
        current: 80_000,
        reason: expect.stringContaining('first probe'),
      },
    ]);
  });
});
