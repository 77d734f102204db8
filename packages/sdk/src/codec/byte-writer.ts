// Writes binary formats into a buffer that grows. Integers are variable-length (7 bits a byte,
// lowest first), so that small terms, indexes and lengths take one or two bytes.

const MAX_VARINT_BYTES = 8;
/** Texts up to this length are tried as ASCII first; their length takes one byte. */
const SHORT_TEXT = 48;

/** Appends numbers, texts and bytes to one buffer. */
export class ByteWriter {
  private buffer: Buffer;
  private position = 0;

  /** @param room Bytes to start with, or the memory to start in; it doubles as needed. */
  constructor(room: number | Buffer = 256) {
    this.buffer = typeof room === 'number' ? Buffer.allocUnsafe(room) : room;
  }

  /** Bytes written. */
  get length(): number {
    return this.position;
  }

  /** Writes one byte. */
  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  /** Writes a non-negative safe integer. */
  varint(value: number): void {
    this.reserve(MAX_VARINT_BYTES);
    const buffer = this.buffer;
    let rest = value;
    // Beyond 31 bits the bit operators of the language do not reach: divide instead.
    while (rest > 0x7fffffff) {
      buffer[this.position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      buffer[this.position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[this.position++] = rest;
  }

  /** Writes an unsigned 32-bit integer in four bytes, little-endian. */
  u32(value: number): void {
    this.reserve(4);
    this.position = this.buffer.writeUInt32LE(value >>> 0, this.position);
  }

  /** Overwrites four bytes that were written before. */
  u32At(position: number, value: number): void {
    this.buffer.writeUInt32LE(value >>> 0, position);
  }

  /** Writes a double in eight bytes, little-endian. */
  f64(value: number): void {
    this.reserve(8);
    this.position = this.buffer.writeDoubleLE(value, this.position);
  }

  /** Writes bytes without their length. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** Writes bytes after their length. */
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Writes a text as UTF-8 after its length in bytes. */
  text(value: string): void {
    if (value.length <= SHORT_TEXT && this.shortText(value)) return;
    const bytes = Buffer.byteLength(value);
    this.varint(bytes);
    this.reserve(bytes);
    this.position += this.buffer.write(value, this.position, 'utf8');
  }

  /** Begins again in the same memory: what {@link finish} gave is void. */
  rewind(): void {
    this.position = 0;
  }

  /** What was written, as a view of the writer's buffer: write nothing more after it. */
  finish(): Buffer {
    return this.buffer.subarray(0, this.position);
  }

  /** Writes a text of plain ASCII without leaving the language; false, and nothing is written, when it is not that. */
  private shortText(value: string): boolean {
    const { length } = value;
    this.reserve(length + 1);
    const { buffer } = this;
    let at = this.position;
    buffer[at++] = length;
    for (let n = 0; n < length; n++) {
      const code = value.charCodeAt(n);
      if (code > 0x7f) return false;
      buffer[at++] = code;
    }
    this.position = at;
    return true;
  }

  private reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }
}
