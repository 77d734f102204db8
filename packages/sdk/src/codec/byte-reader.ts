// Reads what ByteWriter wrote. Every length is checked against what is there before it is believed, so bytes from a
// hostile peer end in an error and never in a large allocation, an endless loop or a read past the end.

import { malformed } from './malformed.js';

const MAX_VARINT_BYTES = 8;

/** Reads numbers, texts and bytes from one buffer. All methods throw DwError `frame-malformed`. */
export class ByteReader {
  private position = 0;
  private readonly buffer: Buffer;

  /**
   * @param bytes What to read. Blobs are views of it: they live as long as it does.
   * @param what What the bytes are, for the error's message.
   */
  constructor(
    bytes: Uint8Array,
    private readonly what: string,
  ) {
    this.buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.buffer.length - this.position;
  }

  /** Reads one byte. */
  u8(): number {
    this.need(1);
    return this.buffer[this.position++] as number;
  }

  /** Reads a non-negative safe integer. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 128;
    }
    throw malformed(this.what, 'a number is larger than 2^53');
  }

  /** Reads an unsigned 32-bit integer. */
  u32(): number {
    this.need(4);
    const value = this.buffer.readUInt32LE(this.position);
    this.position += 4;
    return value;
  }

  /** Reads a double. */
  f64(): number {
    this.need(8);
    const value = this.buffer.readDoubleLE(this.position);
    this.position += 8;
    return value;
  }

  /** Reads so many bytes, as a view. */
  raw(length: number): Buffer {
    this.need(length);
    const start = this.position;
    this.position += length;
    return this.buffer.subarray(start, this.position);
  }

  /** Reads bytes after their length, as a view. `maxLength` is the longest that is allowed. */
  blob(maxLength: number): Buffer {
    return this.raw(this.lengthUpTo(maxLength));
  }

  /** Reads a text after its length. `maxLength` is in bytes. */
  text(maxLength: number): string {
    const length = this.lengthUpTo(maxLength);
    this.need(length);
    const start = this.position;
    this.position += length;
    return this.buffer.toString('utf8', start, this.position);
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    return this.raw(this.remaining);
  }

  /** Fails unless everything was read. */
  end(): void {
    if (this.remaining > 0) throw malformed(this.what, `${this.remaining} bytes too many`);
  }

  private lengthUpTo(maxLength: number): number {
    const length = this.varint();
    if (length > maxLength)
      throw malformed(this.what, `a length of ${length} where ${maxLength} is the most`);
    return length;
  }

  private need(bytes: number): void {
    if (bytes > this.buffer.length - this.position) {
      throw malformed(this.what, `it ends ${bytes - this.remaining} bytes early`);
    }
  }
}
