// Given two nodes and a snapshot that one of them is behind.

import { DwError, type IPeerTransport, type Logger } from '@datawarehouse/sdk';
import { FakeClock, MemoryNetwork, settle } from '@datawarehouse/sdk/testing';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Snapshot, SnapshotMetadata } from '../raft/types.js';
import { MemoryNodeStorage } from '../storage/index.js';
import { MAX_CHUNK_BYTES } from '../storage/snapshot-format.js';
import type { GroupStorage, NodeStorage } from '../storage/types.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import { type SenderLimits, SnapshotSender } from './snapshot-sender.js';
import { SNAPSHOT_CHANNEL, decodeTransfer, encodeTransfer } from './snapshot-transfer.js';

const conf = {
  voters: ['a', 'b'],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};
const quiet = { info: () => undefined, warn: () => undefined } as unknown as Logger;
const CHUNKS = 20;

interface Pair {
  readonly clock: FakeClock;
  readonly network: MemoryNetwork;
  readonly from: GroupStorage;
  readonly to: GroupStorage;
  /** What the receiver's group is stored in. */
  readonly stored: NodeStorage;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  readonly delivered: Snapshot[];
  readonly done: boolean[];
  /** Numbers of the chunks that reached the receiver. */
  readonly chunks: number[];
  readonly limits: { -readonly [K in keyof SenderLimits]: SenderLimits[K] };
  start(metadataOnly?: boolean): void;
}

const pairs: Pair[] = [];
afterEach(() => {
  for (const { sender, receiver } of pairs.splice(0)) {
    sender.stop();
    receiver.stop();
  }
});

async function takeSnapshot(group: GroupStorage, index: number): Promise<void> {
  const body = Array.from({ length: CHUNKS }, (_, n) => Buffer.alloc(MAX_CHUNK_BYTES, n + index));
  await group.saveSnapshot({ index, term: 1, conf }, body);
}

async function pair(): Promise<Pair> {
  const clock = new FakeClock();
  const network = new MemoryNetwork({ nodes: ['a', 'b'], clock });
  const [stored, fresh] = [new MemoryNodeStorage(), new MemoryNodeStorage()];
  const [from, to] = [await stored.openGroup('g', conf), await fresh.openGroup('g', conf)];
  const entries = Array.from({ length: 100 }, (_, n) => ({
    index: n + 1,
    term: 1,
    type: 'normal' as const,
    data: Buffer.alloc(1),
  }));
  await stored.write([{ groupId: 'g', hardState: undefined, entries, snapshot: undefined }]);
  await takeSnapshot(from, 50);
  const limits = { maxSnapshotTransfers: 4, snapshotBytesPerSecond: 0 };
  const done: boolean[] = [];
  const delivered: Snapshot[] = [];
  const chunks: number[] = [];
  const sender = new SnapshotSender(
    network.transport('a'),
    quiet,
    clock,
    () => limits,
    (_group, _peer, ok) => {
      done.push(ok);
    },
  );
  const receiver = new SnapshotReceiver(
    {
      receive: (_group, metadata: SnapshotMetadata, shape) => to.receiveSnapshot(metadata, shape),
      deliver: (_group, _from, _term, snapshot) => delivered.push(snapshot),
    },
    clock,
  );
  network.transport('b').handle(SNAPSHOT_CHANNEL, {
    onRequest: (peer, payload) => {
      const request = decodeTransfer(payload);
      if (request.kind === 'chunk') chunks.push(request.chunk);
      return receiver.onRequest(peer, payload);
    },
  });
  const start = (metadataOnly = false): void => {
    sender.start({ groupId: 'g', peer: 'b', term: 1, storage: from, metadataOnly });
  };
  const made = {
    clock,
    network,
    from,
    to,
    stored: fresh,
    sender,
    receiver,
    delivered,
    done,
    chunks,
    limits,
    start,
  };
  pairs.push(made);
  return made;
}

async function until(what: () => boolean): Promise<void> {
  for (let n = 0; n < 10_000 && !what(); n++) await settle();
  expect(what()).toBe(true);
}

describe('a snapshot transfer', () => {
  it('brings each chunk once and tells the core only when all is there', async () => {
    const both = await pair();
    both.start();
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([true]);
    expect(both.chunks.toSorted((a, b) => a - b)).toEqual(Array.from({ length: CHUNKS }, (_, n) => n));
    expect(both.delivered.map(({ metadata }) => metadata.index)).toEqual([50]);
    expect([both.sender.sent, both.sender.transfers, both.receiver.size]).toEqual([1, 0, 0]);
  });

  it('of a snapshot that the follower has tells the core of it, so that the leader hears what it has', async () => {
    const both = await pair();
    both.start();
    await until(() => both.done.length > 0);
    const [snapshot] = both.delivered as [Snapshot];
    await both.stored.write([{ groupId: 'g', hardState: undefined, entries: [], snapshot }]);
    both.start();
    await until(() => both.done.length > 1);
    expect(both.done).toEqual([true, false]);
    expect(both.delivered.map(({ metadata }) => metadata.index)).toEqual([50, 50]);
  });

  it('goes on where it broke off', async () => {
    const both = await pair();
    both.start();
    await until(() => both.chunks.length >= 10);
    both.network.partition(['a'], ['b']);
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([false]);
    const before = both.chunks.length;
    both.network.heal();
    both.start();
    await until(() => both.done.length > 1);
    expect(both.done).toEqual([false, true]);
    // No more than the chunks that were under way when it broke come again.
    expect(both.chunks.length - before).toBeLessThanOrEqual(CHUNKS - before + 8);
    expect(both.delivered).toHaveLength(1);
  });

  it('goes on with the snapshot it began, though a newer one was taken, while the log goes on from it', async () => {
    const both = await pair();
    both.start();
    await until(() => both.chunks.length >= 10);
    both.network.partition(['a'], ['b']);
    await until(() => both.done.length > 0);
    both.network.heal();
    await takeSnapshot(both.from, 80);
    await both.from.compact(40);
    const before = both.chunks.length;
    both.start();
    await until(() => both.done.length > 1);
    expect(both.delivered.map(({ metadata }) => metadata.index)).toEqual([50]);
    expect(both.chunks.length - before).toBeLessThan(CHUNKS);
  });

  it('begins with the newest one when the log no longer goes on from the one it began', async () => {
    const both = await pair();
    both.start();
    await until(() => both.chunks.length >= 10);
    both.network.partition(['a'], ['b']);
    await until(() => both.done.length > 0);
    both.network.heal();
    await takeSnapshot(both.from, 80);
    await both.from.compact(70);
    both.start();
    await until(() => both.done.length > 1);
    expect(both.delivered.map(({ metadata }) => metadata.index)).toEqual([80]);
  });

  it('does not go on with a source that turned out to be damaged', async () => {
    const both = await pair();
    const opened = both.from.openSnapshot.bind(both.from);
    both.from.openSnapshot = async () => {
      const damaged = new DwError({ code: 'raft-log-damaged', message: 'a bit has flipped' });
      return { ...(await opened()), read: () => Promise.reject(damaged) };
    };
    both.start();
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([false]);
    both.from.openSnapshot = opened;
    both.start();
    await until(() => both.done.length > 1);
    expect(both.done).toEqual([false, true]);
  });

  it('says how far the log may be let go while it lasts', async () => {
    const both = await pair();
    expect(both.sender.lowestIndex('g')).toBeUndefined();
    both.start();
    expect(both.sender.lowestIndex('g')).toBe(50);
    expect(both.sender.lowestIndex('other')).toBeUndefined();
    await until(() => both.done.length > 0);
    expect(both.sender.lowestIndex('g')).toBeUndefined();
  });

  it('keeps to the rate, also when it is changed on the way', async () => {
    const both = await pair();
    both.limits.snapshotBytesPerSecond = MAX_CHUNK_BYTES;
    both.start();
    for (let ms = 0; ms < 5_000; ms += 50) {
      await both.clock.advanceAsync(50);
      await settle();
    }
    expect(both.chunks.length).toBeGreaterThanOrEqual(4);
    expect(both.chunks.length).toBeLessThanOrEqual(7);
    both.limits.snapshotBytesPerSecond = 0;
    await both.clock.advanceAsync(100);
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([true]);
  });

  it('is refused when as many as allowed are under way, and the core hears of it', async () => {
    const both = await pair();
    both.limits.maxSnapshotTransfers = 1;
    both.limits.snapshotBytesPerSecond = 1;
    both.start();
    await settle();
    both.sender.start({ groupId: 'h', peer: 'b', term: 1, storage: both.from, metadataOnly: false });
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([false]);
    both.sender.stop();
  });

  it('sends no body to a peer that holds no state', async () => {
    const both = await pair();
    both.start(true);
    await until(() => both.done.length > 0);
    expect([both.done, both.chunks, both.delivered.length]).toEqual([[true], [], 1]);
  });

  it('is given up by the receiver when its sender went silent, and is gone on with later', async () => {
    const both = await pair();
    both.start();
    await until(() => both.chunks.length >= 5);
    both.sender.stop();
    await until(() => both.sender.transfers === 0);
    await both.clock.advanceAsync(61_000);
    both.receiver.sweep();
    expect(both.receiver.size).toBe(0);
    both.start();
    await until(() => both.done.length > 0);
    expect(both.done).toEqual([true]);
  });
});

describe('what a hostile sender says is refused', () => {
  const request = (transport: IPeerTransport, parts: readonly Uint8Array[]): Promise<Buffer> =>
    transport.request('b', SNAPSHOT_CHANNEL, parts, { lane: 'bulk' });

  it('bytes that are no request, chunks that nobody began, of a size that cannot be', async () => {
    const both = await pair();
    const transport = both.network.transport('a');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        const answer = request(transport, [bytes]).then(
          () => 'taken',
          () => 'refused',
        );
        expect(await answer).toBe('refused');
      }),
      { numRuns: 50 },
    );
    const chunk = { kind: 'chunk', transfer: 7, chunk: 0, block: Buffer.alloc(8) } as const;
    await expect(request(transport, encodeTransfer(chunk))).rejects.toMatchObject({
      code: 'snapshot-transfer-failed',
    });
    const shape = { bytes: 10 * MAX_CHUNK_BYTES, digest: '00'.repeat(32) };
    const metadata = { index: 60, term: 1, conf };
    await request(
      transport,
      encodeTransfer({ kind: 'begin', transfer: 7, groupId: 'g', term: 1, metadata, shape }),
    );
    const huge = { ...chunk, block: Buffer.alloc(2 * MAX_CHUNK_BYTES) };
    await expect(request(transport, encodeTransfer(huge))).rejects.toMatchObject({
      code: 'snapshot-transfer-failed',
    });
    // The transfer is over.
    await expect(request(transport, encodeTransfer(chunk))).rejects.toMatchObject({
      code: 'snapshot-transfer-failed',
    });
    expect(both.delivered).toEqual([]);
  });
});
