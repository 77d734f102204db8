// Bounds the bytes of all request bodies that are in memory at once, whoever sends them.

/** A number of bytes that many take from and give back to. */
export class ByteBudget {
  private taken = 0;

  /** @param total bytes in all; may be changed at any time. Below what is taken, nothing more is given. */
  constructor(public total: number) {}

  /** Bytes taken now. */
  get used(): number {
    return this.taken;
  }

  /** Takes bytes, or returns false and takes none. */
  tryTake(bytes: number): boolean {
    if (this.taken + bytes > this.total) return false;
    this.taken += bytes;
    return true;
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.taken -= bytes;
  }
}
