// Turns the bytes of a connection into frames, however they are split. Hot path: frames that lie whole in a chunk are
// handed on as views of it; only a frame that is split over chunks is copied, once, into a buffer of its own size.
// What is kept never exceeds one frame and one spare buffer, and the length of a frame is checked before anything is
// allocated for it.

import { crc32 } from '@datawarehouse/sdk';
import type { FrameViolation } from './frame.js';
import { EMPTY, HEADER_BYTES, MAGIC, MAGIC_WORD, MAX_FRAME_TYPE, Offset } from './frame.js';

/**
 * Takes one frame. `payload` is a view into the chunk and valid during the call.
 * @returns false to stop parsing: the connection is being closed and the rest of the chunk is nobody's.
 */
export type FrameHandler = (type: number, channel: number, correlation: number, payload: Buffer) => boolean;

/** The memory of larger frames is not kept: what a connection holds between frames is bounded by this. */
const MAX_SPARE_BYTES = 512 * 1024;
/** Nor that of smaller ones, which cost little to make. */
const MIN_SPARE_BYTES = 16 * 1024;

/** Splits a stream of bytes into frames. After a violation it takes nothing more. */
export class FrameParser {
  /** Frames handed on since it was made. */
  frames = 0;
  private readonly header = Buffer.allocUnsafeSlow(HEADER_BYTES);
  /** The frame being put together; its header is complete. */
  private partial: Buffer | undefined;
  /** Bytes of the header or of `partial` that are there. */
  private filled = 0;
  private violation: FrameViolation | undefined;
  /** Memory of an earlier frame that nobody uses any more. */
  private spare: ArrayBufferLike | undefined;
  /** Whether the payload that is being handed on is only borrowed. */
  private borrowed = false;

  /**
   * @param maxPayload largest payload in bytes that is accepted.
   * @param onFrame may be replaced between frames, as when a handshake is over.
   */
  constructor(
    public maxPayload: number,
    public onFrame: FrameHandler,
  ) {}

  /** Whether the bytes so far end inside a frame. */
  get insideFrame(): boolean {
    return this.filled > 0;
  }

  /**
   * To be called while a frame is handed on: whoever takes its payload is done with it when that call returns, so that
   * its memory may hold the next frame.
   */
  lendPayload(): void {
    this.borrowed = true;
  }

  /** Lets go of memory that is kept for the next frame. */
  dropSpare(): void {
    this.spare = undefined;
  }

  /** Takes the next bytes and returns what is wrong with them, if anything. */
  push(chunk: Buffer): FrameViolation | undefined {
    if (this.violation !== undefined) return this.violation;
    let offset = 0;
    if (this.filled > 0) {
      offset = this.complete(chunk);
      if (offset < 0) return this.violation;
    }
    const end = chunk.length;
    while (end - offset >= HEADER_BYTES) {
      const violation = this.checkHeader(chunk, offset);
      if (violation !== undefined) return this.fail(violation);
      const frameEnd = offset + HEADER_BYTES + chunk.readUInt32BE(offset + Offset.length);
      if (frameEnd > end) {
        this.begin(chunk, offset, frameEnd - offset);
        return undefined;
      }
      if (!this.deliver(chunk, offset, frameEnd)) return this.violation;
      offset = frameEnd;
    }
    if (offset < end) {
      chunk.copy(this.header, 0, offset, end);
      this.filled = end - offset;
    }
    return undefined;
  }

  /** Adds to the frame left over from earlier chunks; returns where the next frame starts, or -1 to stop. */
  private complete(chunk: Buffer): number {
    let offset = 0;
    if (this.partial === undefined) {
      offset = Math.min(HEADER_BYTES - this.filled, chunk.length);
      chunk.copy(this.header, this.filled, 0, offset);
      this.filled += offset;
      if (this.filled < HEADER_BYTES) return -1;
      const violation = this.checkHeader(this.header, 0);
      if (violation !== undefined) {
        this.fail(violation);
        return -1;
      }
      this.begin(this.header, 0, HEADER_BYTES + this.header.readUInt32BE(Offset.length), HEADER_BYTES);
    }
    const frame = this.partial ?? EMPTY;
    const take = Math.min(frame.length - this.filled, chunk.length - offset);
    chunk.copy(frame, this.filled, offset, offset + take);
    this.filled += take;
    if (this.filled < frame.length) return -1;
    this.partial = undefined;
    this.filled = 0;
    const goOn = this.deliver(frame, 0, frame.length);
    if (this.borrowed) this.keep(frame);
    return goOn ? offset + take : -1;
  }

  private begin(source: Buffer, start: number, frameBytes: number, end = source.length): void {
    this.partial = this.bufferOf(frameBytes);
    this.filled = source.copy(this.partial, 0, start, end);
  }

  private bufferOf(bytes: number): Buffer {
    const { spare } = this;
    if (bytes < MIN_SPARE_BYTES) return Buffer.allocUnsafe(bytes);
    if (spare === undefined || spare.byteLength < bytes) return Buffer.allocUnsafeSlow(bytes);
    this.spare = undefined;
    return Buffer.from(spare, 0, bytes);
  }

  /** Keeps the memory of a frame for the next one that is split. */
  private keep({ buffer, length }: Buffer): void {
    // Small frames lie in memory that they share with others.
    if (length >= MIN_SPARE_BYTES && buffer.byteLength <= MAX_SPARE_BYTES) this.spare = buffer;
  }

  private checkHeader(source: Buffer, at: number): FrameViolation | undefined {
    const magic = source.readUInt32BE(at);
    if (magic !== MAGIC) return ((magic ^ MAGIC_WORD) & 0xffffff00) === 0 ? 'bad-version' : 'bad-magic';
    const type = source[at + Offset.type] ?? 0;
    if (type === 0 || type > MAX_FRAME_TYPE) return 'unknown-frame-type';
    if (source[at + Offset.flags] !== 0) return 'bad-flags';
    if (source.readUInt32BE(at + Offset.length) > this.maxPayload) return 'frame-too-large';
    return undefined;
  }

  private deliver(source: Buffer, at: number, end: number): boolean {
    this.borrowed = false;
    if (crc32(source.subarray(at + Offset.type, end)) !== source.readUInt32BE(at + Offset.checksum)) {
      this.fail('bad-checksum');
      return false;
    }
    this.frames++;
    const payloadAt = at + HEADER_BYTES;
    return this.onFrame(
      source[at + Offset.type] ?? 0,
      source.readUInt16BE(at + Offset.channel),
      source.readUInt32BE(at + Offset.correlationHigh) * 0x1_0000_0000 +
        source.readUInt32BE(at + Offset.correlationLow),
      payloadAt === end ? EMPTY : source.subarray(payloadAt, end),
    );
  }

  private fail(violation: FrameViolation): FrameViolation {
    this.violation = violation;
    this.partial = undefined;
    this.spare = undefined;
    return violation;
  }
}
