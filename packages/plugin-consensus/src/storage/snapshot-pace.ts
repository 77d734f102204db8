// How fast a node's own snapshot is written. Making it takes the processor, writing it the disk, and both are wanted by
// the writes that go on meanwhile. So it is made in slices, each short, with the event loop free after each; and while
// others write, it rests after each slice for longer than the slice took. A node that has nothing else to do goes on at
// once.

import { type Clock, SystemClock, nextTurn, sleep } from '@datawarehouse/sdk';

/** A slice ends when it has so many bytes, or took so long: what one chunk goes beyond that is the source's doing. */
export const SLICE_BYTES = 64 * 1_024;
/** Ms after which a slice ends though it has fewer bytes. */
export const SLICE_MS = 2;
/** While others write, a rest is so many times as long as the slice before it, its disk's time included: a quarter duty. */
export const REST_FACTOR = 3;
/** Shortest rest while others write, ms: bounds the rate to some 30 MB/s on a disk that takes everything at once. */
export const MIN_REST_MS = 2;
/** Longest rest, ms: a disk that stalls once must not put the snapshot off for ever. */
export const MAX_REST_MS = 20;

/** What the pace goes by. */
export interface PaceSource {
  readonly clock: Clock;
  /** A number that changes whenever others write. */
  readonly otherWrites: () => number;
}

const ALONE: PaceSource = { clock: new SystemClock(false), otherWrites: () => 0 };

/** Takes the chunks of a synchronous source slice by slice. What the consumer does with a chunk counts as its slice's. */
export async function* paced(
  chunks: Iterable<Uint8Array>,
  { clock, otherWrites }: PaceSource = ALONE,
): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  let began = clock.now();
  let seen = otherWrites();
  for (const chunk of chunks) {
    yield chunk;
    bytes += chunk.length;
    const took = clock.now() - began;
    if (bytes < SLICE_BYTES && took < SLICE_MS) continue;
    const now = otherWrites();
    if (now === seen) await nextTurn(clock);
    else await sleep(clock, Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, took * REST_FACTOR)));
    seen = now;
    bytes = 0;
    began = clock.now();
  }
}
