// Where values lie: what was given stays as it is, and slabs do not outlive what is in them for long.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Slab, ValuePlace } from './value-slabs.js';
import { ValueSlabs, valueAt } from './value-slabs.js';

/** A state with nothing but values. */
class Held {
  readonly values = new Map<string, ValuePlace>();
  readonly slabs = new ValueSlabs((key, from) => {
    const held = this.values.get(key);
    if (held?.slab !== from) return;
    this.values.set(key, this.slabs.hold(key, valueAt(held)));
    this.slabs.release(held);
  });

  put(key: string, value: Uint8Array): void {
    const held = this.slabs.hold(key, value);
    this.drop(key);
    this.values.set(key, held);
  }

  drop(key: string): void {
    const before = this.values.get(key);
    if (before === undefined) return;
    this.values.delete(key);
    this.slabs.release(before);
  }

  /** Bytes of values in slabs, and of the slabs that are kept alive by them. */
  get bytes(): { readonly values: number; readonly slabs: number } {
    const slabs = new Set<Slab>();
    let values = 0;
    for (const { slab, length } of this.values.values()) {
      slabs.add(slab);
      values += length;
    }
    return { values, slabs: [...slabs].reduce((sum, { bytes }) => sum + bytes.length, 0) };
  }
}

describe('values in slabs', () => {
  it('are what was put, however many come and go, and one that is read stays as it was', () => {
    const step = fc.record({
      key: fc.nat({ max: 40 }).map(String),
      bytes: fc.oneof(fc.nat({ max: 600 }), fc.constantFrom(0, 2_048, 2_049, 9_000)),
      fill: fc.nat({ max: 255 }),
      drops: fc.nat({ max: 5 }).map((n) => n === 0),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const held = new Held();
        const wanted = new Map<string, Uint8Array>();
        const read: { readonly seen: Uint8Array; readonly was: Uint8Array }[] = [];
        for (const { key, bytes, fill, drops } of steps) {
          const given = new Uint8Array(bytes).fill(fill);
          if (drops) {
            held.drop(key);
            wanted.delete(key);
            continue;
          }
          held.put(key, given);
          wanted.set(key, given.slice());
          // The message that it came with is used for something else.
          given.fill(0);
          const place = held.values.get(key);
          const seen = place === undefined ? given : valueAt(place);
          read.push({ seen, was: seen.slice() });
        }
        expect([...held.values.keys()].toSorted()).toEqual([...wanted.keys()].toSorted());
        for (const [key, value] of wanted) expect(valueAt(held.values.get(key) as ValuePlace)).toEqual(value);
        for (const { seen, was } of read) expect(seen).toEqual(was);
      }),
    );
  });

  it('keep no more than four times their bytes alive, whichever of them stay', () => {
    const held = new Held();
    const value = new Uint8Array(256);
    for (let n = 0; n < 5_000; n++) held.put(`old/${n}`, value);
    // One of each slab is left: without moving, each would keep its slab.
    for (let n = 0; n < 5_000; n++) if (n % 64 !== 0) held.drop(`old/${n}`);
    const { values, slabs } = held.bytes;
    expect(values).toBe(79 * 256);
    expect(slabs).toBeLessThanOrEqual(4 * values + 16 * 1_024);
  });
});
