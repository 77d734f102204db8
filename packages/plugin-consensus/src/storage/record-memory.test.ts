import { describe, expect, it } from 'vitest';
import { giveMemory, takeMemory } from './record-memory.js';

/** Takes what other tests of this process have left. */
function empty(): void {
  // So little makes no new piece.
  while (takeMemory(1).buffer.byteLength > 50_000);
}

describe('memory for records', () => {
  it('is used again once it was given back, however much of it was asked for', () => {
    empty();
    const first = takeMemory(50_000);
    expect(first.length).toBe(50_000);
    const other = takeMemory(50_000);
    expect(other.buffer).not.toBe(first.buffer);
    giveMemory(first.subarray(0, 7));
    const next = takeMemory(90_000);
    expect(next.buffer).toBe(first.buffer);
    expect(next.length).toBe(90_000);
    giveMemory(other);
    expect(takeMemory(3).buffer).toBe(other.buffer);
  });

  it('is no more than was asked for where that is little and none is free, or much', () => {
    empty();
    expect(takeMemory(100).buffer.byteLength).toBeLessThan(50_000);
    expect(takeMemory(200_000).buffer.byteLength).toBe(200_000);
  });

  it('that is no piece is not kept, and of pieces a few', () => {
    empty();
    giveMemory(takeMemory(200_000));
    giveMemory(takeMemory(100));
    expect(takeMemory(1).buffer.byteLength).toBeLessThan(50_000);
    const many = Array.from({ length: 20 }, () => takeMemory(50_000));
    for (const one of many) giveMemory(one);
    const buffers = new Set(many.map(({ buffer }) => buffer));
    const kept = Array.from({ length: 20 }, () => takeMemory(50_000)).filter(({ buffer }) =>
      buffers.has(buffer),
    );
    expect(kept).toHaveLength(8);
  });
});
