import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, BlockReader, blocksOf } from './snapshot-blocks.js';

const KIND = 3;
const RECORD_BYTES = 4_096;

function chunksOf(records: number): Uint8Array[] {
  const values = Array.from({ length: records }, (_, n) => Buffer.alloc(RECORD_BYTES, n));
  return [...blocksOf(KIND, values, (writer, value) => writer.blob(value))];
}

describe('a state that is written as blocks', () => {
  it('takes about as much memory as it has bytes, so that little is left to be cleared away', () => {
    const chunks = chunksOf(160);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const buffers = new Set(chunks.filter(({ length }) => length > BLOCK_BYTES).map(({ buffer }) => buffer));
    const held = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(buffers.size).toBeGreaterThan(5);
    expect(held).toBeLessThan(1.2 * bytes);
  });

  it('takes the memory of one chunk when chunks are lent, and says the same', () => {
    const values = Array.from({ length: 160 }, (_, n) => Buffer.alloc(RECORD_BYTES, n));
    const buffers = new Set<ArrayBufferLike>();
    const copies: Buffer[] = [];
    for (const chunk of blocksOf(KIND, values, (writer, value) => writer.blob(value), 'lent')) {
      buffers.add(chunk.buffer);
      copies.push(Buffer.from(chunk));
    }
    expect(buffers.size).toBe(1);
    expect(copies.length).toBeGreaterThan(5);
    expect(Buffer.concat(copies).equals(Buffer.concat(chunksOf(160)))).toBe(true);
  });

  it('is put together again however its chunks are cut', () => {
    const reader = new BlockReader();
    const found: Buffer[] = [];
    const whole = Buffer.concat(chunksOf(40));
    for (let at = 0; at < whole.length; at += 1_000) {
      reader.push(whole.subarray(at, at + 1_000));
      for (let body = reader.next(); body !== undefined; body = reader.next()) found.push(Buffer.from(body));
    }
    expect(reader.partial).toBe(false);
    expect(found.every((body) => body[0] === KIND)).toBe(true);
    // Each record stands behind a length of two bytes, each block begins with its kind.
    const records = found.reduce((sum, body) => sum + (body.length - 1) / (RECORD_BYTES + 2), 0);
    expect(records).toBe(40);
  });
});
