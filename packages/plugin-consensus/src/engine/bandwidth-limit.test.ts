import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { BandwidthLimit } from './bandwidth-limit.js';

const never = new AbortController().signal;

/** Takes `count` times `bytes` one after another; returns the times at which each was let through. */
async function takes(
  clock: FakeClock,
  limit: BandwidthLimit,
  count: number,
  bytes: number,
): Promise<number[]> {
  const times: number[] = [];
  const all = (async () => {
    for (let n = 0; n < count; n++) {
      await limit.take(bytes, never);
      times.push(clock.now());
    }
  })();
  for (let ms = 0; ms < 60_000 && times.length < count; ms++) await clock.advanceAsync(1);
  await all;
  return times;
}

describe('a bandwidth limit', () => {
  it('lets through what the rate allows, in the long run', async () => {
    const clock = new FakeClock();
    const limit = new BandwidthLimit(clock, () => 1_000_000);
    const start = clock.now();
    const times = await takes(clock, limit, 100, 20_000);
    const seconds = ((times.at(-1) as number) - start) / 1_000;
    expect(2_000_000 / seconds).toBeGreaterThan(900_000);
    expect(2_000_000 / seconds).toBeLessThan(1_100_000);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('saves up nothing while nothing is sent: what comes after a pause is paced from its first bytes on', async () => {
    const clock = new FakeClock();
    const limit = new BandwidthLimit(clock, () => 1_000_000);
    await clock.advanceAsync(60_000);
    const start = clock.now();
    const times = await takes(clock, limit, 5, 10_000);
    expect(times.map((time) => time - start)).toEqual([0, 10, 20, 30, 40]);
  });

  it('makes up for timers that fire late while some wait, but for no more than a short time', async () => {
    const clock = new FakeClock();
    let late = 9;
    const tardy = Object.assign(Object.create(clock) as FakeClock, {
      setTimeout: (callback: () => void, ms: number) => clock.setTimeout(callback, ms + late),
    });
    const limit = new BandwidthLimit(tardy, () => 1_000_000);
    let through = 0;
    const start = clock.now();
    const all = Array.from({ length: 200 }, () => limit.take(10_000, never).then(() => through++));
    while (clock.now() - start < 1_000) await clock.advanceAsync(10);
    expect(through).toBeGreaterThan(95);
    expect(through).toBeLessThanOrEqual(102);
    // Held up for long once, it goes on with a burst of what a few ms give, and not of the whole time.
    late = 500;
    while (clock.now() - start < 1_010) await clock.advanceAsync(10);
    const before = through;
    await clock.advanceAsync(505);
    late = 0;
    await clock.advanceAsync(20);
    expect(through - before).toBeLessThan(10);
    await clock.advanceAsync(3_000);
    await Promise.all(all);
  });

  it('lets everything through at once when there is no limit', async () => {
    const clock = new FakeClock();
    const limit = new BandwidthLimit(clock, () => 0);
    await Promise.all(Array.from({ length: 100 }, () => limit.take(1_000_000, never)));
    expect(limit.waiting).toBe(0);
  });

  it('obeys a rate that is changed while some wait', async () => {
    const clock = new FakeClock();
    let rate = 1_000;
    const limit = new BandwidthLimit(clock, () => rate);
    await limit.take(100_000, never);
    let through = false;
    const taken = limit.take(1, never).then(() => (through = true));
    await clock.advanceAsync(1_000);
    expect(through).toBe(false);
    rate = 0;
    await clock.advanceAsync(60);
    await taken;
    expect(through).toBe(true);
  });

  it('lets go of one that is called off, and serves those behind it', async () => {
    const clock = new FakeClock();
    const limit = new BandwidthLimit(clock, () => 1_000);
    await limit.take(1_000, never);
    const abort = new AbortController();
    const off = limit.take(1_000_000, abort.signal);
    let through = false;
    const behind = limit.take(10, never).then(() => (through = true));
    abort.abort(new Error('called off'));
    await expect(off).rejects.toThrow('called off');
    await clock.advanceAsync(1_100);
    await behind;
    expect(through).toBe(true);
    await expect(limit.take(1, abort.signal)).rejects.toThrow('called off');
    expect(limit.waiting).toBe(0);
  });
});
