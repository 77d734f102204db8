import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldCall, StrategyBench, turns } from '../strategy-bench.test.kit.js';
import { MAX_WAITING_PER_STRATEGY } from '../waiting/waiting-line.js';
import type { BulkheadOptions } from './bulkhead-options.js';
import { BulkheadStrategy } from './bulkhead-strategy.js';

function options(changes: Partial<BulkheadOptions> = {}): BulkheadOptions {
  return { type: 'bulkhead', dryRun: false, concurrency: 1, queue: 0, queueTimeoutMs: 0, ...changes };
}

function bulkheadOf(changes: Partial<BulkheadOptions> = {}) {
  const bench = new StrategyBench();
  const bulkhead = new BulkheadStrategy(options(changes), bench.context);
  bench.use(bulkhead);
  return { bench, bulkhead, call: (given = {}) => new HeldCall(bench, given) };
}

describe('a bulkhead', () => {
  it('lets as many in as it may, keeps as many waiting as it may, and turns the rest away', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ concurrency: 2, queue: 1 });
    const [a, b, c, d] = [call(), call(), call(), call()];
    await turns();
    expect([a, b, c, d].map(({ begun }) => begun)).toEqual([true, true, false, false]);
    expect(d.error).toMatchObject({ code: 'bulkhead-full', status: 429 });
    expect(bulkhead.counters()).toMatchObject({ inside: 2, waiting: 1, rejected: 1, queued: 1 });
    expect(bench.path('').layers[0]?.view?.(0)).toEqual({ inside: 2, waiting: 1 });
    expect(bench.events).toMatchObject([{ kind: 'acted', action: 'rejected', dryRun: false }]);
    a.finish();
    await turns();
    expect(c.begun).toBe(true);
    b.finish();
    c.finish();
    await turns();
    expect(bulkhead.counters()).toMatchObject({ inside: 0, waiting: 0, letInAfterWait: 1 });
    expect(bench.idle()).toBe(true);
  });

  it('has places for each key of its own', async () => {
    const { bench, bulkhead, call } = bulkheadOf();
    const [a, b] = [call({ key: 'a' }), call({ key: 'b' })];
    expect([a.begun, b.begun]).toEqual([true, true]);
    expect(bulkhead.counters()).toMatchObject({ inside: 2 });
    expect(bench.idle('a')).toBe(false);
  });

  it('lets the higher priority in first, and within one whoever came first', async () => {
    const { call } = bulkheadOf({ queue: 10 });
    const order: string[] = [];
    const first = call();
    const waiting = [
      ['low 1', 0],
      ['high 1', 5],
      ['no number', Number.NaN],
      ['high 2', 5],
      ['lowest', -1],
      ['highest', 1e9],
    ].map(([name, priority]) => call({ priority, onBegin: () => order.push(name as string) }));
    first.finish();
    for (let n = 0; n < waiting.length; n++) {
      await turns();
      for (const held of waiting) if (held.begun) held.finish();
    }
    expect(order).toEqual(['highest', 'high 1', 'high 2', 'low 1', 'no number', 'lowest']);
  });

  it('shows by the oldest wait that a flood of high priority starves a low one', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 10 });
    let inside = call();
    const low = call({ priority: 0 });
    for (let n = 0; n < 20; n++) {
      const next = call({ priority: 1 });
      bench.clock.advance(100);
      inside.finish();
      await turns();
      inside = next;
    }
    expect(low.begun).toBe(false);
    expect(bulkhead.counters()).toMatchObject({ waiting: 1, oldestWaitMs: 2_000 });
    inside.finish();
    await turns();
    expect(low.begun).toBe(true);
    expect(bulkhead.counters()).toMatchObject({ oldestWaitMs: 0 });
  });

  it('turns a waiter away after its own queue timeout, and not one that got its place', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 2, queueTimeoutMs: 50 });
    const first = call();
    const second = call();
    bench.clock.advance(20);
    const third = call();
    first.finish();
    await turns();
    bench.clock.advance(49.5);
    expect(third.outcome).toBe('pending');
    bench.clock.advance(0.5);
    await turns();
    expect(third.error).toMatchObject({ code: 'bulkhead-queue-timeout', status: 503 });
    expect(second.outcome).toBe('pending');
    expect(bulkhead.counters()).toMatchObject({ inside: 1, waiting: 0, queueTimeouts: 1 });
    bench.clock.advance(50);
    expect(bench.clock.pendingTimers()).toEqual([]);
  });

  it('only counts on a dry run', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 1, dryRun: true });
    const calls = [call(), call(), call()];
    expect(calls.every(({ begun }) => begun)).toBe(true);
    expect(bulkhead.counters()).toMatchObject({ inside: 3, wouldQueue: 1, wouldReject: 1, rejected: 0 });
    expect(bench.events).toMatchObject([{ kind: 'acted', action: 'rejected', dryRun: true }]);
    // Those that it let in count when it is no dry run any more.
    bulkhead.configure(options({ queue: 1 }));
    const next = call();
    calls[0]?.finish();
    calls[1]?.finish();
    await turns();
    expect(next.begun).toBe(false);
    calls[2]?.finish();
    await turns();
    expect(next.begun).toBe(true);
  });

  it('lets all waiters in when a dry run begins', async () => {
    const { bulkhead, call } = bulkheadOf({ queue: 5 });
    const calls = [call(), call(), call()];
    bulkhead.configure(options({ dryRun: true }));
    await turns();
    expect(calls.every(({ begun }) => begun)).toBe(true);
  });
});

describe('a waiter of a bulkhead', () => {
  it('that is cancelled leaves at once and frees its place in the queue', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 1, queueTimeoutMs: 100 });
    const first = call();
    const second = call();
    second.cancel();
    expect(bulkhead.counters()).toMatchObject({ inside: 1, waiting: 0, cancelledWaiting: 1 });
    const third = call();
    first.finish();
    await turns();
    expect([second.begun, third.begun]).toEqual([false, true]);
    expect(second.error).toMatchObject({ message: 'not wanted' });
    expect(bulkhead.counters()).toMatchObject({ rejected: 0, queueTimeouts: 0 });
    bench.clock.advance(200);
    await turns();
    expect(third.outcome).toBe('pending');
    expect(bulkhead.counters()).toMatchObject({ inside: 1, queueTimeouts: 0 });
  });

  it('that was accepted is not rejected when the queue, the concurrency or the timeout are lowered', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ concurrency: 2, queue: 3, queueTimeoutMs: 0 });
    const inside = [call(), call()];
    const waiting = [call(), call(), call()];
    bulkhead.configure(options({ concurrency: 1, queue: 0, queueTimeoutMs: 5 }));
    bench.clock.advance(1_000);
    await turns();
    expect([...inside, ...waiting].map(({ outcome }) => outcome)).toEqual(Array(5).fill('pending'));
    expect(call().begun).toBe(false);
    // Those inside count against the lower bound until they leave.
    inside[0]?.finish();
    await turns();
    expect(waiting.map(({ begun }) => begun)).toEqual([false, false, false]);
    inside[1]?.finish();
    await turns();
    expect(waiting.map(({ begun }) => begun)).toEqual([true, false, false]);
    for (const held of waiting) {
      held.finish();
      await turns();
    }
    expect(waiting.map(({ outcome }) => outcome)).toEqual(Array(3).fill('succeeded'));
  });

  it('gets in at once when the concurrency is raised, in order, whatever its key is', async () => {
    const { bulkhead, call } = bulkheadOf({ queue: 5 });
    const order: string[] = [];
    for (const name of ['a1', 'b1', 'a2', 'a3', 'b2', 'a4']) {
      call({ key: name.charAt(0), onBegin: () => order.push(name) });
    }
    expect(order).toEqual(['a1', 'b1']);
    bulkhead.configure(options({ concurrency: 3, queue: 5 }));
    // Not before whoever changes the policy is done with all of it.
    expect(order).toEqual(['a1', 'b1']);
    await turns();
    expect(order.filter((name) => name.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
    expect(order.filter((name) => name.startsWith('b'))).toEqual(['b1', 'b2']);
    expect(bulkhead.counters()).toMatchObject({ inside: 5, waiting: 1 });
  });

  it('comes before calls that are made while others are let in', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 5 });
    const order: string[] = [];
    call();
    // The first one let in makes a call itself, while there are places still.
    call({ onBegin: () => (order.push('first'), call({ onBegin: () => order.push('newcomer') })) });
    call({ onBegin: () => order.push('second') });
    bulkhead.configure(options({ concurrency: 3, queue: 5 }));
    await turns();
    expect(order).toEqual(['first', 'second']);
    expect(bench.endings).toEqual([]);
  });

  it('comes before a call that is made right after the change', async () => {
    const { bulkhead, call } = bulkheadOf({ queue: 5 });
    const order: string[] = [];
    call();
    call({ onBegin: () => order.push('waiter') });
    bulkhead.configure(options({ concurrency: 2, queue: 5 }));
    call({ onBegin: () => order.push('newcomer') });
    await turns();
    expect(order).toEqual(['waiter']);
  });

  it('is one of a bounded number over all keys', async () => {
    const { bulkhead, call } = bulkheadOf({ queue: 100_000 });
    const all = { size: MAX_WAITING_PER_STRATEGY };
    call();
    Object.assign(bulkhead.places.room, all);
    const more = call();
    await turns();
    expect(more.error).toMatchObject({ code: 'bulkhead-full' });
  });
});

describe('handing over places of a bulkhead', () => {
  it('does not deepen the stack, however many wait', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 50_000 });
    const first = call();
    const rest = Array.from({ length: 50_000 }, (_, n) => bench.run(() => n));
    first.finish();
    expect((await Promise.all(rest)).at(-1)).toBe(49_999);
    expect(bulkhead.counters()).toMatchObject({ inside: 0, waiting: 0, letInAfterWait: 50_000 });
  });

  it('goes to the next when all calls of one signal are cancelled together', async () => {
    const { bench, bulkhead, call } = bulkheadOf({ queue: 10 });
    const controller = new AbortController();
    const never = (): Promise<void> => new Promise(() => {});
    const cancelled = [1, 2, 3].map(() => bench.run(never, { signal: controller.signal }));
    const other = call();
    controller.abort(new Error('all of them'));
    await Promise.allSettled(cancelled);
    await turns();
    expect(other.begun).toBe(true);
    expect(bulkhead.counters()).toMatchObject({ inside: 1, waiting: 0 });
  });
});

/** What may be done to a bulkhead in a random run. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('call' as const),
        priority: fc.integer({ min: 0, max: 2 }),
        key: fc.constantFrom('a', 'b'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('finish' as const, 'break' as const, 'cancel' as const),
        which: fc.nat(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat({ max: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('configure' as const),
        concurrency: fc.integer({ min: 1, max: 4 }),
        queue: fc.nat({ max: 5 }),
        queueTimeoutMs: fc.constantFrom(0, 25),
      }),
    },
  ),
  { maxLength: 60 },
);

describe('under random schedules a bulkhead', () => {
  it('never has more inside than it may, keeps the order within a priority, and every accepted call settles once', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (schedule) => {
        const { bench, bulkhead } = bulkheadOf({ concurrency: 2, queue: 2 });
        const calls: { held: HeldCall; accepted: boolean; ownTimeout: number }[] = [];
        const waiting = new Map<string, { id: number; priority: number }[]>([
          ['a', []],
          ['b', []],
        ]);
        const inside = new Map([
          ['a', 0],
          ['b', 0],
        ]);
        const leave = (key: string): void => void inside.set(key, (inside.get(key) ?? 0) - 1);
        const forget = (key: string, id: number): void => {
          const line = waiting.get(key) ?? [];
          const at = line.findIndex((waiter) => waiter.id === id);
          if (at !== -1) line.splice(at, 1);
        };
        for (const step of schedule) {
          if (step.do === 'call') {
            const id = calls.length;
            const { key, priority } = step;
            const held = new HeldCall(bench, {
              key,
              priority,
              onBegin: () => {
                const mine = waiting.get(key)?.find((waiter) => waiter.id === id);
                const before = (waiting.get(key) ?? []).filter(
                  (other) => other.priority > priority || (other.priority === priority && other.id < id),
                );
                // Nobody who is waiting comes before it.
                expect(before, `call ${id}${mine === undefined ? ' did not wait' : ''}`).toEqual([]);
                forget(key, id);
                inside.set(key, (inside.get(key) ?? 0) + 1);
                expect(inside.get(key)).toBeLessThanOrEqual(bulkhead.options.concurrency);
              },
              onEnd: () => leave(key),
            });
            await turns();
            const accepted = held.outcome === 'pending';
            calls.push({ held, accepted, ownTimeout: bulkhead.options.queueTimeoutMs });
            if (accepted && !held.begun) waiting.get(key)?.push({ id, priority });
            void held.done.then(() => forget(key, id));
          } else if (step.do === 'advance') bench.clock.advance(step.ms);
          else if (step.do === 'settle') await turns();
          else if (step.do === 'configure') {
            const { do: _do, ...changes } = step;
            bulkhead.configure(options(changes));
            await turns();
          } else calls[step.which % Math.max(1, calls.length)]?.held[step.do](new Error('broken'));
          await turns();
          let insideNow = 0;
          for (const count of inside.values()) insideNow += count;
          expect(bulkhead.counters()['inside']).toBe(insideNow);
        }
        // Everybody who is still there ends, and nothing is left.
        for (let round = 0; round <= calls.length; round++) {
          for (const { held } of calls) held.finish();
          await turns();
        }
        for (const { held, accepted, ownTimeout } of calls) {
          expect(held.settled).toBe(1);
          const code = (held.error as { code?: string } | undefined)?.code;
          if (accepted) expect(code).not.toBe('bulkhead-full');
          if (code === 'bulkhead-queue-timeout') expect(ownTimeout).toBeGreaterThan(0);
        }
        expect(bulkhead.counters()).toMatchObject({ inside: 0, waiting: 0, oldestWaitMs: 0 });
        expect([bench.idle('a'), bench.idle('b')]).toEqual([true, true]);
        bench.clock.advance(25);
        expect(bench.clock.pendingTimers()).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});
