// Ten thousand random changes of a policy while calls are under way: no accepted call is lost or ends twice, no limit is
// passed by more than what was in flight when it was lowered, an open breaker stays open for its remaining time, and a
// change that is refused changes nothing.

import { isDwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPolicyDocument } from '#resilience/policy/document.js';
import type { Policy } from '#resilience/policy/policy.js';
import { ResilienceService } from '#resilience/policy/resilience-service.js';
import { STRATEGY_CLASSES } from '#resilience/policy/strategy-classes.js';

/** Changes in one run. */
const CHANGES = 200;
const KEYS = ['a', 'b', 'c'];

type Options = Readonly<Record<string, unknown>>;

interface CallPlan {
  readonly key: string;
  readonly takesMs: number;
  readonly fails: boolean;
  /** Given up after so many ms; never when 0. */
  readonly leavesAfterMs: number;
}

interface StepPlan {
  readonly strategies: readonly Options[];
  readonly acceptable: boolean;
  readonly calls: readonly CallPlan[];
  readonly passMs: number;
}

const bulkhead = fc.record({
  type: fc.constant('bulkhead'),
  concurrency: fc.integer({ min: 1, max: 4 }),
  queue: fc.integer({ min: 0, max: 6 }),
});
/** Those in which a call that waits in the bulkhead is in the only place where it could wait. */
const plainOnes: fc.Arbitrary<Options>[] = [
  fc.record({
    type: fc.constant('circuit-breaker'),
    breakMs: fc.integer({ min: 1, max: 80 }),
    window: fc.record({ kind: fc.constant('consecutive'), failures: fc.integer({ min: 2, max: 4 }) }),
  }),
  fc.record({ type: fc.constant('timeout'), name: fc.constant('total'), timeoutMs: fc.constant(200) }),
];
const allOnes: fc.Arbitrary<Options>[] = [
  ...plainOnes,
  fc.record({
    type: fc.constant('retry'),
    maxRetries: fc.integer({ min: 0, max: 2 }),
    baseDelayMs: fc.integer({ min: 0, max: 20 }),
    budget: fc.constant(null),
  }),
  fc.record({ type: fc.constant('timeout'), timeoutMs: fc.integer({ min: 1, max: 60 }) }),
  fc.record({
    type: fc.constant('rate-limit'),
    limit: fc.integer({ min: 20, max: 50 }),
    queue: fc.integer({ min: 0, max: 3 }),
    maxWaitMs: fc.constant(50),
  }),
  fc.record({ type: fc.constant('fallback'), value: fc.constant('instead') }),
  fc.record({ type: fc.constant('coalesce') }),
  fc.record({ type: fc.constant('hedge'), delayMs: fc.integer({ min: 5, max: 30 }) }),
];

const call: fc.Arbitrary<CallPlan> = fc.record({
  key: fc.constantFrom(...KEYS),
  takesMs: fc.integer({ min: 0, max: 40 }),
  fails: fc.boolean(),
  leavesAfterMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
});

/** A step whose policy has the bulkhead and some of the others, in any order. */
function stepOf(others: readonly fc.Arbitrary<Options>[]): fc.Arbitrary<StepPlan> {
  const orders = { minLength: others.length + 1, maxLength: others.length + 1 };
  return fc
    .record({
      gate: bulkhead,
      chosen: fc.tuple(...others.map((one) => fc.option(one, { nil: undefined }))),
      order: fc.array(fc.nat(), orders),
      acceptable: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
      calls: fc.array(call, { maxLength: 4 }),
      passMs: fc.integer({ min: 0, max: 15 }),
    })
    .map(({ gate, chosen, order, ...rest }) => {
      const present: Options[] = [gate, ...chosen.filter((one) => one !== undefined)];
      const strategies = present
        .map((strategy, n) => ({ strategy, place: order[n] as number }))
        .sort((one, other) => one.place - other.place)
        .map(({ strategy }) => strategy);
      return { strategies, ...rest };
    });
}

/** A policy under load, and what is known of each key. */
class Load {
  readonly clock = new FakeClock();
  readonly service = new ResilienceService({
    clock: this.clock,
    random: () => 0.5,
    strategies: STRATEGY_CLASSES,
  });
  begun = 0;
  settled = 0;
  /** Calls that were let wait, and turned away later because there was no room. */
  thrownOut = 0;
  /** Places that may be held in the gate of each key: its concurrency, or what was held when that was lowered. */
  private readonly bounds = new Map<string, number>(KEYS.map((key) => [key, 0]));
  private concurrency = 1;

  change({ strategies, acceptable }: StepPlan): void {
    if (!acceptable) {
      this.refused(strategies);
      return;
    }
    const circuits = this.circuits();
    this.service.set(readPolicyDocument({ name: 'p', strategies }));
    this.concurrency = strategies.find(({ type }) => type === 'bulkhead')?.concurrency as number;
    const after = this.circuits();
    for (const [key, circuit] of circuits) if (after.has(key)) expect(after.get(key)).toEqual(circuit);
  }

  begin({ key, takesMs, fails, leavesAfterMs }: CallPlan): void {
    const { clock, service } = this;
    const controller = new AbortController();
    if (leavesAfterMs > 0) clock.setTimeout(() => controller.abort(new Error('left')), leavesAfterMs);
    const action = (): Promise<string> | string => {
      if (takesMs === 0 && !fails) return 'at once';
      return new Promise((resolve, reject) => {
        clock.setTimeout(() => (fails ? reject(new Error('down')) : resolve('done')), takesMs);
      });
    };
    this.begun++;
    const { policy } = this;
    const before = policy.statistics().inFlight;
    const result = service.execute('p', action, { key, signal: controller.signal });
    const accepted = policy.statistics().inFlight > before;
    result.then(
      () => this.settled++,
      (error: unknown) => {
        this.settled++;
        if (accepted && isDwError(error, 'bulkhead-full')) this.thrownOut++;
      },
    );
  }

  private refused(strategies: readonly Options[]): void {
    const { document } = this.policy;
    const shown = JSON.stringify(this.policy.view());
    const twice = readPolicyDocument({ name: 'p', strategies }).strategies.flatMap((one) => [one, one]);
    expect(() => this.service.set({ name: 'p', strategies: twice })).toThrow('is not accepted');
    expect(this.policy.document).toBe(document);
    expect(JSON.stringify(this.policy.view())).toBe(shown);
  }

  private get policy(): Policy {
    return this.service.policy('p');
  }

  /** Nobody holds a place beyond the bound, and no call has ended twice. */
  check(): void {
    const { statistics, keys } = this.policy.view();
    for (const { key, layers } of keys) {
      const inside = layers.find(({ type }) => type === 'bulkhead')?.state?.inside as number;
      const bound = Math.max(this.concurrency, Math.min(this.bounds.get(key) as number, inside));
      expect(inside).toBeLessThanOrEqual(bound);
      this.bounds.set(key, bound);
    }
    const running = keys.reduce((sum, one) => sum + one.running, 0);
    expect(statistics.inFlight).toBe(running);
    expect(statistics.calls).toBe(this.begun);
  }

  /** State and remaining time of the breaker of each key. */
  private circuits(): Map<string, unknown> {
    const found = new Map<string, unknown>();
    for (const { key, layers } of this.service.policies()[0]?.view().keys ?? []) {
      const circuit = layers.find(({ type }) => type === 'circuit-breaker')?.state;
      if (circuit !== undefined) found.set(key, [circuit.state, circuit.remainingMs]);
    }
    return found;
  }
}

async function underLoad(steps: readonly StepPlan[]): Promise<Load> {
  const load = new Load();
  load.change({ ...(steps[0] as StepPlan), acceptable: true });
  for (const plan of steps) {
    load.change(plan);
    load.check();
    for (const one of plan.calls) load.begin(one);
    load.check();
    await load.clock.advanceAsync(plan.passMs);
    load.check();
  }
  await load.clock.advanceAsync(10_000);
  load.check();
  expect(load.settled).toBe(load.begun);
  expect(load.service.stats()[0]?.inFlight).toBe(0);
  return load;
}

describe('a policy that is changed while it is used', () => {
  it('loses no call, ends none twice, passes no limit by more than what was in flight', async () => {
    const steps = fc.array(stepOf(allOnes), { minLength: CHANGES, maxLength: CHANGES });
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const load = await underLoad(plan);
        expect(load.begun).toBeGreaterThan(CHANGES);
      }),
      { numRuns: 8_000 / CHANGES, endOnFailure: true },
    );
  }, 120_000);

  it('turns nobody away later whom it let wait', async () => {
    const steps = fc.array(stepOf(plainOnes), { minLength: CHANGES, maxLength: CHANGES });
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        expect((await underLoad(plan)).thrownOut).toBe(0);
      }),
      { numRuns: 2_000 / CHANGES, endOnFailure: true },
    );
  }, 60_000);
});
