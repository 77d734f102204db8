import { describe, expect, it } from 'vitest';
import { FakeClock } from '../testing/fake-clock.js';
import { nextTurn, sleep, SystemClock } from './clock.js';

describe('sleep', () => {
  it('resolves when its time has passed, and leaves no timer', async () => {
    const clock = new FakeClock();
    let done = false;
    const sleeping = sleep(clock, 10, new AbortController().signal).then(() => (done = true));
    await clock.advanceAsync(9);
    expect(done).toBe(false);
    await clock.advanceAsync(1);
    await sleeping;
    expect(clock.pendingTimers()).toEqual([]);
  });

  it("rejects with the signal's reason, at once or later, and leaves no timer", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 10, controller.signal);
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect(sleep(clock, 10, controller.signal)).rejects.toThrow('enough');
    expect(clock.pendingTimers()).toEqual([]);
  });
});

describe('SystemClock', () => {
  it('fires a timer, repeats an interval, and cancels both', async () => {
    const clock = new SystemClock();
    const start = clock.now();
    await new Promise<void>((resolve) => {
      clock.setTimeout(resolve, 1);
    });
    expect(clock.now()).toBeGreaterThan(start);
    let ticks = 0;
    await new Promise<void>((resolve) => {
      const interval = clock.setInterval(() => {
        if (++ticks < 2) return;
        interval.cancel();
        resolve();
      }, 1);
    });
    const never = clock.setTimeout(() => ticks++, 0);
    never.cancel();
    never.cancel();
    await new Promise<void>((resolve) => {
      clock.setTimeout(resolve, 2);
    });
    expect(ticks).toBe(2);
    expect(Math.abs(clock.wallTime() - Date.now())).toBeLessThan(60_000);
  });

  it('calls back in the next turn, after the promises of this one, and not when cancelled', async () => {
    const clock = new SystemClock(false);
    const seen: string[] = [];
    clock.setImmediate(() => seen.push('cancelled')).cancel();
    clock.setImmediate(() => seen.push('immediate'));
    const turn = nextTurn(clock).then(() => seen.push('next turn'));
    void Promise.resolve().then(() => seen.push('promise'));
    await turn;
    expect(seen).toEqual(['promise', 'immediate', 'next turn']);
  });
});
