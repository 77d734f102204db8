import { DwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { tryAnswered } from '../errors.js';
import { readPolicyDocument } from '../policy/document.js';
import { ResilienceService } from '../policy/resilience-service.js';
import { STRATEGY_CLASSES } from '../policy/strategy-classes.js';
import type { TryRequest } from './try-request.js';
import type { TryEvent, TryOptions } from './try-run.js';
import { MAX_RUN_MS, TryRun } from './try-run.js';

const OPTIONS: TryOptions = {
  policy: 'p',
  url: 'http://127.0.0.1:1/',
  method: 'GET',
  calls: 5,
  concurrency: 1,
  intervalMs: 100,
  key: 'try',
};
const BREAKER = {
  type: 'circuit-breaker',
  window: { kind: 'consecutive', failures: 2 },
  breakMs: 250,
};

function setUp(request: TryRequest, strategies: readonly object[] = [BREAKER]) {
  const clock = new FakeClock();
  const service = new ResilienceService({ clock, strategies: STRATEGY_CLASSES });
  service.set(readPolicyDocument({ name: 'p', strategies }));
  const controller = new AbortController();
  const start = (options: Partial<TryOptions> = {}): TryRun =>
    new TryRun({ service, clock, request }, { ...OPTIONS, ...options }, controller.signal);
  return { clock, service, controller, start };
}

async function readAll(run: TryRun, into: TryEvent[]): Promise<void> {
  for await (const event of run.events()) into.push(event);
}

const failing: TryRequest = async (_url, _method, _signal, answered) => {
  answered(503);
  throw tryAnswered(503, undefined);
};

describe('trying a policy', () => {
  it('shows a breaker open, turn calls away, probe, and open again', async () => {
    const { clock, start } = setUp(failing);
    const run = start();
    const seen: TryEvent[] = [];
    const reading = readAll(run, seen);
    await clock.advanceAsync(2_000);
    await reading;
    const short = seen.map((event) =>
      event.kind === 'call'
        ? `call ${event.n} ${event.outcome} ${event.status ?? event.code ?? ''} ${event.attempts} ${event.circuit ?? ''}`
        : event.kind === 'circuit'
          ? `${event.previous} → ${event.current}`
          : event.kind,
    );
    expect(short).toEqual([
      'start',
      'call 1 failed 503 1 closed',
      'closed → open',
      'call 2 failed 503 1 open',
      'call 3 rejected circuit-open 0 open',
      'call 4 rejected circuit-open 0 open',
      'open → half-open',
      'half-open → open',
      'call 5 failed 503 1 open',
      'done',
    ]);
    expect(seen[0]).toMatchObject({ ...OPTIONS, circuit: 'closed' });
    expect(seen.at(-1)).toMatchObject({
      ended: 'all-made',
      calls: 5,
      failed: 3,
      rejected: 2,
      succeeded: 0,
      attempts: 3,
    });
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('counts the attempts of a call, and tells of the last answer', async () => {
    let asked = 0;
    const twice: TryRequest = async (_url, _method, _signal, answered) => {
      answered(++asked % 2 === 1 ? 500 : 200);
      if (asked % 2 === 1) throw tryAnswered(500, undefined);
    };
    const { clock, start } = setUp(twice, [{ type: 'retry', baseDelayMs: 1 }]);
    const seen: TryEvent[] = [];
    const reading = readAll(start({ calls: 1 }), seen);
    await clock.advanceAsync(10);
    await reading;
    expect(seen[1]).toMatchObject({ outcome: 'succeeded', attempts: 2, status: 200, circuit: null });
  });

  it('makes no more calls at once than asked for', async () => {
    let under = 0;
    let most = 0;
    const slow: TryRequest = async () => {
      most = Math.max(most, ++under);
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 10));
      under--;
    };
    const { clock, start } = setUp(slow);
    const seen: TryEvent[] = [];
    const reading = readAll(start({ calls: 20, concurrency: 4, intervalMs: 0 }), seen);
    await clock.advanceAsync(1_000);
    await reading;
    expect(most).toBe(4);
    expect(seen.at(-1)).toMatchObject({ calls: 20, succeeded: 20 });
  });

  it('begins no further call while nobody reads', async () => {
    let asked = 0;
    const quick: TryRequest = async () => void asked++;
    const { clock, start, controller } = setUp(quick);
    const run = start({ calls: 10_000, intervalMs: 0 });
    await clock.advanceAsync(1_000);
    expect(asked).toBe(255);
    const events = run.events();
    for (let n = 0; n < 100; n++) await events.next();
    await clock.advanceAsync(0);
    expect(asked).toBeGreaterThan(300);
    expect(asked).toBeLessThan(400);
    controller.abort(new Error('the reader has gone'));
    await run.ended;
    await events.return(undefined);
  });

  it('ends at once, and gives the call under way up, when the reader goes', async () => {
    let told: unknown;
    const hanging: TryRequest = (_url, _method, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          told = signal.reason;
          reject(signal.reason as Error);
        });
      });
    const { clock, service, start } = setUp(hanging);
    const run = start();
    const events = run.events();
    await events.next();
    await events.return(undefined);
    await run.ended;
    expect(told).toMatchObject({ code: 'try-run-over' });
    expect(service.policy('p').statistics()).toMatchObject({ cancelled: 1, failures: 0, inFlight: 0 });
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('ends after its longest time, and says so', async () => {
    const { clock, start } = setUp(async () => {});
    const seen: TryEvent[] = [];
    const reading = readAll(start({ calls: 10_000, intervalMs: 60_000 }), seen);
    await clock.advanceAsync(MAX_RUN_MS);
    await reading;
    expect(seen.at(-1)).toMatchObject({ ended: 'out-of-time', calls: 5, ms: MAX_RUN_MS });
  });

  it('of a policy that is not there is refused', () => {
    const { start } = setUp(failing);
    expect(() => start({ policy: 'none' })).toThrow(DwError);
  });
});
