import { nextTurn } from '@datawarehouse/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TimeoutStrategy } from '../timeout/timeout-strategy.js';
import { TIMEOUT_OPTIONS } from '../timeout/timeout-options.js';
import { optionsOf } from '../row.test.kit.js';
import { HeldCall, StrategyBench, hold, turns } from '../strategy-bench.test.kit.js';
import { CoalesceStrategy, MAX_ANSWERED_PER_TURN, MAX_CALLERS, MAX_RUNS } from './coalesce-strategy.js';

function coalesceOf(dryRun = false) {
  const bench = new StrategyBench();
  const coalesce = new CoalesceStrategy({ type: 'coalesce', dryRun }, bench.context);
  bench.use(coalesce);
  return { bench, coalesce, call: (given = {}) => hold(bench, given) };
}

describe('equal calls', () => {
  it('share one run and its value, the very object', async () => {
    const { bench, coalesce } = coalesceOf();
    let finish: ((value: object) => void) | undefined;
    let runs = 0;
    const action = (): Promise<object> => {
      runs++;
      return new Promise((resolve) => (finish = resolve));
    };
    const results = [1, 2, 3].map(() => bench.run(action, { identity: 'user 7' }));
    expect(coalesce.counters()).toMatchObject({ runs: 1, joined: 2, underWay: 1, callers: 3 });
    expect(bench.path('').layers[0]?.view?.(0)).toEqual({ underWay: 1, callers: 3 });
    expect(bench.idle()).toBe(false);
    const value = { name: 'seven' };
    finish?.(value);
    for (const result of await Promise.all(results)) expect(result).toBe(value);
    expect(runs).toBe(1);
    expect(coalesce.counters()).toMatchObject({ underWay: 0, callers: 0, abandonedRuns: 0 });
    expect(bench.endings).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(bench.idle()).toBe(true);
  });

  it('share an error, the very object', async () => {
    const { bench } = coalesceOf();
    const error = new Error('not there');
    const results = await Promise.allSettled([1, 2].map(() => bench.run(() => Promise.reject(error))));
    expect(results).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    expect((results[0] as PromiseRejectedResult).reason).toBe(error);
  });

  it('of thousands of callers are answered in order, a slice in each turn, but those that were given up meanwhile', async () => {
    const { bench, coalesce, call } = coalesceOf();
    const answered: number[] = [];
    const calls = Array.from({ length: 3_000 }, (_, n) => {
      const held = call();
      void held.done.then(() => answered.push(n));
      return held;
    });
    calls[0]?.finish('all');
    await turns(100);
    expect(answered.length).toBe(MAX_ANSWERED_PER_TURN);
    expect(bench.idle()).toBe(false);
    for (const given of calls.slice(2_000, 2_500)) given.cancel();
    for (let n = 0; n < 4; n++) await nextTurn(bench.clock);
    await turns();
    expect(calls.filter(({ outcome }) => outcome === 'succeeded').length).toBe(2_500);
    expect(calls.every(({ settled }) => settled === 1)).toBe(true);
    expect(answered.slice(0, 1_024).every((n, at) => n === at)).toBe(true);
    expect(coalesce.counters()).toMatchObject({ underWay: 0, callers: 0 });
    expect(bench.idle()).toBe(true);
  });

  it('are those with the same identity, or the same key if there is none, of one key', async () => {
    const { coalesce, call } = coalesceOf();
    const calls = [
      call({ identity: 'a' }),
      call({ identity: 'b' }),
      call({ identity: 'a', key: 'other' }),
      call({ key: 'third' }),
      call({ key: 'third' }),
    ];
    await turns();
    expect(calls.map(({ begun }) => begun)).toEqual([true, true, true, true, false]);
    expect(coalesce.counters()).toMatchObject({ runs: 4, joined: 1 });
  });

  it('that come after the run has ended begin a new one', async () => {
    const { coalesce, call } = coalesceOf();
    const first = call();
    first.break(new Error('once'));
    await turns();
    const second = call();
    expect([first.outcome, second.begun]).toEqual(['failed', true]);
    second.finish();
    await turns();
    expect(second.outcome).toBe('succeeded');
    expect(coalesce.counters()).toMatchObject({ runs: 2, joined: 0 });
  });

  it('are cancelled alone, the first one too; the run goes on for the others', async () => {
    const { coalesce, call } = coalesceOf();
    const [first, second, third] = [call(), call(), call()];
    first.cancel();
    third.cancel();
    await turns();
    expect([first, second, third].map(({ outcome }) => outcome)).toEqual(['failed', 'pending', 'failed']);
    expect(coalesce.counters()).toMatchObject({ callers: 1, abandonedRuns: 0 });
    // The run is that of the first caller's action.
    first.finish();
    await turns();
    expect(second.outcome).toBe('succeeded');
  });

  it('cancel the run when the last of them is cancelled, and the next one begins anew', async () => {
    const { bench, coalesce } = coalesceOf();
    const aborted: unknown[] = [];
    const action = (signal: AbortSignal): Promise<never> => {
      signal.addEventListener('abort', () => aborted.push((signal.reason as Error).message));
      return new Promise(() => {});
    };
    const controllers = [new AbortController(), new AbortController()];
    const results = controllers.map(({ signal }) => bench.run(action, { signal }));
    controllers[0]?.abort(new Error('first gone'));
    expect(aborted).toEqual([]);
    controllers[1]?.abort(new Error('second gone'));
    expect(aborted).toEqual(['second gone']);
    await Promise.allSettled(results);
    expect(coalesce.counters()).toMatchObject({ underWay: 0, callers: 0, abandonedRuns: 1 });
    await expect(bench.run(() => 'anew')).resolves.toBe('anew');
    expect(bench.endings).toEqual(['cancelled', 'cancelled', 'succeeded']);
  });

  it('are given up alone by a timeout of their own', async () => {
    const bench = new StrategyBench();
    const coalesce = new CoalesceStrategy({ type: 'coalesce', dryRun: false }, bench.context);
    bench.use(new TimeoutStrategy(optionsOf(TIMEOUT_OPTIONS, { timeoutMs: 100 }), bench.context), coalesce);
    const first = hold(bench);
    bench.clock.advance(60);
    const second = hold(bench);
    bench.clock.advance(40);
    await turns();
    expect([first.outcome, second.outcome]).toEqual(['failed', 'pending']);
    first.finish();
    await turns();
    expect(second.outcome).toBe('succeeded');
  });

  it('go alone when there are as many runs or callers as there may be', async () => {
    const { coalesce, call } = coalesceOf();
    coalesce.underWay = MAX_RUNS;
    const [alone, too] = [call(), call()];
    expect([alone.begun, too.begun]).toEqual([true, true]);
    coalesce.underWay = 0;
    const first = call();
    coalesce.callers = MAX_CALLERS;
    const full = call();
    expect(full.begun).toBe(true);
    coalesce.callers = 1;
    for (const held of [alone, too, first, full]) held.finish();
    await turns();
    expect(coalesce.counters()).toMatchObject({ alone: 3, underWay: 0, callers: 0 });
  });
});

describe('a dry run of coalescing', () => {
  it('lets every call run by itself, and counts those that would have joined', async () => {
    const { bench, coalesce, call } = coalesceOf(true);
    const calls = [call(), call(), call({ identity: 'other' })];
    expect(calls.every(({ begun }) => begun)).toBe(true);
    expect(bench.idle()).toBe(false);
    calls[0]?.finish();
    calls[1]?.cancel();
    calls[2]?.finish();
    await turns();
    call();
    expect(coalesce.counters()).toMatchObject({ wouldJoin: 1, runs: 0, joined: 0 });
    expect(bench.events).toMatchObject([{ action: 'joined', dryRun: true }]);
  });

  it('leaves those who share a run already to it', async () => {
    const { bench, coalesce, call } = coalesceOf();
    const [first, second] = [call(), call()];
    coalesce.configure({ type: 'coalesce', dryRun: true });
    const third = call();
    expect(third.begun).toBe(true);
    first.finish();
    third.finish();
    await turns();
    expect([first, second, third].map(({ outcome }) => outcome)).toEqual(Array(3).fill('succeeded'));
    expect(bench.idle()).toBe(true);
  });
});

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('call' as const), identity: fc.constantFrom('a', 'b') }),
    fc.record({
      do: fc.constantFrom('finish' as const, 'break' as const, 'cancel' as const),
      which: fc.nat(),
    }),
    fc.record({ do: fc.constant('settle' as const) }),
    fc.record({ do: fc.constant('dry' as const), dryRun: fc.boolean() }),
  ),
  { maxLength: 40 },
);

describe('under random schedules', () => {
  it('no two runs of one identity are under way, every call settles once, and no run outlives its callers', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), async (schedule, changes) => {
        const { bench, coalesce } = coalesceOf();
        const calls: HeldCall[] = [];
        const running = new Map<string, number>();
        for (const step of schedule) {
          if (step.do === 'call') {
            const { identity } = step;
            const move = (by: number) => () => void running.set(identity, (running.get(identity) ?? 0) + by);
            calls.push(new HeldCall(bench, { identity, onBegin: move(1), onEnd: move(-1) }));
          } else if (step.do === 'dry') {
            if (changes) coalesce.configure({ type: 'coalesce', dryRun: step.dryRun });
          } else if (step.do !== 'settle') {
            calls[step.which % Math.max(1, calls.length)]?.[step.do](new Error('broken'));
          }
          if (step.do === 'settle' || step.do === 'dry') await turns();
          if (!changes) {
            expect(running.get('a') ?? 0).toBeLessThanOrEqual(1);
            expect(running.get('b') ?? 0).toBeLessThanOrEqual(1);
          }
          await turns();
          const { underWay, callers } = coalesce.counters();
          expect(underWay).toBeLessThanOrEqual(callers as number);
          if (!changes) {
            const pending = calls.filter(({ outcome }) => outcome === 'pending');
            expect(callers).toBe(pending.length);
            const actions = (running.get('a') ?? 0) + (running.get('b') ?? 0);
            expect(actions).toBe(underWay);
          }
        }
        for (const held of calls) held.finish();
        await turns();
        expect(calls.map(({ settled }) => settled)).toEqual(calls.map(() => 1));
        expect(coalesce.counters()).toMatchObject({ underWay: 0, callers: 0 });
        expect(bench.idle()).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});
