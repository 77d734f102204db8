// Where the values of a key-value state lie. Small ones share slabs: a buffer of its own costs several times the copy,
// most of it for the collector, and every replica would pay it for every write.
//
// A value is never changed once it is here. When most of a slab is of values that nobody has any more, what is left of
// it is moved, so that slabs take at most four times what is in them, and for writes that come evenly less than twice.

/** Bytes of a slab. */
const SLAB_BYTES = 16 * 1_024;
/** Longer values have a buffer of their own. */
const MAX_SHARED_BYTES = 2 * 1_024;
/** Values of one slab at most: moving what is left of it takes well under a millisecond. */
const MAX_VALUES = 512;
/** A slab of which fewer bytes are in use than this part is cleared. */
const SPARSE_PART = 1 / 4;

/** Where a value lies. A view of each value would be one more object that the collector has to move, and move again. */
export interface ValuePlace {
  readonly slab: Slab;
  /** Where in the slab it begins. */
  readonly at: number;
  readonly length: number;
}

/** A buffer that values share, or that of one long value. */
export interface Slab {
  readonly bytes: Uint8Array;
  /** Bytes that were given away. */
  used: number;
  /** Bytes of values that are still held. At most `used`. */
  live: number;
  /** The key of each value that was ever put here and may be moved: none in the buffer of one value. */
  readonly keys: string[];
}

/** A view of the value at a place. */
export function valueAt({ slab, at, length }: ValuePlace): Uint8Array {
  const { buffer, byteOffset } = slab.bytes;
  return new Uint8Array(buffer, byteOffset + at, length);
}

/** The slabs of one state. */
export class ValueSlabs {
  private open = newSlab();

  /** @param move Asked to {@link hold} the value of a key anew, if that still lies in the slab. */
  constructor(private readonly move: (key: string, from: Slab) => void) {}

  /** Keeps a copy of a value: what comes with an entry is a view of a message or a file that would live as long. */
  hold(key: string, value: Uint8Array): ValuePlace {
    this.makeRoom(value.length);
    return this.place(key, value);
  }

  /** Makes room for a value of this length. Other values may be moved for it. */
  makeRoom(length: number): void {
    if (length > MAX_SHARED_BYTES) return;
    while (this.open.used + length > SLAB_BYTES || this.open.keys.length >= MAX_VALUES) this.turnOver();
  }

  /** As {@link hold} after {@link makeRoom}: nothing is moved. */
  place(key: string, value: Uint8Array): ValuePlace {
    const { length } = value;
    if (length > MAX_SHARED_BYTES || length === 0) return { slab: ownSlab(value), at: 0, length };
    const slab = this.open;
    const at = slab.used;
    slab.bytes.set(value, at);
    slab.used += length;
    slab.live += length;
    slab.keys.push(key);
    return { slab, at, length };
  }

  /** A value is not held any more. Whoever still reads it may: it stays as it is. */
  release({ slab, length }: ValuePlace): void {
    slab.live -= length;
    if (slab !== this.open) this.clearIfSparse(slab);
  }

  private turnOver(): void {
    const full = this.open;
    this.open = newSlab();
    this.clearIfSparse(full);
  }

  private clearIfSparse(slab: Slab): void {
    if (slab.live >= slab.used * SPARSE_PART || slab.keys.length === 0) return;
    // Once: what is released while it moves, and later, finds nothing to do.
    for (const key of slab.keys.splice(0)) if (slab.live > 0) this.move(key, slab);
  }
}

function newSlab(): Slab {
  return { bytes: new Uint8Array(new ArrayBuffer(SLAB_BYTES)), used: 0, live: 0, keys: [] };
}

/** The buffer of one value, which is never moved. */
function ownSlab(value: Uint8Array): Slab {
  return { bytes: new Uint8Array(value), used: value.length, live: value.length, keys: [] };
}
