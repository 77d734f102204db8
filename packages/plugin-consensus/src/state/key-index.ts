// A hash map from keys to things that grows in small steps. A plain Map doubles all at once, which at some millions of
// keys holds the event loop up for a second; here the keys are spread over many maps as soon as there are some thousands.

import { hashText } from './state-hash.js';

/** Keys that one map holds before they are spread: moving them takes well under a millisecond. */
const SPREAD_ABOVE = 4_096;
/** Ten million keys make forty thousand for each map, which doubles in two or three milliseconds. A power of two. */
const MAPS = 256;

/** Things by key. */
export class KeyIndex<T> {
  private maps: readonly Map<string, T>[] = [new Map()];

  /** The thing of a key, or undefined. Hot path. */
  get(key: string): T | undefined {
    return this.mapOf(key).get(key);
  }

  /** Puts a thing in, or in another one's place. */
  set(key: string, thing: T): void {
    const map = this.mapOf(key);
    map.set(key, thing);
    if (this.maps.length === 1 && map.size > SPREAD_ABOVE) this.spread(map);
  }

  /** Takes a key out, if it is there. */
  delete(key: string): void {
    this.mapOf(key).delete(key);
  }

  private mapOf(key: string): Map<string, T> {
    const { maps } = this;
    return maps[maps.length === 1 ? 0 : hashText(key) & (MAPS - 1)] as Map<string, T>;
  }

  private spread(all: ReadonlyMap<string, T>): void {
    this.maps = Array.from({ length: MAPS }, () => new Map<string, T>());
    for (const [key, thing] of all) this.mapOf(key).set(key, thing);
  }
}
