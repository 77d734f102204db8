// Where a log's ids come from. They only have to differ from those of other logs and other segments, so that what is
// left over from one is never taken for another's; a simulator gives numbers that are the same in each run.

/** Gives so many random bytes. */
export type RandomBytes = (count: number) => Buffer;

/** A segment's salt: 1 to 2^32 - 1. */
export function randomSalt(randomBytes: RandomBytes): number {
  for (;;) {
    const salt = randomBytes(4).readUInt32LE(0);
    if (salt !== 0) return salt;
  }
}
