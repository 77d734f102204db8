// A service that stops: every call that it accepted settles once, wherever it is, and holds nothing afterwards.

import { SystemClock } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { settle } from '../testing/policy.test.kit.js';
import { readPolicyDocument } from './document.js';
import { ResilienceService } from './resilience-service.js';
import { STRATEGY_CLASSES } from './strategy-classes.js';

function serviceOf(policies: Readonly<Record<string, readonly unknown[]>>) {
  const clock = new FakeClock();
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES, random: () => 0.5 });
  for (const [name, strategies] of Object.entries(policies)) {
    service.set(readPolicyDocument({ name, strategies }));
  }
  return { clock, service };
}

const NEVER = new AbortController().signal;
const hangs = (): Promise<never> => new Promise(() => {});
const fails = (): Promise<never> => Promise.reject(new Error('down'));
const codeOf = (result: Promise<unknown>): Promise<unknown> =>
  result.then(
    () => 'succeeded',
    (error: { code?: unknown }) => error.code,
  );

/** A policy for each place in which a call can be when it is given up, and calls that are in these places. */
const PLACES = {
  acting: [{ type: 'circuit-breaker' }],
  queued: [{ type: 'bulkhead', concurrency: 1, queue: 5 }],
  limited: [{ type: 'rate-limit', limit: 1, perMs: 60_000, queue: 5, maxWaitMs: 3_600_000 }],
  adaptive: [{ type: 'adaptive-concurrency', initial: 1, min: 1, max: 1, queue: 5 }],
  backoff: [{ type: 'retry', baseDelayMs: 60_000, maxDelayMs: 60_000, jitter: 0 }],
  timed: [{ type: 'timeout' }],
  told: [{ type: 'timeout', timeoutMs: 10, mode: 'cooperative' }],
  hedged: [{ type: 'hedge', delayMs: 10 }],
  shared: [{ type: 'coalesce' }],
  slowed: [{ type: 'chaos', enabled: true, latencyRate: 1, latencyMinMs: 60_000, latencyMaxMs: 60_000 }],
  replaced: [{ type: 'fallback' }],
};

describe('stopping', () => {
  it('settles each accepted call once with a coded error that may be tried again, wherever it waits', async () => {
    const { clock, service } = serviceOf(PLACES);
    const settled: unknown[] = [];
    for (const name of Object.keys(PLACES)) {
      for (let n = 0; n < 3; n++) {
        const action = name === 'backoff' || name === 'replaced' ? fails : hangs;
        const options = name === 'replaced' ? { fallback: hangs } : {};
        const came = (how: string) => (value: unknown) => settled.push([name, how, value]);
        void service.execute(name, action, options).then(came('succeeded'), came('failed'));
      }
    }
    await settle();
    clock.advance(20);
    await settle();
    expect(settled).toEqual([]);
    expect(service.callsUnderWay).toBe(3 * Object.keys(PLACES).length);
    const stats = service.policies();
    service.dispose();
    await settle();
    expect(settled).toHaveLength(3 * Object.keys(PLACES).length);
    for (const one of settled) {
      expect(one).toMatchObject([
        expect.any(String),
        'failed',
        { code: 'resilience-stopped', retryable: true },
      ]);
    }
    expect(service.callsUnderWay).toBe(0);
    for (const policy of stats) {
      const { name, calls, cancelled, failures, inFlight, strategies } = policy.statistics();
      expect({ name, calls, cancelled, failures, inFlight }).toEqual({
        name,
        calls: 3,
        cancelled: 3,
        failures: 0,
        inFlight: 0,
      });
      for (const { counters } of strategies) {
        const { inside = 0, waiting = 0, callers = 0, underWay = 0, failed = 0 } = counters;
        expect({ name, inside, waiting, callers, underWay, failed }).toEqual({
          name,
          inside: 0,
          waiting: 0,
          callers: 0,
          underWay: 0,
          failed: 0,
        });
      }
    }
    clock.advance(3_600_000);
    await settle();
    expect(settled).toHaveLength(3 * Object.keys(PLACES).length);
  });

  it('tells actions by their signals, and takes nothing that they begin then', async () => {
    const { service } = serviceOf({ p: [{ type: 'timeout' }] });
    const nested: Promise<unknown>[] = [];
    const result = service.execute(
      'p',
      (signal) =>
        new Promise<never>(() => {
          signal.addEventListener('abort', () => nested.push(codeOf(service.execute('p', () => 1))));
        }),
    );
    const code = codeOf(result);
    service.dispose();
    expect(await code).toBe('resilience-stopped');
    expect(await Promise.all(nested)).toEqual(['resilience-stopping']);
  });

  it('gives up calls of a policy that was removed while they were under way', async () => {
    const { service } = serviceOf({ p: [] });
    const code = codeOf(service.execute('p', hangs));
    service.remove('p');
    service.dispose();
    expect(await code).toBe('resilience-stopped');
  });

  it('settles those once who were just let in by a raised limit, and those whose turn had not come', async () => {
    const { service } = serviceOf({ p: [{ type: 'bulkhead', concurrency: 1, queue: 5_000 }] });
    let settled = 0;
    const calls = Array.from({ length: 2_000 }, () =>
      codeOf(service.execute('p', hangs)).finally(() => settled++),
    );
    service.set(
      readPolicyDocument({ name: 'p', strategies: [{ type: 'bulkhead', concurrency: 5_000, queue: 5_000 }] }),
    );
    await Promise.resolve();
    const { inside = 0 } = service.stats()[0]?.strategies[0]?.counters ?? {};
    expect(inside).toBeGreaterThan(1);
    expect(inside).toBeLessThan(1_000);
    await service.stop();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['resilience-stopped']));
    expect(settled).toBe(2_000);
    expect(service.callsUnderWay).toBe(0);
  });

  it('gives many calls up without standing in the way of others', async () => {
    const clock = new SystemClock(false);
    const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES });
    service.set(readPolicyDocument({ name: 'p', strategies: [] }));
    let ended = 0;
    const calls = Array.from({ length: 1_000 }, () => service.execute('p', hangs).catch(() => void ended++));
    const seen: number[] = [];
    const watch = (): void => {
      seen.push(ended);
      if (ended < 1_000) setImmediate(watch);
    };
    setImmediate(watch);
    await service.stop();
    await Promise.all(calls);
    expect(ended).toBe(1_000);
    expect(seen.some((count) => count > 0 && count < 500)).toBe(true);
  });
});

describe('draining', () => {
  it('takes no new calls, and waits for those under way', async () => {
    const { service } = serviceOf({ p: [{ type: 'bulkhead', concurrency: 1, queue: 5 }] });
    const ends: (() => void)[] = [];
    const held = (): Promise<number> => new Promise((resolve) => ends.push(() => resolve(ends.length)));
    const results = [service.execute('p', held), service.execute('p', held)];
    const policy = service.policy('p');
    let drained = false;
    const draining = service.drain(NEVER).then(() => void (drained = true));
    expect(await codeOf(service.execute('p', () => 1))).toBe('resilience-stopping');
    expect(await codeOf(policy.execute(() => 1))).toBe('resilience-stopping');
    expect(policy.statistics()).toMatchObject({ calls: 2, rejections: 0 });
    ends[0]?.();
    await settle();
    // Who waited in the queue was accepted, and has its turn.
    expect(drained).toBe(false);
    ends[1]?.();
    await draining;
    expect(await Promise.all(results)).toEqual([1, 2]);
  });

  it('takes none that an accepted call makes, either: who calls through the service is drained before it', async () => {
    const { service } = serviceOf({ p: [] });
    let go: () => void = () => {};
    const outer = service.execute('p', async () => {
      await new Promise<void>((resolve) => (go = resolve));
      return codeOf(service.execute('p', () => 1));
    });
    const draining = service.drain(NEVER);
    go();
    expect(await outer).toBe('resilience-stopping');
    await draining;
  });

  it('waits no longer than until its signal aborts', async () => {
    const { service } = serviceOf({ p: [] });
    const code = codeOf(service.execute('p', hangs));
    const controller = new AbortController();
    const draining = service.drain(controller.signal);
    controller.abort(new Error('time is over'));
    await draining;
    expect(service.callsUnderWay).toBe(1);
    await service.drain(controller.signal);
    await service.stop();
    expect(await code).toBe('resilience-stopped');
    expect(await codeOf(service.execute('p', () => 1))).toBe('resilience-stopping');
  });
});

it('a call whose signal is none fails, and counts as one that has ended', async () => {
  const { service } = serviceOf({ p: [{ type: 'bulkhead', concurrency: 1 }] });
  for (const signal of [null, {}, 'x']) {
    await expect(service.execute('p', () => 1, { signal } as never)).rejects.toThrow(TypeError);
  }
  expect(service.stats()[0]).toMatchObject({ calls: 3, failures: 3, inFlight: 0 });
  expect(service.callsUnderWay).toBe(0);
});
