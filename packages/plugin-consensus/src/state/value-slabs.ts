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

/** A value that the state has. */
export interface HeldValue {
  readonly value: Uint8Array;
  /** The slab it lies in; undefined when it has a buffer of its own. */
  readonly slab: Slab | undefined;
}

/** A buffer that values share. */
export interface Slab {
  readonly bytes: Uint8Array;
  /** Bytes that were given away. */
  used: number;
  /** Bytes of values that are still held. At most `used`. */
  live: number;
  /** The key of each value that was ever put here. */
  readonly keys: string[];
}

/** The slabs of one state. */
export class ValueSlabs {
  private open = newSlab();

  /** @param move Asked to {@link hold} the value of a key anew, if that still lies in the slab. */
  constructor(private readonly move: (key: string, from: Slab) => void) {}

  /** Keeps a copy of a value: what comes with an entry is a view of a message or a file that would live as long. */
  hold(key: string, value: Uint8Array): HeldValue {
    const { length } = value;
    if (length > MAX_SHARED_BYTES || length === 0) return { value: new Uint8Array(value), slab: undefined };
    if (this.open.used + length > SLAB_BYTES || this.open.keys.length === MAX_VALUES) this.turnOver();
    const slab = this.open;
    const at = slab.used;
    slab.bytes.set(value, at);
    slab.used += length;
    slab.live += length;
    slab.keys.push(key);
    return { value: new Uint8Array(slab.bytes.buffer, at, length), slab };
  }

  /** A value is not held any more. Whoever still reads it may: it stays as it is. */
  release({ value, slab }: HeldValue): void {
    if (slab === undefined) return;
    slab.live -= value.length;
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
