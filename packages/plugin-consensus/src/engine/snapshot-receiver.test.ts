// Given a receiver whose sink writes when the test says so.

import { FakeClock, settle } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import type { Snapshot } from '../raft/types.js';
import { MAX_CHUNK_BYTES, encodeChunkHeader } from '../storage/snapshot-format.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { encodeTransfer } from './snapshot-transfer.js';

const conf = {
  voters: ['a', 'b'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};
const begin = {
  kind: 'begin',
  transfer: 1,
  groupId: 'g',
  term: 1,
  metadata: { index: 9, term: 1, conf },
  shape: { bytes: 100 * MAX_CHUNK_BYTES, digest: '0'.repeat(64) },
} as const;

/** A write under way: what it was given, and how it ends. */
interface Write {
  readonly block: Uint8Array;
  readonly end: (error?: Error) => void;
}

async function receiving() {
  const writes: Write[] = [];
  const delivered: number[] = [];
  let durable: (snapshot: Snapshot) => void = () => undefined;
  const sink = {
    next: 0,
    write: (_chunk: number, block: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        writes.push({ block, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
    finish: () =>
      new Promise<Snapshot>((resolve) => {
        durable = resolve;
      }),
    close: async () => undefined,
  };
  const receiver = new SnapshotReceiver(
    {
      receive: async () => sink,
      deliver: (_group, _from, _term, { metadata }) => void delivered.push(metadata.index),
    },
    new FakeClock(),
  );
  const send = (request: Parameters<typeof encodeTransfer>[0]): Promise<Uint8Array> =>
    receiver.onRequest('a', Buffer.concat(encodeTransfer(request)));
  await send(begin);
  const chunk = async (number: number, transfer = 1): Promise<{ readonly answer: Promise<Uint8Array> }> => {
    const block = Buffer.concat([
      encodeChunkHeader(MAX_CHUNK_BYTES, 0),
      Buffer.alloc(MAX_CHUNK_BYTES, number),
    ]);
    const answer = send({ kind: 'chunk', transfer, chunk: number, block });
    answer.catch(() => undefined);
    await settle();
    return { answer };
  };
  const finish = (): void => durable({ metadata: begin.metadata, data: new Uint8Array(0) });
  return { writes, chunk, send, receiver, delivered, finish };
}

describe('a snapshot that has come whole', () => {
  it('is told of when it is durable', async () => {
    const { send, delivered, finish } = await receiving();
    const answer = send({ kind: 'end', transfer: 1 });
    await settle();
    expect(delivered).toEqual([]);
    finish();
    await answer;
    expect(delivered).toEqual([9]);
  });

  it('is not told of to the replica that has taken the place of the one it was for', async () => {
    const { send, delivered, finish, receiver } = await receiving();
    const answer = send({ kind: 'end', transfer: 1 });
    answer.catch(() => undefined);
    await settle();
    receiver.stop('g');
    finish();
    await expect(answer).rejects.toThrow('it was given up');
    expect(delivered).toEqual([]);
  });
});

describe('the memory of chunks that are received', () => {
  it('is used again once a chunk is written, so that little is left to be cleared away', async () => {
    const { writes, chunk } = await receiving();
    for (let n = 0; n < 20; n++) {
      const { answer } = await chunk(n);
      expect(writes[n]?.block.at(-1)).toBe(n);
      writes[n]?.end();
      await answer;
    }
    expect(new Set(writes.map(({ block }) => block.buffer)).size).toBe(1);
  });

  it('is not touched while a chunk is being written', async () => {
    const { writes, chunk } = await receiving();
    for (let n = 0; n < 4; n++) await chunk(n);
    writes[1]?.end();
    await settle();
    await chunk(4);
    expect([0, 2, 3, 4].map((n) => writes[n]?.block.at(-1))).toEqual([0, 2, 3, 4]);
    expect(writes[4]?.block.buffer).toBe(writes[1]?.block.buffer);
  });

  it('is not used again after a write that failed, of which nobody knows whether it goes on', async () => {
    const { writes, chunk, send } = await receiving();
    const { answer } = await chunk(0);
    writes[0]?.end(new Error('EIO'));
    await expect(answer).rejects.toThrow('EIO');
    await send({ ...begin, transfer: 2 });
    await chunk(7, 2);
    expect(writes[1]?.block.buffer).not.toBe(writes[0]?.block.buffer);
    expect(writes[0]?.block.at(-1)).toBe(0);
  });
});
