// Consistent hashing of keys to groups: each group has many points on a ring of 32-bit numbers, and a key belongs to
// the group of the first point at or after its hash. A group more takes its keys from all others, about evenly, and
// moves no other key.

import { keyHash } from './key-hash.js';

/** Points of each group. With 512 the largest of three groups holds about 5 % more than its share. */
const POINTS_PER_GROUP = 512;
const MAX_GROUPS = 65_536;

/** Maps keys to groups. Two rings of the same groups agree, in any process. */
export class HashRing {
  /** Sorted, without repetition. `owners[i]` is the index in `groups` of the group that owns `points[i]`. */
  private readonly points: Uint32Array;
  private readonly owners: Uint16Array;
  private readonly groups: readonly string[];

  /** @param groups At least one and at most 65 535 group ids; their order means nothing. */
  constructor(groups: readonly string[]) {
    this.groups = groups.toSorted();
    // A point and its group in one number, so that one sort of plain numbers is all.
    const owned = new Float64Array(this.groups.length * POINTS_PER_GROUP);
    this.groups.forEach((group, index) => {
      for (let point = 0; point < POINTS_PER_GROUP; point++) {
        owned[index * POINTS_PER_GROUP + point] = keyHash(`${group}#${point}`) * MAX_GROUPS + index;
      }
    });
    owned.sort();
    // Two groups on one point: the first by name has it, in every process.
    const first = owned.filter(
      (one, at) =>
        at === 0 || Math.floor(one / MAX_GROUPS) !== Math.floor((owned[at - 1] as number) / MAX_GROUPS),
    );
    this.points = Uint32Array.from(first, (one) => Math.floor(one / MAX_GROUPS));
    this.owners = Uint16Array.from(first, (one) => one % MAX_GROUPS);
  }

  /** The group that owns a key. */
  groupOf(key: string): string {
    const hash = keyHash(key);
    let low = 0;
    let high = this.points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.points[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    const point = low === this.points.length ? 0 : low;
    return this.groups[this.owners[point] as number] as string;
  }
}
