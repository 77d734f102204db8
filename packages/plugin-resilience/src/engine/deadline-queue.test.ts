// Deadlines of many calls on one timer.

import type { Clock } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadline, Deadlines, deadlinesOf } from './deadline-queue.js';

/** A deadline that notes when it passed. */
class Noted extends Deadline {
  constructor(
    private readonly name: string,
    private readonly seen: string[],
    private readonly onPassed: () => void = () => {},
  ) {
    super();
  }

  passed(now: number): void {
    this.seen.push(`${this.name}@${now}`);
    this.onPassed();
  }
}

/** A clock and how often a timer was set on it. */
function counted(clock: FakeClock): { clock: Clock; armed: () => number } {
  let armed = 0;
  return {
    clock: {
      now: () => clock.now(),
      wallTime: () => clock.wallTime(),
      setInterval: (callback, periodMs) => clock.setInterval(callback, periodMs),
      setImmediate: (callback) => clock.setImmediate(callback),
      setTimeout: (callback, delayMs) => {
        armed++;
        return clock.setTimeout(callback, delayMs);
      },
    },
    armed: () => armed,
  };
}

describe('deadlines', () => {
  it('pass at their very time, in the order they were set', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    deadlines.set(new Noted('a', seen), 100);
    clock.advance(30);
    deadlines.set(new Noted('b', seen), 100);
    deadlines.set(new Noted('c', seen), 100);
    deadlines.set(new Noted('short', seen), 10);
    clock.advance(69);
    expect(seen).toEqual(['short@40']);
    clock.advance(1_000);
    expect(seen).toEqual(['short@40', 'a@100', 'b@130', 'c@130']);
  });

  it('that are cleared never pass, wherever they stand in the list', () => {
    for (const cleared of [0, 1, 2]) {
      const clock = new FakeClock();
      const deadlines = new Deadlines(clock);
      const seen: string[] = [];
      const all = ['a', 'b', 'c'].map((name) => new Noted(name, seen));
      for (const deadline of all) deadlines.set(deadline, 100);
      all[cleared]?.clear();
      all[cleared]?.clear();
      expect(all.map((deadline) => deadline.set)).toEqual([0, 1, 2].map((n) => n !== cleared));
      clock.advance(100);
      expect(seen).toEqual(['a@100', 'b@100', 'c@100'].filter((_, n) => n !== cleared));
    }
  });

  it('set one timer for any number of calls that end in time', () => {
    const fake = new FakeClock();
    const { clock, armed } = counted(fake);
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    for (let n = 0; n < 1_000; n++) {
      const deadline = new Noted('never', seen);
      deadlines.set(deadline, 100);
      if (n % 100 === 0) fake.advance(1);
      deadline.clear();
    }
    expect(armed()).toBe(1);
    expect(fake.pendingTimers()).toHaveLength(1);
    fake.advance(100);
    expect(fake.pendingTimers()).toEqual([]);
    expect(deadlines.size).toBe(0);
    expect(seen).toEqual([]);
  });

  it('set for the next head when the timer fires in vain', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    const met = new Noted('met', seen);
    deadlines.set(met, 100);
    clock.advance(60);
    met.clear();
    deadlines.set(new Noted('missed', seen), 100);
    clock.advance(99);
    expect(seen).toEqual([]);
    clock.advance(1);
    expect(seen).toEqual(['missed@160']);
  });

  it('do not pass early on a clock whose timers do', () => {
    const fake = new FakeClock();
    const hasty: Clock = {
      now: () => fake.now(),
      wallTime: () => fake.wallTime(),
      setInterval: (callback, periodMs) => fake.setInterval(callback, periodMs),
      setImmediate: (callback) => fake.setImmediate(callback),
      setTimeout: (callback, delayMs) => fake.setTimeout(callback, Math.max(1, delayMs - 2)),
    };
    const seen: string[] = [];
    new Deadlines(hasty).set(new Noted('a', seen), 10);
    fake.advance(9);
    expect(seen).toEqual([]);
    fake.advance(1);
    expect(seen).toEqual(['a@10']);
  });

  it('do not set their timer again and again for what a sum of fractions is off by', () => {
    // given a clock that runs a little slow, so that a timer fires within a rounding of the time it was set for
    const clock = new FakeClock();
    let short = 0;
    const slow: Clock = {
      now: () => clock.now() - short,
      wallTime: () => clock.wallTime(),
      setInterval: (callback, periodMs) => clock.setInterval(callback, periodMs),
      setImmediate: (callback) => clock.setImmediate(callback),
      setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
    };
    const seen: string[] = [];
    deadlinesOf(slow).set(new Noted('a', seen), 50);
    short = 1e-11;
    clock.advance(50);
    expect(seen).toEqual(['a@49.99999999999']);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('that are due all pass when the event loop stood still, and others get a turn in between', () => {
    const fake = new FakeClock();
    let stalled = 0;
    let turns = 0;
    const late: Clock = {
      now: () => fake.now() + stalled,
      wallTime: () => fake.wallTime(),
      setInterval: (callback, periodMs) => fake.setInterval(callback, periodMs),
      setImmediate: (callback) => fake.setImmediate(callback),
      setTimeout: (callback, delayMs) =>
        fake.setTimeout(() => {
          turns++;
          callback();
        }, delayMs),
    };
    const deadlines = new Deadlines(late);
    const seen: string[] = [];
    for (let n = 0; n < 1_300; n++) {
      deadlines.set(new Noted(`${n}`, seen), 100);
      stalled += 0.25;
    }
    stalled = 10_000;
    fake.advance(100);
    expect(seen).toHaveLength(1_300);
    expect(turns).toBe(3);
    expect(fake.pendingTimers()).toEqual([]);
  });

  it('may be set again as they pass', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    const again: Noted = new Noted('again', seen, () => {
      if (seen.length < 3) deadlines.set(again, 10);
    });
    deadlines.set(again, 10);
    clock.advance(100);
    expect(seen).toEqual(['again@10', 'again@20', 'again@30']);
  });

  it('may clear others as they pass', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    const next = new Noted('next', seen);
    deadlines.set(new Noted('first', seen, () => next.clear()), 10);
    deadlines.set(next, 10);
    clock.advance(100);
    expect(seen).toEqual(['first@10']);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('pass although one before them threw', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    deadlines.set(
      new Noted('bad', seen, () => {
        throw new Error('a defect');
      }),
      10,
    );
    deadlines.set(new Noted('good', seen), 10);
    expect(() => clock.advance(10)).toThrow('a defect');
    clock.advance(0);
    expect(seen).toEqual(['bad@10', 'good@10']);
  });

  it('of more durations than there may be lists have a timer each, which goes with them', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const seen: string[] = [];
    const all = Array.from({ length: 300 }, (_, n) => new Noted(`${n}`, seen));
    all.forEach((deadline, n) => deadlines.set(deadline, n + 1));
    expect(deadlines.size).toBe(256);
    expect(clock.pendingTimers()).toHaveLength(300);
    for (const deadline of all.slice(256)) deadline.clear();
    expect(clock.pendingTimers()).toHaveLength(256);
    // A list in which nothing waits makes room.
    all[7]?.clear();
    deadlines.set(new Noted('last', seen), 5_000);
    expect(deadlines.size).toBe(256);
    clock.advance(5_000);
    expect(seen).toHaveLength(256);
    expect(deadlines.size).toBe(0);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('are not set when the clock refuses a timer', () => {
    const fake = new FakeClock();
    const stopped: Clock = {
      now: () => fake.now(),
      wallTime: () => fake.wallTime(),
      setInterval: (callback, periodMs) => fake.setInterval(callback, periodMs),
      setImmediate: (callback) => fake.setImmediate(callback),
      setTimeout: () => {
        throw new Error('its owner was stopped');
      },
    };
    const deadline = new Noted('never', []);
    expect(() => new Deadlines(stopped).set(deadline, 10)).toThrow('its owner was stopped');
    expect(deadline.set).toBe(false);
  });

  it('of one clock are shared', () => {
    const clock = new FakeClock();
    expect(deadlinesOf(clock)).toBe(deadlinesOf(clock));
    expect(deadlinesOf(clock)).not.toBe(deadlinesOf(new FakeClock()));
  });

  it('under any schedule pass exactly when they are due, unless they were cleared', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), ms: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant('clear' as const), which: fc.nat({ max: 30 }) }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 6 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new FakeClock();
        const deadlines = new Deadlines(clock);
        const seen: string[] = [];
        const set: { deadline: Noted; due: number; clearedAt?: number }[] = [];
        for (const action of steps) {
          if (action.kind === 'advance') clock.advance(action.ms);
          else if (action.kind === 'set') {
            const deadline = new Noted(`${set.length}`, seen);
            deadlines.set(deadline, action.ms);
            set.push({ deadline, due: clock.now() + action.ms });
          } else {
            const one = set[action.which];
            if (one?.deadline.set !== true) continue;
            one.deadline.clear();
            one.clearedAt = clock.now();
          }
        }
        clock.advance(100);
        const expected = set.flatMap((one, n) => (one.clearedAt === undefined ? [`${n}@${one.due}`] : []));
        expect([...seen].sort()).toEqual(expected.sort());
        expect(clock.pendingTimers()).toEqual([]);
      }),
    );
  });
});
