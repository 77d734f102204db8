// The newest changes of a key-value state, in the order in which they were applied, so that a watcher can go on from a
// version that it has seen. It is no part of the replicated state: each replica has what it applied itself since it was
// started or was given a snapshot, and says so when a watcher asks for more.

import { valueAt } from '../value-slabs.js';
import type { ValuePlace } from '../value-slabs.js';

/**
 * Changes that a group keeps at most. At three thousand writes a second to the group it is ten seconds, in which a
 * watcher that lost its connection finds another one; what a busy group keeps more than that is memory that never
 * serves anybody.
 */
export const MAX_CHANGES = 32_768;

/** Bytes of keys and values that the changes of a group may hold: values that were overwritten live on in them. */
export const MAX_CHANGE_BYTES = 12 * 1024 * 1_024;

/** Changes looked at in one go: well under a millisecond. */
export const MAX_SCAN = 2_048;

const FIRST_CAPACITY = 64;

/** A change of one key. */
export interface KeyChange {
  readonly key: string;
  /** Index of the entry that made it: rises from change to change. */
  readonly version: number;
  /** The new value, as the state has it: not to be changed. Undefined when the key was deleted. */
  readonly value: Uint8Array | undefined;
}

/** What there is after a version. */
export type ChangesAfter =
  | {
      readonly changes: readonly KeyChange[];
      /** Nothing up to this version is missing: go on from here. */
      readonly upTo: number;
    }
  /** Some changes after the version are not kept any more; those after `oldest` are. */
  | { readonly compacted: true; readonly oldest: number };

/** A ring of changes, bounded in number and bytes. */
export class ChangeHistory {
  /** Three arrays and not one of objects: `push` is on the path of every write, and allocates nothing. */
  private versions: number[] = [];
  private keys: string[] = [];
  private values: (ValuePlace | undefined)[] = [];
  private capacity = 0;
  private head = 0;
  private count = 0;
  private bytes = 0;
  /** Every change after this version is in the ring. */
  private floor = 0;

  constructor(
    private readonly maxChanges: number = MAX_CHANGES,
    private readonly maxBytes: number = MAX_CHANGE_BYTES,
  ) {}

  /** Changes kept. */
  get size(): number {
    return this.count;
  }

  /** The version after which nothing is missing. */
  get oldest(): number {
    return this.floor;
  }

  /** Adds the change that the entry at `version` made. Hot path. */
  push(version: number, key: string, value: ValuePlace | undefined): void {
    if (this.count === this.capacity) {
      if (this.capacity < this.maxChanges) this.grow();
      else this.dropOldest();
    }
    const at = (this.head + this.count) % this.capacity;
    this.versions[at] = version;
    this.keys[at] = key;
    this.values[at] = value;
    this.count++;
    this.bytes += sizeOf(key, value);
    while (this.bytes > this.maxBytes) this.dropOldest();
  }

  /** Forgets everything: the state was replaced by that of this version. */
  reset(version: number): void {
    this.versions = [];
    this.keys = [];
    this.values = [];
    this.capacity = 0;
    this.head = 0;
    this.count = 0;
    this.bytes = 0;
    this.floor = version;
  }

  /**
   * The changes of keys with this prefix that come after a version, oldest first.
   * @param applied Version up to which the state has applied entries.
   * @param limit Most changes to return.
   */
  after(version: number, prefix: string, applied: number, limit: number): ChangesAfter {
    if (version < this.floor) return { compacted: true, oldest: this.floor };
    const changes: KeyChange[] = [];
    let at = this.firstAfter(version);
    const end = Math.min(this.count, at + MAX_SCAN);
    for (; at < end && changes.length < limit; at++) {
      const slot = (this.head + at) % this.capacity;
      const key = this.keys[slot] as string;
      if (!key.startsWith(prefix)) continue;
      const place = this.values[slot];
      const value = place === undefined ? undefined : valueAt(place);
      changes.push({ key, version: this.versions[slot] as number, value });
    }
    // Past the last change nothing happened up to what is applied.
    const seen =
      at === this.count ? applied : (this.versions[(this.head + at - 1) % this.capacity] as number);
    return { changes, upTo: Math.max(version, seen) };
  }

  /** Place, counted from the oldest, of the first change after a version. */
  private firstAfter(version: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.versions[(this.head + middle) % this.capacity] as number) <= version) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private dropOldest(): void {
    const at = this.head;
    this.floor = this.versions[at] as number;
    this.bytes -= sizeOf(this.keys[at] as string, this.values[at]);
    this.keys[at] = '';
    this.values[at] = undefined;
    this.head = (at + 1) % this.capacity;
    this.count--;
  }

  /** Doubles the room, so that a group of few writes takes little. */
  private grow(): void {
    const capacity = Math.min(Math.max(this.capacity * 2, FIRST_CAPACITY), this.maxChanges);
    this.versions = unrolled(this.versions, this.head);
    this.keys = unrolled(this.keys, this.head);
    this.values = unrolled(this.values, this.head);
    this.head = 0;
    this.capacity = capacity;
  }
}

/** What a full ring holds, from its oldest on. */
function unrolled<T>(ring: readonly T[], head: number): T[] {
  return head === 0 ? ring.slice() : [...ring.slice(head), ...ring.slice(0, head)];
}

function sizeOf(key: string, value: ValuePlace | undefined): number {
  return key.length + (value === undefined ? 0 : value.length) + 32;
}
