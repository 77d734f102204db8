// Where each record of a segment begins, by index: four bytes for each, since a segment is shorter than 4 GiB. A log of
// millions of entries keeps this for all of them.

const FIRST_CAPACITY = 64;

/** Offsets in the order of indexes; added to and cut at the end. */
export class OffsetIndex {
  #offsets: Uint32Array;
  #count: number;

  /** @param offsets Taken over, not copied. */
  constructor(offsets: Uint32Array = new Uint32Array(0)) {
    this.#offsets = offsets;
    this.#count = offsets.length;
  }

  get count(): number {
    return this.#count;
  }

  /** The offset at a place; undefined beyond the end. */
  at(place: number): number | undefined {
    return place < this.#count ? this.#offsets[place] : undefined;
  }

  push(offset: number): void {
    if (this.#count === this.#offsets.length) {
      const grown = new Uint32Array(Math.max(FIRST_CAPACITY, this.#count * 2));
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[this.#count++] = offset;
  }

  /** Keeps the first `count`. */
  truncate(count: number): void {
    this.#count = Math.max(0, Math.min(this.#count, count));
  }

  /** The offsets themselves, exactly as many as there are. */
  values(): Uint32Array {
    return this.#offsets.subarray(0, this.#count);
  }
}
