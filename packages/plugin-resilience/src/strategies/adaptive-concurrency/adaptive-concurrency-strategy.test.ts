import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { optionsOf } from '../row.test.kit.js';
import { HeldCall, StrategyBench, hold, turns } from '../strategy-bench.test.kit.js';
import type { AdaptiveConcurrencyOptions } from './adaptive-concurrency-options.js';
import { ADAPTIVE_CONCURRENCY_OPTIONS } from './adaptive-concurrency-options.js';
import { AdaptiveConcurrencyStrategy, FORGOTTEN_AFTER_MS } from './adaptive-concurrency-strategy.js';

function options(changes: Partial<AdaptiveConcurrencyOptions> = {}): AdaptiveConcurrencyOptions {
  return optionsOf(ADAPTIVE_CONCURRENCY_OPTIONS, changes);
}

function adaptiveOf(changes: Partial<AdaptiveConcurrencyOptions> = {}) {
  const bench = new StrategyBench();
  const adaptive = new AdaptiveConcurrencyStrategy(options(changes), bench.context);
  bench.use(adaptive);
  // There is one key from the beginning, so that the sum of limits is its limit.
  bench.path('');
  const call = (given = {}): HeldCall => hold(bench, given);
  /** So many rounds of calls, as many at once as there may be, that end in one way after so long. */
  const rounds = async (count: number, ms: number, end: 'finish' | 'break' | 'cancel'): Promise<void> => {
    for (let round = 0; round < count; round++) {
      const { limits } = adaptive;
      const made = Array.from({ length: limits }, () => call());
      bench.clock.advance(ms);
      for (const held of made) held[end](new Error('broken'));
      await turns();
    }
  };
  return { bench, adaptive, call, rounds };
}

describe('an adaptive limit', () => {
  it('lets as many in as the limit is, keeps as many waiting as it may, and turns the rest away', async () => {
    const { adaptive, call } = adaptiveOf({ initial: 2, queue: 1 });
    const calls = [call(), call(), call(), call()];
    await turns();
    expect(calls.map(({ begun }) => begun)).toEqual([true, true, false, false]);
    expect(calls[3]?.error).toMatchObject({ code: 'concurrency-limited', status: 429 });
    expect(adaptive.counters()).toMatchObject({ inside: 2, waiting: 1, rejected: 1, keys: 1, limits: 2 });
    calls[0]?.finish();
    await turns();
    expect(calls[2]?.begun).toBe(true);
    calls[1]?.finish();
    calls[2]?.cancel();
    await turns();
    expect(adaptive.counters()).toMatchObject({ inside: 0, waiting: 0 });
  });

  it('is raised while calls are as fast as ever, and tells so', async () => {
    const { bench, adaptive, rounds } = adaptiveOf();
    await rounds(100, 10, 'finish');
    expect(adaptive.limits).toBeGreaterThan(20);
    expect(adaptive.counters()).toMatchObject({ decreases: 0 });
    const told = bench.events.filter(({ kind }) => kind === 'adapted');
    expect(told[0]).toMatchObject({ limit: 'concurrency', previous: 20, current: 22 });
  });

  it('is lowered by calls that are given up: those that never end count, too', async () => {
    // A limiter that measures only answers learns nothing from a server that does not answer.
    const { adaptive, rounds } = adaptiveOf();
    await rounds(20, 10, 'finish');
    const before = adaptive.limits;
    await rounds(30, 1_000, 'cancel');
    expect(adaptive.limits).toBeLessThan(before / 2);
  });

  it('is lowered by calls that fail slowly, and not raised by those that fail fast', async () => {
    const { adaptive, rounds } = adaptiveOf();
    await rounds(20, 10, 'finish');
    const before = adaptive.limits;
    await rounds(30, 1, 'break');
    expect(adaptive.limits).toBe(before);
    await rounds(30, 1_000, 'break');
    expect(adaptive.limits).toBeLessThan(before / 2);
  });

  it('keeps to new bounds at once, keeps those inside, and lets waiters in when they are raised', async () => {
    const { bench, adaptive, call } = adaptiveOf({ initial: 4, queue: 5 });
    const calls = Array.from({ length: 6 }, () => call());
    adaptive.configure(options({ max: 2 }));
    await turns();
    expect(calls.map(({ outcome }) => outcome)).toEqual(Array(6).fill('pending'));
    expect(calls.map(({ begun }) => begun)).toEqual([true, true, true, true, false, false]);
    calls[0]?.finish();
    calls[1]?.finish();
    await turns();
    expect(calls[4]?.begun).toBe(false);
    adaptive.configure(options({ min: 4 }));
    await turns();
    expect(bench.path('').layers[0]?.view?.(0)).toEqual({ limit: 4, inside: 4, waiting: 0 });
    expect([calls[4]?.begun, calls[5]?.begun]).toEqual([true, true]);
    expect(bench.idle()).toBe(false);
  });

  it('may be forgotten when what was learned is old', async () => {
    const { bench, adaptive, rounds } = adaptiveOf();
    expect(bench.idle()).toBe(true);
    await rounds(1, 10, 'finish');
    bench.clock.advance(FORGOTTEN_AFTER_MS - 1);
    expect(bench.idle()).toBe(false);
    bench.clock.advance(1);
    expect(bench.idle()).toBe(true);
    for (const layer of bench.path('').layers) adaptive.forget(layer);
    expect(adaptive.counters()).toMatchObject({ keys: 0, limits: 0 });
  });

  it('only counts on a dry run, and learns', async () => {
    const { bench, adaptive, call } = adaptiveOf({ initial: 2, queue: 1, dryRun: true });
    const calls = Array.from({ length: 40 }, () => call());
    expect(calls.every(({ begun }) => begun)).toBe(true);
    expect(adaptive.counters()).toMatchObject({ wouldQueue: 1, wouldReject: 37, rejected: 0 });
    for (let round = 0; round < 12; round++) {
      bench.clock.advance(100);
      for (const held of calls.splice(0)) held.finish();
      await turns();
      calls.push(...Array.from({ length: 40 }, () => call()));
    }
    expect(adaptive.limits).toBeGreaterThan(2);
  });
});

describe('under random schedules an adaptive limit', () => {
  it('never lets more in than the limit is, and every accepted call settles once', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant('call' as const) }),
        fc.record({
          do: fc.constantFrom('finish' as const, 'break' as const, 'cancel' as const),
          which: fc.nat(),
        }),
        fc.record({ do: fc.constant('advance' as const), ms: fc.nat({ max: 300 }) }),
        fc.record({ do: fc.constant('bounds' as const), min: fc.integer({ min: 1, max: 4 }) }),
      ),
      { maxLength: 120 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (schedule) => {
        const { bench, adaptive } = adaptiveOf({ initial: 3, min: 1, max: 6, queue: 3 });
        const calls: HeldCall[] = [];
        let accepted = 0;
        for (const step of schedule) {
          const before = adaptive.counters()['inside'] as number;
          if (step.do === 'call') calls.push(new HeldCall(bench));
          else if (step.do === 'advance') bench.clock.advance(step.ms);
          else if (step.do === 'bounds') {
            adaptive.configure(options({ min: step.min, max: 6, queue: 3 }));
          } else {
            calls[step.which % Math.max(1, calls.length)]?.[step.do](new Error('broken'));
          }
          await turns();
          const { inside, waiting } = adaptive.counters() as { inside: number; waiting: number };
          if (inside > before)
            expect(inside).toBeLessThanOrEqual(Math.max(adaptive.limits, adaptive.options.min));
          expect(inside + waiting).toBe(calls.filter(({ outcome }) => outcome === 'pending').length);
          accepted = calls.filter(({ error }) => code(error) !== 'concurrency-limited').length;
        }
        for (let round = 0; round <= calls.length; round++) {
          for (const held of calls) held.finish();
          await turns();
        }
        expect(calls.map(({ settled }) => settled)).toEqual(calls.map(() => 1));
        expect(calls.filter(({ error }) => code(error) !== 'concurrency-limited')).toHaveLength(accepted);
        expect(adaptive.counters()).toMatchObject({ inside: 0, waiting: 0 });
      }),
      { numRuns: 100 },
    );
  });
});

function code(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
