import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldCall, StrategyBench, hold, turns } from '../strategy-bench.test.kit.js';
import type { RateLimitOptions } from './rate-limit-options.js';
import { RateLimitStrategy } from './rate-limit-strategy.js';

function options(changes: Partial<RateLimitOptions> = {}): RateLimitOptions {
  return {
    type: 'rate-limit',
    dryRun: false,
    algorithm: 'token-bucket',
    limit: 2,
    perMs: 100,
    burst: 0,
    maxWaitMs: 0,
    queue: 0,
    ...changes,
  };
}

function limitOf(changes: Partial<RateLimitOptions> = {}) {
  const bench = new StrategyBench();
  const limit = new RateLimitStrategy(options(changes), bench.context);
  bench.use(limit);
  /** Makes calls, and says which of them began. */
  const calls = async (count: number): Promise<boolean[]> => {
    const made = Array.from({ length: count }, () => new HeldCall(bench));
    await turns();
    return made.map(({ begun }) => begun);
  };
  const retryAfterMs = async (): Promise<number> => {
    const error: unknown = await bench.run(() => 'let in').catch((error: unknown) => error);
    return (error as { retryAfterMs: number }).retryAfterMs;
  };
  return { bench, limit, calls, retryAfterMs };
}

describe('a token bucket', () => {
  it('lets a burst in, then calls at its rate, and says exactly when the next may begin', async () => {
    const { bench, limit, calls, retryAfterMs } = limitOf({ limit: 3, burst: 2 });
    expect(await calls(3)).toEqual([true, true, false]);
    bench.clock.advance(20);
    const rest = await retryAfterMs();
    expect(rest).toBeCloseTo(100 / 3 - 20, 9);
    bench.clock.advance(rest - 0.001);
    expect(await calls(1)).toEqual([false]);
    bench.clock.advance(0.001);
    expect(await calls(2)).toEqual([true, false]);
    expect(limit.counters()).toMatchObject({ rejected: 4, waiting: 0 });
    expect(bench.events[0]).toMatchObject({ kind: 'acted', strategy: 'rate-limit', dryRun: false });
  });

  it('turns away with an error that says so', async () => {
    const { bench, calls } = limitOf({ limit: 1 });
    await calls(1);
    await expect(bench.run(() => 'never')).rejects.toMatchObject({
      code: 'rate-limited',
      status: 429,
      retryAfterMs: 100,
    });
  });

  it('holds no more than the burst after a gap of any length', async () => {
    const { bench, calls } = limitOf({ limit: 2 });
    await calls(2);
    bench.clock.advance(1e12);
    expect(await calls(3)).toEqual([true, true, false]);
  });

  it('may be forgotten only when it is full again', async () => {
    const { bench, calls } = limitOf({ limit: 2 });
    expect(bench.idle()).toBe(true);
    await calls(1);
    bench.clock.advance(49.9);
    expect(bench.idle()).toBe(false);
    bench.clock.advance(0.1);
    expect(bench.idle()).toBe(true);
  });

  it('keeps what was used when its limits are changed to and fro', async () => {
    const { bench, limit, calls } = limitOf({ limit: 4 });
    await calls(4);
    limit.configure(options({ limit: 100 }));
    limit.configure(options({ limit: 1 }));
    limit.configure(options({ limit: 4, algorithm: 'sliding-window' }));
    expect(await calls(1)).toEqual([false]);
    limit.configure(options({ limit: 4 }));
    expect(await calls(1)).toEqual([false]);
    // The new rate holds from the change on.
    bench.clock.advance(10);
    limit.configure(options({ limit: 100 }));
    bench.clock.advance(10);
    expect((await calls(12)).filter(Boolean)).toHaveLength(10);
  });

  it('reckons a key that was not used while the rate changed at the rates that were in force', async () => {
    const { bench, limit, calls } = limitOf({ limit: 20 });
    await calls(20);
    bench.clock.advance(10); // 2 tokens
    limit.configure(options({ limit: 100, burst: 20 }));
    bench.clock.advance(5); // 5 tokens
    limit.configure(options({ limit: 10, burst: 20 }));
    bench.clock.advance(30); // 3 tokens
    expect((await calls(20)).filter(Boolean)).toHaveLength(10);
  });
});

describe('a sliding window', () => {
  it('lets no more in than its limit in any window, and says exactly when the next may begin', async () => {
    const { bench, calls, retryAfterMs } = limitOf({ algorithm: 'sliding-window' });
    expect(await calls(1)).toEqual([true]);
    bench.clock.advance(99);
    expect(await calls(2)).toEqual([true, false]);
    expect(await retryAfterMs()).toBe(1);
    bench.clock.advance(1);
    expect(await calls(2)).toEqual([true, false]);
    expect(await retryAfterMs()).toBe(99);
  });

  it('may be forgotten only when nothing is in it', async () => {
    const { bench, calls } = limitOf({ algorithm: 'sliding-window' });
    await calls(1);
    bench.clock.advance(99.9);
    expect(bench.idle()).toBe(false);
    bench.clock.advance(0.1);
    expect(bench.idle()).toBe(true);
  });

  it('counts those that began already when its limit is changed', async () => {
    const { bench, limit, calls } = limitOf({ algorithm: 'sliding-window', limit: 4 });
    await calls(4);
    limit.configure(options({ algorithm: 'sliding-window', limit: 6 }));
    expect(await calls(3)).toEqual([true, true, false]);
    limit.configure(options({ algorithm: 'sliding-window', limit: 1 }));
    bench.clock.advance(99);
    expect(await calls(1)).toEqual([false]);
    bench.clock.advance(1);
    expect(await calls(2)).toEqual([true, false]);
  });
});

describe('waiting for a rate', () => {
  it('lets those in whose turn comes soon enough, at its time, and turns the others away', async () => {
    const { bench, limit } = limitOf({ limit: 1, maxWaitMs: 250, queue: 10 });
    const begun: number[] = [];
    const start = bench.clock.now();
    const made = Array.from(
      { length: 5 },
      () => new HeldCall(bench, { onBegin: () => begun.push(bench.clock.now() - start) }),
    );
    await turns();
    expect(limit.counters()).toMatchObject({ waiting: 2, queued: 2, rejected: 2 });
    expect(made[3]?.error).toMatchObject({ code: 'rate-limited', retryAfterMs: 300 });
    bench.clock.advance(1_000);
    expect(begun).toEqual([0, 100, 200]);
    expect(limit.counters()).toMatchObject({ waiting: 0, letInAfterWait: 2 });
    expect(bench.clock.pendingTimers()).toEqual([]);
  });

  it('lets no more wait than the queue holds, and frees the place of one that is cancelled', async () => {
    const { bench, limit } = limitOf({ limit: 1, maxWaitMs: 10_000, queue: 1 });
    const [, waits, full] = [new HeldCall(bench), new HeldCall(bench), new HeldCall(bench)];
    await turns();
    expect(full?.error).toMatchObject({ code: 'rate-limited' });
    waits?.cancel();
    await turns();
    expect(limit.counters()).toMatchObject({ waiting: 0, cancelledWaiting: 1 });
    expect(bench.clock.pendingTimers()).toEqual([]);
    const next = new HeldCall(bench);
    bench.clock.advance(100);
    expect([next.begun, waits?.begun]).toEqual([true, false]);
  });

  it('is not ended by a change; a higher rate lets in at once what it has room for', async () => {
    const { bench, limit } = limitOf({ limit: 1, perMs: 1_000, maxWaitMs: 10_000, queue: 5 });
    const made = Array.from({ length: 4 }, () => new HeldCall(bench));
    bench.clock.advance(100);
    limit.configure(options({ limit: 1, perMs: 1_000 }));
    await turns();
    expect(made.map(({ outcome }) => outcome)).toEqual(Array(4).fill('pending'));
    // From now on a token every 10 ms; 0.1 of one has come already.
    limit.configure(options({ limit: 1, perMs: 10 }));
    await turns();
    expect(bench.path('').layers[0]?.view?.(bench.clock.now())).toEqual({
      free: 0,
      waiting: 3,
      nextInMs: expect.closeTo(39, 6) as number,
    });
    bench.clock.advance(9);
    expect(made.map(({ begun }) => begun)).toEqual([true, true, false, false]);
    bench.clock.advance(20);
    expect(made.map(({ begun }) => begun)).toEqual([true, true, true, true]);
  });

  it('lets the higher priority in first', async () => {
    const { bench } = limitOf({ limit: 1, maxWaitMs: 10_000, queue: 5 });
    const order: number[] = [];
    for (const priority of [0, 1, 2, 1]) {
      hold(bench, { priority, onBegin: () => order.push(priority) });
    }
    bench.clock.advance(1_000);
    expect(order).toEqual([0, 2, 1, 1]);
  });

  it('takes the token when it is seen, though those let in make calls themselves', async () => {
    // A limiter that checks first and takes later lets in whoever comes between.
    const { bench } = limitOf({ limit: 2, maxWaitMs: 10_000, queue: 50 });
    const begun: number[] = [];
    const spawn = (depth: number): void => {
      hold(bench, {
        onBegin: () => {
          begun.push(bench.clock.now());
          if (depth > 0) for (let n = 0; n < 3; n++) spawn(depth - 1);
        },
      });
    };
    spawn(3);
    bench.clock.advance(99);
    expect(begun.length).toBeLessThanOrEqual(3);
    bench.clock.advance(10_000);
    expect(begun).toHaveLength(40);
    expectTokenBound(begun, 2, 2 / 100);
  });
});

describe('a dry run of a rate limit', () => {
  it('lets everything in and counts what it would do', async () => {
    const { bench, limit, calls } = limitOf({ limit: 1, dryRun: true, maxWaitMs: 100, queue: 5 });
    expect(await calls(4)).toEqual([true, true, true, true]);
    expect(limit.counters()).toMatchObject({ wouldQueue: 1, wouldReject: 2, rejected: 0, waiting: 0 });
    expect(bench.events).toHaveLength(2);
    expect(bench.events[0]).toMatchObject({ action: 'rejected', dryRun: true });
  });

  it('lets those in who wait when it begins', async () => {
    const { bench, limit } = limitOf({ limit: 1, maxWaitMs: 1_000, queue: 5 });
    const made = Array.from({ length: 4 }, () => new HeldCall(bench));
    limit.configure(options({ limit: 1, dryRun: true }));
    await turns();
    expect(made.every(({ begun }) => begun)).toBe(true);
    expect(bench.clock.pendingTimers()).toEqual([]);
  });
});

/** In any span no more begin than the burst and what has come meanwhile. */
function expectTokenBound(begun: readonly number[], burst: number, refill: number): void {
  let most = 0;
  begun.forEach((first, from) => {
    for (let to = from; to < begun.length; to++) {
      most = Math.max(most, to - from + 1 - ((begun[to] as number) - first) * refill);
    }
  });
  expect(most).toBeLessThanOrEqual(burst + 1e-6);
}

/** In no window that is open at its beginning more begin than the limit. */
function expectWindowBound(begun: readonly number[], limit: number, perMs: number): void {
  let shortest = Number.POSITIVE_INFINITY;
  for (let n = limit; n < begun.length; n++) {
    shortest = Math.min(shortest, (begun[n] as number) - (begun[n - limit] as number));
  }
  expect(shortest).toBeGreaterThanOrEqual(perMs - 1e-5);
}

const gaps = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 3, noNaN: true }),
  fc.double({ min: 0, max: 250, noNaN: true }),
);
const traffic = fc.array(
  fc.record({ gap: gaps, calls: fc.integer({ min: 0, max: 40 }), cancels: fc.boolean() }),
  { maxLength: 40 },
);
const settings = fc.record({
  limit: fc.integer({ min: 1, max: 150 }),
  perMs: fc.integer({ min: 1, max: 300 }),
  burst: fc.nat({ max: 30 }),
  maxWaitMs: fc.constantFrom(0, 50, 500),
  queue: fc.constantFrom(0, 5, 50),
});

async function play(
  given: Partial<RateLimitOptions>,
  steps: { gap: number; calls: number; cancels: boolean; change?: Partial<RateLimitOptions> | undefined }[],
) {
  const { bench, limit } = limitOf(given);
  const begun: { at: number; rate: RateLimitOptions }[] = [];
  const inForce = [{ from: bench.clock.now(), rate: limit.options }];
  const made: HeldCall[] = [];
  for (const { gap, calls, cancels, change } of steps) {
    bench.clock.advance(gap);
    if (change !== undefined) {
      limit.configure(options({ ...given, ...change }));
      inForce.push({ from: bench.clock.now(), rate: limit.options });
      await turns(8);
    }
    for (let n = 0; n < calls; n++) {
      const onBegin = (): void => void begun.push({ at: bench.clock.now(), rate: limit.options });
      made.push(new HeldCall(bench, { onBegin }));
    }
    if (cancels) made.at(-2)?.cancel();
    await turns(8);
  }
  bench.clock.advance(1e7);
  await turns(8);
  for (const held of made) held.finish();
  await turns(8);
  expect(made.every(({ settled }) => settled === 1)).toBe(true);
  expect(limit.counters()).toMatchObject({ waiting: 0 });
  expect(bench.clock.pendingTimers()).toEqual([]);
  expect(bench.idle()).toBe(true);
  return { begun, inForce };
}

describe('whatever the traffic is', () => {
  it('a token bucket lets no more begin in any span than its burst and what has come meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(settings, traffic, async (given, steps) => {
        const { begun } = await play({ ...given, algorithm: 'token-bucket' }, steps);
        const times = begun.map(({ at }) => at);
        expectTokenBound(times, given.burst === 0 ? given.limit : given.burst, given.limit / given.perMs);
      }),
      { numRuns: 60 },
    );
  });

  it('a sliding window lets no more begin in any window than its limit', async () => {
    await fc.assert(
      fc.asyncProperty(settings, traffic, async (given, steps) => {
        const { begun } = await play({ ...given, algorithm: 'sliding-window' }, steps);
        const times = begun.map(({ at }) => at);
        expectWindowBound(times, given.limit, given.perMs);
      }),
      { numRuns: 60 },
    );
  });

  it('changes of the limits to and fro let no more begin than the limits that were in force', async () => {
    const changes = fc.array(
      fc.record({
        gap: gaps,
        calls: fc.integer({ min: 0, max: 40 }),
        cancels: fc.boolean(),
        change: fc.option(
          fc.record({
            limit: fc.integer({ min: 1, max: 150 }),
            burst: fc.nat({ max: 30 }),
            perMs: fc.integer({ min: 1, max: 300 }),
          }),
          { nil: undefined },
        ),
      }),
      { maxLength: 40 },
    );
    const algorithms = fc.constantFrom('token-bucket' as const, 'sliding-window' as const);
    await fc.assert(
      fc.asyncProperty(settings, algorithms, changes, async (given, algorithm, steps) => {
        const { begun, inForce } = await play({ ...given, algorithm }, steps);
        const shortest = Math.min(...inForce.map(({ rate }) => rate.perMs));
        const burst = Math.max(...inForce.map(({ rate }) => rate.burst || rate.limit));
        /** Tokens that came from the beginning on. */
        const cameBy = (at: number): number =>
          inForce.reduce((sum, { from, rate }, n) => {
            const until = Math.min(at, inForce[n + 1]?.from ?? at);
            return sum + (Math.max(0, until - from) * rate.limit) / rate.perMs;
          }, 0);
        begun.forEach(({ at, rate }, n) => {
          if (algorithm === 'sliding-window') {
            const inWindow = begun.filter((other, m) => m <= n && other.at > at - shortest + 1e-5);
            expect(inWindow.length).toBeLessThanOrEqual(rate.limit);
          } else expect(n + 1).toBeLessThanOrEqual(burst + cameBy(at) + 1e-6);
        });
      }),
      { numRuns: 60 },
    );
  });
});
