import { describe, expect, it } from 'vitest';
import { sleep } from '../time/index.js';
import { FakeClock } from './fake-clock.js';

describe('FakeClock', () => {
  it('fires timers at their own time, soonest first, equal ones in the order they were set', () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    clock.setTimeout(() => seen.push(`b@${clock.now()}`), 20);
    clock.setTimeout(() => seen.push(`a@${clock.now()}`), 10);
    clock.setTimeout(() => seen.push(`c@${clock.now()}`), 20);
    clock.setTimeout(() => seen.push('late'), 31);
    clock.advance(30);
    expect(seen).toEqual(['a@10', 'b@20', 'c@20']);
    expect(clock.now()).toBe(30);
  });

  it('fires a timer that a timer set within the span', () => {
    const clock = new FakeClock();
    let at = 0;
    clock.setTimeout(() => clock.setTimeout(() => (at = clock.now()), 5), 5);
    clock.advance(10);
    expect(at).toBe(10);
  });

  it('repeats an interval until it is cancelled', () => {
    const clock = new FakeClock();
    let ticks = 0;
    const timer = clock.setInterval(() => {
      if (++ticks === 3) timer.cancel();
    }, 10);
    clock.advance(100);
    expect(ticks).toBe(3);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('lets awaiting code set its next timer between two timers', async () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    const loop = (async () => {
      for (let i = 0; i < 3; i++) {
        await sleep(clock, 10);
        seen.push(clock.now());
      }
    })();
    await clock.advanceAsync(30);
    await loop;
    expect(seen).toEqual([10, 20, 30]);
  });

  it('shows what is pending', () => {
    const clock = new FakeClock({ now: 5 });
    clock.setInterval(() => {}, 10);
    const timeout = clock.setTimeout(() => {}, 1);
    expect(clock.pendingTimers()).toEqual([
      { due: 6, kind: 'timeout' },
      { due: 15, kind: 'interval' },
    ]);
    timeout.cancel();
    expect(clock.pendingTimers()).toHaveLength(1);
  });

  it('gives out what a callback throws, with the clock at that time', () => {
    const clock = new FakeClock();
    clock.setTimeout(() => {
      throw new Error('boom');
    }, 7);
    expect(() => clock.advance(10)).toThrow('boom');
    expect(clock.now()).toBe(7);
  });

  it('moves wall time with monotonic time, and apart from it when it is stepped', () => {
    const clock = new FakeClock({ now: 100, wallTime: 5_000 });
    clock.advance(50);
    expect(clock.wallTime()).toBe(5_050);
    clock.stepWallTime(-1_000);
    expect([clock.now(), clock.wallTime()]).toEqual([150, 4_050]);
  });
});
