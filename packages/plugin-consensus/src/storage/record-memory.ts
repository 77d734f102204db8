// Memory for records that are on their way to the disk: of the journal, and of the segments behind it. A buffer of its own
// for each is what the collector of a busy node sees most of.

/** Bytes of a piece of memory: a batch of small entries fits in. Larger ones get a buffer of their own. */
const PIECE_BYTES = 96 * 1024;
/** Fewer bytes make no new piece; they go into one that is free. */
const WORTH_BYTES = 16 * 1024;
/** Free pieces kept by the process. */
const MAX_FREE = 8;

const free: Buffer[] = [];

/** A buffer of so many bytes, whatever is in them. */
export function takeMemory(bytes: number): Buffer {
  if (bytes > PIECE_BYTES) return Buffer.allocUnsafeSlow(bytes);
  const piece = free.pop();
  if (piece !== undefined) return piece.subarray(0, bytes);
  return bytes < WORTH_BYTES
    ? Buffer.allocUnsafe(bytes)
    : Buffer.allocUnsafeSlow(PIECE_BYTES).subarray(0, bytes);
}

/**
 * Gives a buffer back, or what remained of one when it was written to. Only when nobody reads it any more: after a write
 * that failed that is not known.
 */
export function giveMemory({ buffer }: Buffer): void {
  if (buffer.byteLength === PIECE_BYTES && free.length < MAX_FREE) free.push(Buffer.from(buffer));
}
