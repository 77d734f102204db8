// Given a clock that is turned by hand, and a consumer that takes time for each chunk.

import { sleep } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { MAX_REST_MS, MIN_REST_MS, REST_FACTOR, SLICE_BYTES, SLICE_MS, paced } from './snapshot-pace.js';

/** How finely the clock is turned. */
const STEP_MS = 1;

/** One chunk, as the consumer saw it: when it came, and in which turn of the event loop. */
interface Seen {
  readonly at: number;
  readonly turn: number;
}

/** @param work Ms that the consumer, with its disk, takes for a chunk. */
async function consume(
  sizes: readonly number[],
  options: { readonly busy: boolean; readonly work: number },
): Promise<readonly Seen[]> {
  const clock = new FakeClock();
  const seen: Seen[] = [];
  let turn = 0;
  const immediate = clock.setImmediate.bind(clock);
  clock.setImmediate = (callback) =>
    immediate(() => {
      turn++;
      callback();
    });
  let writes = 0;
  let ended = false;
  const chunks = sizes.map((size) => new Uint8Array(size));
  const otherWrites = (): number => (options.busy ? writes++ : 0);
  const start = clock.now();
  const all = (async () => {
    for await (const chunk of paced(chunks, { clock, otherWrites })) {
      expect(chunk).toBe(chunks[seen.length]);
      seen.push({ at: clock.now() - start, turn });
      if (options.work > 0) await sleep(clock, options.work);
    }
    ended = true;
  })();
  for (let step = 0; !ended && step < 3_000; step++)
    await clock.advanceAsync(options.busy || options.work > 0 ? STEP_MS : 0);
  await all;
  expect(clock.pendingTimers()).toEqual([]);
  return seen;
}

/** How many of the chunks came in each turn that had any. */
function perTurn(seen: readonly Seen[]): readonly number[] {
  const counts = new Map<number, number>();
  for (const { turn } of seen) counts.set(turn, (counts.get(turn) ?? 0) + 1);
  return [...counts.values()];
}

describe('a snapshot while nobody writes', () => {
  it('gives the event loop free after each slice of bytes, not after each small chunk', async () => {
    const seen = await consume(
      Array.from({ length: 32 }, () => SLICE_BYTES / 8),
      { busy: false, work: 0 },
    );
    expect(perTurn(seen)).toEqual([8, 8, 8, 8]);
    expect(seen.at(-1)?.at).toBe(0);
  });

  it('gives it free after each slice of time, however small the chunks', async () => {
    const seen = await consume(
      Array.from({ length: 12 }, () => 4),
      { busy: false, work: SLICE_MS / 4 },
    );
    expect(perTurn(seen)).toEqual([4, 4, 4]);
  });
});

describe('a snapshot while others write', () => {
  const slices = Array.from({ length: 5 }, () => SLICE_BYTES);

  /** Ms from the end of each slice to the next. */
  function rests(seen: readonly Seen[], work: number): readonly number[] {
    return seen.slice(1).map(({ at }, n) => at - (seen[n] as Seen).at - work);
  }

  it('rests after each slice for several times as long as it took', async () => {
    const found = rests(await consume(slices, { busy: true, work: 4 }), 4);
    for (const rest of found) {
      expect(rest).toBeGreaterThanOrEqual(4 * REST_FACTOR);
      expect(rest).toBeLessThanOrEqual(4 * REST_FACTOR + STEP_MS);
    }
  });

  it('rests also after a slice that took no time', async () => {
    const found = rests(await consume(slices, { busy: true, work: 0 }), 0);
    for (const rest of found) expect(rest).toBeGreaterThanOrEqual(MIN_REST_MS);
  });

  it('rests no longer than so long after one that a stalled disk held up', async () => {
    const found = rests(await consume(slices, { busy: true, work: 200 }), 200);
    for (const rest of found) {
      expect(rest).toBeGreaterThanOrEqual(MAX_REST_MS);
      expect(rest).toBeLessThanOrEqual(MAX_REST_MS + STEP_MS);
    }
  });

  it('goes on without rests once they have stopped', async () => {
    const clock = new FakeClock();
    let writes = 0;
    let came = 0;
    const source = { clock, otherWrites: () => (came < 3 ? writes++ : writes) };
    const all = (async () => {
      for await (const _ of paced(
        slices.map((size) => new Uint8Array(size)),
        source,
      ))
        came++;
    })();
    for (let ms = 0; ms < 40 * MIN_REST_MS && came < 3; ms++) await clock.advanceAsync(MIN_REST_MS / 2);
    await clock.advanceAsync(MIN_REST_MS);
    for (let turn = 0; turn < 20; turn++) await clock.advanceAsync(0);
    await all;
    expect(came).toBe(slices.length);
  });
});
