// One chunk waits at most; both sides hear of an end or a failure.

import { describe, expect, it } from 'vitest';
import { ChunkQueue } from './chunk-queue.js';

describe('ChunkQueue', () => {
  it('holds the sender back until its chunk was taken', async () => {
    const queue = new ChunkQueue();
    let taken = false;
    const push = queue.push(Buffer.from('a')).then(() => {
      taken = true;
    });
    await Promise.resolve();
    expect(taken).toBe(false);
    const chunks = queue[Symbol.asyncIterator]();
    expect(Buffer.from((await chunks.next()).value as Uint8Array).toString()).toBe('a');
    await push;
    expect(taken).toBe(true);
    queue.end();
    expect((await chunks.next()).done).toBe(true);
  });

  it('fails the sender and the receiver', async () => {
    const queue = new ChunkQueue();
    const push = queue.push(Buffer.from('a'));
    queue.fail(new Error('gone'));
    await expect(push).rejects.toThrow('gone');
    await expect(queue[Symbol.asyncIterator]().next()).rejects.toThrow('gone');
    await expect(queue.push(Buffer.from('b'))).rejects.toThrow('gone');
  });
});
