// The hash that decides which group owns a key. It is part of the data's layout: changing it would look for every key
// in the wrong group. It is MurmurHash3 x86 32-bit, seed 0, over the key's UTF-8 bytes and nothing else.

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
/** Texts whose UTF-8 fits for certain are hashed here, without an allocation each. */
const SCRATCH_BYTES = 3_072;
const scratch = Buffer.alloc(SCRATCH_BYTES);

/** MurmurHash3 x86 32-bit with seed 0 of a text's UTF-8 bytes. */
export function keyHash(text: string): number {
  const short = text.length <= SCRATCH_BYTES / 3;
  const bytes = short ? scratch : Buffer.from(text, 'utf8');
  const length = short ? scratch.write(text, 'utf8') : bytes.length;
  let hash = 0;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    hash ^= scramble(bytes.readInt32LE(at));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let last = length - 1; last >= at; last--) tail = (tail << 8) | (bytes[last] as number);
  if (at < length) hash ^= scramble(tail);
  return finish(hash ^ length);
}

function scramble(block: number): number {
  const mixed = Math.imul(block, C1);
  return Math.imul((mixed << 15) | (mixed >>> 17), C2);
}

function finish(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
