// A policy around fetch, and a real server in another process that errs, resets, tears answers, hangs and is slow by turns.

import { getEventListeners } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ResilienceService, STRATEGY_CLASSES, readPolicyDocument } from '@datawarehouse/plugin-resilience';
import { SystemClock, isDwError } from '@datawarehouse/sdk';
import { ROOT, TestProcess } from '../support/processes.js';

const KEY = 'flaky';
const CONCURRENCY = 8;
const ATTEMPTS = 3;
/** Longer than a fine answer ever takes on a busy machine, shorter than a slow one. */
const ATTEMPT_MS = 1_500;

let server: TestProcess;
let base: string;
const service = new ResilienceService({ clock: new SystemClock(), strategies: STRATEGY_CLASSES });
/** One signal for all calls, as a program that may be asked to stop has. */
const { signal } = new AbortController();
let inside = 0;
let mostInside = 0;

beforeAll(async () => {
  server = TestProcess.start('flaky server', process.execPath, [
    join(ROOT, 'tests', 'resilience', 'flaky-server.mjs'),
  ]);
  await vi.waitFor(() => expect(server.output).toMatch(/listening on \d+/), { timeout: 20_000 });
  base = `http://127.0.0.1:${/listening on (\d+)/.exec(server.output)?.[1] ?? ''}`;
  service.set(
    readPolicyDocument({
      name: 'flaky',
      strategies: [
        {
          type: 'retry',
          maxRetries: ATTEMPTS - 1,
          backoff: 'fixed',
          baseDelayMs: 5,
          budget: { minPerSecond: 100 },
        },
        { type: 'circuit-breaker', window: { kind: 'consecutive', failures: 6 }, breakMs: 300 },
        { type: 'bulkhead', concurrency: CONCURRENCY, queue: 100 },
        { type: 'timeout', timeoutMs: ATTEMPT_MS },
      ],
    }),
  );
});

afterAll(async () => {
  service.dispose();
  server.child.stdin?.end();
  await server.exited;
});

/** Straight to the server, with no policy. */
async function ask(path: string): Promise<{ works: number; open: number }> {
  const response = await fetch(`${base}${path}`);
  const text = await response.text();
  return text === '' ? { works: 0, open: 0 } : (JSON.parse(text) as { works: number; open: number });
}

/** One call under the policy. @returns its text, or the code or name of what it failed with. */
async function call(): Promise<string> {
  try {
    return await service.execute(
      'flaky',
      async (own) => {
        inside++;
        mostInside = Math.max(mostInside, inside);
        try {
          const response = await fetch(`${base}/work`, { signal: own });
          const text = await response.text();
          if (response.status >= 500) throw Object.assign(new Error(text), { status: response.status });
          return text;
        } finally {
          inside--;
        }
      },
      { key: KEY, signal },
    );
  } catch (error) {
    return isDwError(error) ? error.code : 'failed';
  }
}

const calls = (count: number): Promise<string[]> => Promise.all(Array.from({ length: count }, call));

const circuit = (): string => {
  const layer = service.show('flaky', KEY).keys[0]?.layers.find(({ type }) => type === 'circuit-breaker');
  return layer?.state?.['state'] as string;
};

describe('a policy around a server that is in trouble', () => {
  it.each(['error', 'reset', 'torn', 'hang', 'spikes'])(
    'opens its breaker on %s, spares the server while it is open, and recovers when the server does',
    async (mode) => {
      expect((await calls(20)).filter((text) => text === 'fine').length).toBe(20);
      expect(circuit()).toBe('closed');
      await ask(`/control?mode=${mode}`);
      const results = new Set<string>();
      await vi.waitFor(
        async () => {
          for (const text of await calls(20)) results.add(text);
          expect(results).toContain('circuit-open');
        },
        { timeout: 60_000, interval: 1 },
      );
      const known = new Set(['fine', 'failed', 'call-timeout', 'circuit-open']);
      expect([...results].filter((text) => !known.has(text))).toEqual([]);
      // By hand, so that no probe goes through while it is looked at.
      service.isolate('flaky', KEY, 'a test looks');
      await vi.waitFor(() => expect(service.policy('flaky').state().inFlight).toBe(0), { timeout: 20_000 });
      const before = (await ask('/seen')).works;
      expect(new Set(await calls(50))).toEqual(new Set(['circuit-isolated']));
      expect((await ask('/seen')).works).toBe(before);
      service.reset('flaky', KEY);
      // Ill still, so that it opens by itself again and has to find its own way back.
      await vi.waitFor(
        async () => {
          await calls(20);
          expect(circuit()).not.toBe('closed');
        },
        { timeout: 60_000, interval: 1 },
      );
      await ask('/control?mode=fine');
      await vi.waitFor(
        async () => {
          expect(await call()).toBe('fine');
          expect(circuit()).toBe('closed');
        },
        { timeout: 60_000, interval: 50 },
      );
    },
    180_000,
  );

  it('kept its bounds all the while, and left no call, no place, no listener and no connection', async () => {
    expect(mostInside).toBeGreaterThan(1);
    expect(mostInside).toBeLessThanOrEqual(CONCURRENCY);
    const { statistics } = service.show('flaky');
    expect(statistics.inFlight).toBe(0);
    expect(statistics.calls).toBe(statistics.successes + statistics.failures + statistics.rejections);
    for (const { counters } of statistics.strategies) {
      expect(counters['waiting'] ?? 0).toBe(0);
      expect(counters['inside'] ?? 0).toBe(0);
    }
    const { works } = await ask('/seen');
    expect(works).toBeLessThanOrEqual(statistics.calls * ATTEMPTS);
    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
    expect(inside).toBe(0);
    // Connections that may be used again are closed when they are not.
    await vi.waitFor(async () => expect((await ask('/seen')).open).toBe(0), {
      timeout: 60_000,
      interval: 250,
    });
  }, 120_000);
});
