// The one source of chance of a simulation. Every part of the world draws from a stream of its own, named after the
// part, so that a draw more in one does not change what all the others do.

/** A stream of numbers that is the same for the same seed and name (Chris Doty-Humphrey's sfc32). */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private count = 1;

  constructor(
    private readonly seed: number,
    name: string = '',
  ) {
    this.a = seed >>> 0;
    this.b = Math.floor(seed / 2 ** 32) >>> 0;
    this.c = 0x9e3779b9;
    for (let at = 0; at < name.length; at++) {
      this.a = Math.imul(this.a ^ name.charCodeAt(at), 0x01000193) >>> 0;
    }
    // The first outputs of near seeds are alike.
    for (let n = 0; n < 15; n++) this.uint32();
  }

  /** Another stream of the same seed. */
  stream(name: string): Prng {
    return new Prng(this.seed, name);
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (((this.a + this.b) >>> 0) + this.count) >>> 0;
    this.count = (this.count + 1) >>> 0;
    this.a = (this.b ^ (this.b >>> 9)) >>> 0;
    this.b = (this.c + (this.c << 3)) >>> 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** Uniform in [0, 1). */
  readonly unit = (): number => this.uint32() / 2 ** 32;

  /** From 0 up to, but not, `bound`. */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  /** From `low` up to, but not, `high`. */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** A waiting time whose mean is `mean`, never more than ten times that. */
  wait(mean: number): number {
    return Math.min(10 * mean, -Math.log(1 - this.unit()) * mean);
  }

  /** The list in another order. */
  shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list];
    for (let at = mixed.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [mixed[at], mixed[other]] = [mixed[other] as T, mixed[at] as T];
    }
    return mixed;
  }

  /** Random bytes. */
  readonly bytes = (count: number): Buffer => {
    const bytes = Buffer.alloc(count);
    for (let at = 0; at < count; at++) bytes[at] = this.uint32() & 0xff;
    return bytes;
  };
}
