// Reads what ByteWriter wrote. Every length is checked against what is there before it is believed, so bytes from a
// hostile peer end in an error and never in a large allocation, an endless loop or a read past the end.

import { malformed } from './malformed.js';

const MAX_VARINT_BYTES = 8;

/** A name that was read before. */
interface KnownName {
  readonly bytes: Uint8Array;
  readonly text: string;
}
/** Longest name that is kept. */
const MAX_NAME_BYTES = 64;
/** Names of nodes and groups that were read last, each where its bytes say; another one there takes its place. */
const names: (KnownName | undefined)[] = Array.from({ length: 256 });

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

  /**
   * As {@link text}, for what comes again and again, such as the ids of nodes and groups: to find one that was read
   * before costs a tenth of decoding it.
   */
  name(maxLength: number): string {
    const length = this.lengthUpTo(maxLength);
    this.need(length);
    const { buffer } = this;
    const start = this.position;
    this.position += length;
    if (length === 0 || length > MAX_NAME_BYTES) return buffer.toString('utf8', start, this.position);
    const slot = (length * 31 + (buffer[start] as number) * 7 + (buffer[start + length - 1] as number)) & 255;
    const known = names[slot];
    if (known !== undefined && holds(known.bytes, buffer, start, length)) return known.text;
    const text = buffer.toString('utf8', start, this.position);
    names[slot] = { bytes: new Uint8Array(buffer.subarray(start, this.position)), text };
    return text;
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    return this.raw(this.remaining);
  }

  /** As {@link rest}, as a plain view: it costs half of what a Buffer does. */
  restView(): Uint8Array {
    const { buffer } = this;
    const start = this.position;
    this.position = buffer.length;
    return new Uint8Array(buffer.buffer, buffer.byteOffset + start, buffer.length - start);
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

/** Whether `length` bytes of `buffer` from `start` on are these. */
function holds(bytes: Uint8Array, buffer: Uint8Array, start: number, length: number): boolean {
  if (bytes.length !== length) return false;
  for (let at = 0; at < length; at++) if (bytes[at] !== buffer[start + at]) return false;
  return true;
}
