// All interleavings of up to four calls through a half-open breaker, each compared step by step with a model of a few
// lines; and random schedules, in which there are never more probes than allowed.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TestBreaker, TestCall } from './breaker.test.kit.js';
import { testBreaker } from './breaker.test.kit.js';

const BREAK_MS = 1_000;

type End = 'succeed' | 'fail' | 'cancel';
const ENDS: readonly End[] = ['succeed', 'fail', 'cancel'];
/** A step of a schedule: call number `call` begins or ends, or the break passes. */
type Step = { readonly call: number; readonly does: 'begin' | End } | { readonly does: 'wait' };

/** What a breaker that opens at the first failure should do, in as few words as can be. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'open';
  successes = 0;
  /** Each change of state is an age; what a call says counts in the age it came in. */
  age = 0;
  readonly inside = new Map<number, { readonly age: number; readonly probe: boolean }>();
  over = true;

  constructor(
    readonly maxProbes: number,
    readonly successesToClose: number,
  ) {}

  get probes(): number {
    return [...this.inside.values()].filter(({ probe }) => probe).length;
  }

  begin(call: number): boolean {
    if (this.state === 'open' && this.over) this.become('half-open');
    const admitted = this.state === 'closed' || (this.state === 'half-open' && this.probes < this.maxProbes);
    if (admitted) this.inside.set(call, { age: this.age, probe: this.state === 'half-open' });
    return admitted;
  }

  end(call: number, end: End): void {
    const ticket = this.inside.get(call);
    if (ticket === undefined) return;
    this.inside.delete(call);
    if (end === 'cancel' || ticket.age !== this.age) return;
    if (end === 'fail') this.become('open');
    else if (ticket.probe && ++this.successes === this.successesToClose) this.become('closed');
  }

  wait(): void {
    this.over = true;
  }

  private become(state: 'closed' | 'open' | 'half-open'): void {
    this.state = state;
    this.age++;
    this.successes = 0;
    this.over = false;
  }

  shown(): string {
    return this.state === 'open' && this.over ? 'half-open' : this.state;
  }
}

interface Limits {
  readonly halfOpenProbes: number;
  readonly successesToClose: number;
}

function halfOpen(limits: Limits): TestBreaker {
  const breaker = testBreaker({ window: { kind: 'consecutive', failures: 1 }, breakMs: BREAK_MS, ...limits });
  breaker.fail();
  breaker.clock.advance(BREAK_MS);
  return breaker;
}

/** Runs a schedule on a breaker and on the model, and compares them after each step. */
function replay(schedule: readonly Step[], limits: Limits): void {
  const breaker = halfOpen(limits);
  const model = new Model(limits.halfOpenProbes, limits.successesToClose);
  const calls = new Map<number, TestCall>();
  for (const [at, step] of schedule.entries()) {
    const where = (): string => JSON.stringify({ at, schedule, limits });
    if (step.does === 'wait') {
      breaker.clock.advance(BREAK_MS);
      model.wait();
    } else if (step.does === 'begin') {
      const call = breaker.begin();
      calls.set(step.call, call);
      if (call.admitted !== model.begin(step.call)) throw new Error(`admitted: ${call.admitted} ${where()}`);
    } else {
      calls.get(step.call)?.[step.does]();
      model.end(step.call, step.does);
    }
    const { probes, inside } = breaker.layer.view(breaker.clock.now());
    const seen = { state: breaker.state(), probes, inside };
    const meant = { state: model.shown(), probes: model.probes, inside: model.inside.size };
    if (JSON.stringify(seen) !== JSON.stringify(meant)) {
      throw new Error(`${JSON.stringify(seen)} instead of ${JSON.stringify(meant)}: ${where()}`);
    }
    if (probes > limits.halfOpenProbes) throw new Error(`${probes} probes: ${where()}`);
  }
}

/**
 * Every order in which `count` calls begin (in order of their numbers: they are alike) and end in every way, with the
 * break passing never, or with `breaks` also once between any two steps.
 */
function* schedules(count: number, breaks = true): Generator<readonly Step[]> {
  const steps: Step[] = [];
  function* go(begun: number, open: readonly number[], waited: boolean): Generator<readonly Step[]> {
    if (begun === count && open.length === 0) {
      yield steps;
      return;
    }
    if (begun < count) {
      steps.push({ call: begun, does: 'begin' });
      yield* go(begun + 1, [...open, begun], waited);
      steps.pop();
    }
    for (const call of open) {
      for (const does of ENDS) {
        steps.push({ call, does });
        yield* go(
          begun,
          open.filter((other) => other !== call),
          waited,
        );
        steps.pop();
      }
    }
    if (!waited && steps.length > 0) {
      steps.push({ does: 'wait' });
      yield* go(begun, open, true);
      steps.pop();
    }
  }
  yield* go(0, [], !breaks);
}

describe('every interleaving through half-open', () => {
  for (const [count, limits, expected] of [
    [1, { halfOpenProbes: 1, successesToClose: 1 }, 6],
    [2, { halfOpenProbes: 1, successesToClose: 1 }, 108],
    [3, { halfOpenProbes: 1, successesToClose: 1 }, 2_430],
    [3, { halfOpenProbes: 2, successesToClose: 2 }, 2_430],
    [3, { halfOpenProbes: 2, successesToClose: 1 }, 2_430],
  ] as const) {
    it(`of ${count} calls and a break does what the model does: ${JSON.stringify(limits)}`, () => {
      let total = 0;
      for (const schedule of schedules(count)) {
        replay(schedule, limits);
        total++;
      }
      expect(total).toBe(expected);
    });
  }

  for (const limits of [
    { halfOpenProbes: 1, successesToClose: 1 },
    { halfOpenProbes: 1, successesToClose: 2 },
    { halfOpenProbes: 2, successesToClose: 2 },
  ]) {
    it(`of four calls does what the model does: ${JSON.stringify(limits)}`, () => {
      let total = 0;
      for (const schedule of schedules(4, false)) {
        replay(schedule, limits);
        total++;
      }
      expect(total).toBe(8_505);
    });
  }
});

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ does: 'begin' as const }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constantFrom(...ENDS), which: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1_500 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('clock-step' as const),
      ms: fc.integer({ min: -1e9, max: 1e9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('hand' as const), reset: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('remote' as const), open: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('configure' as const),
      halfOpenProbes: fc.integer({ min: 1, max: 4 }),
    }),
  },
);
type RandomStep = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs a random schedule. @returns what could be seen after each step. */
function play(steps: readonly RandomStep[], clockSteps: boolean): string[] {
  const breaker = testBreaker({ halfOpenProbes: 2, successesToClose: 2 });
  let allowed = 2;
  const open: TestCall[] = [];
  return steps.map((step) => {
    const before = breaker.layer.view(breaker.clock.now()).probes;
    switch (step.does) {
      case 'begin': {
        const call = breaker.begin();
        if (call.admitted) open.push(call);
        break;
      }
      case 'pass':
        breaker.clock.advance(step.ms);
        break;
      case 'clock-step':
        if (clockSteps) breaker.clock.stepWallTime(step.ms);
        break;
      case 'hand':
        if (step.reset) breaker.layer.reset('by hand');
        else breaker.layer.isolate('by hand');
        break;
      case 'remote':
        breaker.layer.applyRemote(step.open ? 'open' : 'closed', { reason: 'another node' });
        break;
      case 'configure':
        allowed = step.halfOpenProbes;
        breaker.configure({ halfOpenProbes: allowed });
        break;
      case 'succeed':
      case 'fail':
      case 'cancel':
        if (open.length > 0) open.splice(step.which % open.length, 1)[0]?.[step.does]();
    }
    const { state, remainingMs, probes, inside } = breaker.layer.view(breaker.clock.now());
    // Never more than allowed, but for those that were under way when fewer became allowed.
    expect(probes).toBeLessThanOrEqual(Math.max(allowed, before));
    expect(inside).toBe(open.length);
    return JSON.stringify({ state, remainingMs, probes, inside, counters: breaker.strategy.counters() });
  });
}

describe('under random schedules', () => {
  it('there are never more probes than allowed, and every call inside is known', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        play(steps, true);
      }),
      { numRuns: 300 },
    );
  });

  it('steps of the wall clock change nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        expect(play(steps, true)).toEqual(play(steps, false));
      }),
    );
  });

  it('a breaker does what the model does', () => {
    const ofCalls = fc.oneof(
      fc.constant('begin' as const),
      fc.constantFrom(...ENDS),
      fc.constantFrom(...ENDS),
      fc.constant('wait' as const),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(ofCalls, fc.nat(10)), { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        (choices, halfOpenProbes, successesToClose) => {
          const open: number[] = [];
          let begun = 0;
          const schedule = choices.flatMap(([does, which]): Step[] => {
            if (does === 'wait') return [{ does }];
            if (does === 'begin') {
              open.push(begun);
              return [{ call: begun++, does }];
            }
            const [call] = open.length === 0 ? [] : open.splice(which % open.length, 1);
            return call === undefined ? [] : [{ call, does }];
          });
          replay(schedule, { halfOpenProbes, successesToClose });
        },
      ),
      { numRuns: 300 },
    );
  });
});
