// The frames that wait to be written to one connection, encoded as they come into slabs, so that a turn's worth goes
// out in one write however many frames it has. Hot path. Payloads are copied: a sender may reuse its buffer at once.
// The queue itself has no bound; whoever appends asks its lane's budget first (see queue-budget).

import { crc32 } from '@datawarehouse/sdk';
import type { FrameType, Payload } from './frame.js';
import { HEADER_BYTES, MAGIC, Offset, payloadBytes } from './frame.js';

/** Slabs of one size that are kept for reuse, by all connections of the process together. */
interface SlabSize {
  readonly bytes: number;
  readonly maxSpares: number;
  readonly spares: Buffer[];
}

/**
 * A frame goes into a slab of the first size that it fits into: of the second are those with a chunk of a snapshot, which
 * would be a quarter of a MiB for the collector each. Larger frames get a buffer of their own.
 */
const SLAB_SIZES: readonly SlabSize[] = [
  { bytes: 64 * 1024, maxSpares: 32, spares: [] },
  { bytes: 320 * 1024, maxSpares: 8, spares: [] },
];

interface Chunk {
  readonly buffer: Buffer;
  used: number;
  /** Bytes that earlier batches have taken. */
  taken: number;
  frames: number;
}

/** What one write takes off the queue. */
export interface WriteBatch {
  readonly buffers: Buffer[];
  readonly bytes: number;
  /** Frames that end in this batch. */
  readonly frames: number;
  /** Buffers that are free once the batch is written. */
  readonly slabs: Buffer[];
}

/** Encoded frames in the order they are sent. */
export class FrameQueue {
  /** Bytes waiting. */
  bytes = 0;
  /** Frames waiting. */
  frames = 0;
  /** Bytes ever appended: where the next frame will start in the stream. */
  appended = 0;
  private readonly chunks: Chunk[] = [];

  /** Encodes a frame at the end of the queue and returns its size in bytes. */
  append(type: FrameType, channel: number, correlation: number, payload: Payload): number {
    const length = payloadBytes(payload);
    const frameBytes = HEADER_BYTES + length;
    const chunk = this.chunkFor(frameBytes);
    const at = chunk.used;
    const end = at + frameBytes;
    const buffer = chunk.buffer;
    buffer.writeUInt32BE(MAGIC, at);
    buffer[at + Offset.type] = type;
    buffer[at + Offset.flags] = 0;
    buffer.writeUInt16BE(channel, at + Offset.channel);
    buffer.writeUInt32BE(length, at + Offset.length);
    buffer.writeUInt32BE(Math.floor(correlation / 0x1_0000_0000), at + Offset.correlationHigh);
    buffer.writeUInt32BE(correlation >>> 0, at + Offset.correlationLow);
    let position = at + HEADER_BYTES;
    if (payload instanceof Uint8Array) buffer.set(payload, position);
    else {
      for (const part of payload) {
        buffer.set(part, position);
        position += part.length;
      }
    }
    buffer.writeUInt32BE(crc32(buffer.subarray(at + Offset.type, end)), at + Offset.checksum);
    chunk.used = end;
    chunk.frames++;
    this.bytes += frameBytes;
    this.frames++;
    this.appended += frameBytes;
    return frameBytes;
  }

  /** Takes up to `maxBytes` (at least something) off the front, or undefined when nothing waits. */
  take(maxBytes: number): WriteBatch | undefined {
    if (this.bytes === 0) return undefined;
    const buffers: Buffer[] = [];
    const slabs: Buffer[] = [];
    let bytes = 0;
    let frames = 0;
    while (bytes < maxBytes) {
      const chunk = this.chunks[0];
      if (chunk === undefined) break;
      const end = Math.min(chunk.used, chunk.taken + maxBytes - bytes);
      buffers.push(chunk.buffer.subarray(chunk.taken, end));
      bytes += end - chunk.taken;
      chunk.taken = end;
      if (end < chunk.used) break;
      frames += chunk.frames;
      slabs.push(chunk.buffer);
      this.chunks.shift();
    }
    this.bytes -= bytes;
    this.frames -= frames;
    return { buffers, bytes, frames, slabs };
  }

  /** Forgets everything that waits. */
  clear(): void {
    this.chunks.length = 0;
    this.bytes = 0;
    this.frames = 0;
  }

  private chunkFor(frameBytes: number): Chunk {
    const last = this.chunks.at(-1);
    if (last !== undefined && last.buffer.length - last.used >= frameBytes) return last;
    const size = SLAB_SIZES.find(({ bytes }) => frameBytes <= bytes);
    const buffer = size?.spares.pop() ?? Buffer.allocUnsafeSlow(size?.bytes ?? frameBytes);
    const chunk: Chunk = { buffer, used: 0, taken: 0, frames: 0 };
    this.chunks.push(chunk);
    return chunk;
  }
}

/** Gives the slabs of a written batch back. Only for a batch that the socket has reported written without error. */
export function recycle(batch: WriteBatch): void {
  for (const slab of batch.slabs) {
    const size = SLAB_SIZES.find(({ bytes }) => slab.length === bytes);
    if (size !== undefined && size.spares.length < size.maxSpares) size.spares.push(slab);
  }
}
