import { describe, expect, it } from 'vitest';
import { FrameQueue, recycle } from './frame-queue.js';
import { FrameType, HEADER_BYTES } from './frame.js';

function message(queue: FrameQueue, bytes: number): void {
  queue.append(FrameType.message, 1, 0, Buffer.alloc(bytes));
}

describe('a frame queue', () => {
  it('puts the frames of a turn into one buffer', () => {
    const queue = new FrameQueue();
    for (let i = 0; i < 100; i++) message(queue, 100);
    const batch = queue.take(1_000_000);
    expect(batch?.buffers.length).toBe(1);
    expect(batch).toMatchObject({ frames: 100, bytes: 100 * (HEADER_BYTES + 100) });
    expect({ bytes: queue.bytes, frames: queue.frames }).toEqual({ bytes: 0, frames: 0 });
  });

  it('takes a large frame in pieces, and counts it with its last', () => {
    const queue = new FrameQueue();
    message(queue, 250_000 - HEADER_BYTES);
    const taken = [queue.take(100_000), queue.take(100_000), queue.take(100_000), queue.take(100_000)];
    expect(taken.map((batch) => [batch?.bytes, batch?.frames])).toEqual([
      [100_000, 0],
      [100_000, 0],
      [50_000, 1],
      [undefined, undefined],
    ]);
  });

  it('adds up to what was appended, over any sizes of frames and batches', () => {
    const queue = new FrameQueue();
    for (const bytes of [0, 1, 65_000, 65_536 - HEADER_BYTES, 65_536, 10, 200_000]) message(queue, bytes);
    const { bytes, frames } = queue;
    let [takenBytes, takenFrames] = [0, 0];
    for (let batch = queue.take(30_000); batch !== undefined; batch = queue.take(30_000)) {
      expect(batch.buffers.reduce((sum, buffer) => sum + buffer.length, 0)).toBe(batch.bytes);
      takenBytes += batch.bytes;
      takenFrames += batch.frames;
      recycle(batch);
    }
    expect([takenBytes, takenFrames]).toEqual([bytes, frames]);
    expect(queue.appended).toBe(bytes);
  });

  it('has copied the payload when append returns', () => {
    const queue = new FrameQueue();
    const payload = Buffer.from('before');
    queue.append(FrameType.message, 1, 0, [payload, payload]);
    payload.write('AFTER!');
    expect(queue.take(1_000)?.buffers[0]?.toString('latin1', HEADER_BYTES)).toBe('beforebefore');
  });

  it.each([100, 65_536, 262_152, 300_000])(
    'puts a frame of %i bytes into memory that was used before',
    (bytes) => {
      const queue = new FrameQueue();
      const memories = Array.from({ length: 5 }, () => {
        message(queue, bytes);
        const batch = queue.take(Infinity);
        if (batch !== undefined) recycle(batch);
        return batch?.buffers[0]?.buffer;
      });
      expect(new Set(memories).size).toBe(1);
    },
  );

  it('keeps no memory of larger frames', () => {
    const queue = new FrameQueue();
    const memories = [1, 2].map(() => {
      message(queue, 400_000);
      const batch = queue.take(Infinity);
      if (batch !== undefined) recycle(batch);
      return batch?.buffers[0]?.buffer;
    });
    expect(memories[0]).not.toBe(memories[1]);
    expect(memories[0]?.byteLength).toBe(400_000 + HEADER_BYTES);
  });

  it('does not give a slab to the next frame while a part of it is being written', () => {
    const queue = new FrameQueue();
    queue.append(FrameType.message, 1, 0, Buffer.from('first'));
    const batch = queue.take(1_000);
    const before = Buffer.from(batch?.buffers[0] ?? []);
    queue.append(FrameType.message, 1, 0, Buffer.from('other'));
    expect(batch?.buffers[0]).toEqual(before);
  });
});
