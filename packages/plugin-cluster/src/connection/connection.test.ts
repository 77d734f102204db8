import { FakeClock, settle } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { FrameType, HEADER_BYTES } from '../wire/frame.js';
import type { CloseReason } from './close-reason.js';
import { Connection } from './connection.js';
import { QueueBudget } from './queue-budget.js';
import type { StreamEnd } from './stream-pair.test.kit.js';
import { streamPair } from './stream-pair.test.kit.js';

const bounds = { silent: 4, writeStalled: 6, frameStalled: 6 };

interface Side {
  readonly connection: Connection;
  readonly stream: StreamEnd;
  readonly budget: QueueBudget;
  readonly closed: CloseReason[];
  readonly got: string[];
}

function side(stream: StreamEnd, clock: FakeClock): Side {
  const budget = new QueueBudget(() => ({ messages: 1e6, bytes: 1e9, totalBytes: 1e9 }), { bytes: 0 });
  const traffic = { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 };
  const connection = new Connection({ socket: stream, clock, budget, traffic, maxPayload: 4_096 });
  const closed: CloseReason[] = [];
  const got: string[] = [];
  connection.onClosed = (reason) => void closed.push(reason);
  connection.onFrame = (type, _channel, _correlation, payload) => {
    got.push(`${type}:${payload.toString()}`);
    return true;
  };
  return { connection, stream, budget, closed, got };
}

/** Two established connections, each the other's far end. */
function pair(): { a: Side; b: Side; clock: FakeClock } {
  const clock = new FakeClock();
  const [one, two] = streamPair();
  const [a, b] = [side(one, clock), side(two, clock)];
  for (const { connection } of [a, b]) connection.establish(1e6, 1e6);
  return { a, b, clock };
}

describe('a connection', () => {
  it('writes all frames of a turn at once', async () => {
    const { a, b } = pair();
    for (let i = 0; i < 1_000; i++) a.connection.sendOn('raft', FrameType.message, 0, Buffer.from(`${i}`));
    expect(a.stream.writes).toEqual([]);
    await settle();
    expect(a.stream.writes.length).toBe(1);
    expect(b.got.length).toBe(1_001);
    expect(b.got.slice(0, 3)).toEqual([
      `${FrameType.bind}:raft`,
      `${FrameType.message}:0`,
      `${FrameType.message}:1`,
    ]);
  });

  it('puts several slabs into one write as well', async () => {
    const { a } = pair();
    for (let i = 0; i < 3; i++) a.connection.sendOn('raft', FrameType.message, 0, Buffer.alloc(60_000));
    await settle();
    expect(a.stream.writes.map((buffers) => buffers.length)).toEqual([3]);
  });

  it('releases what it queued exactly once, whether it was written or dropped', async () => {
    const { a } = pair();
    a.connection.sendOn('raft', FrameType.message, 0, Buffer.alloc(100));
    expect([a.budget.messages, a.budget.bytes]).toEqual([2, 2 * HEADER_BYTES + 4 + 100]);
    await settle();
    expect([a.budget.messages, a.budget.bytes]).toEqual([0, 0]);
    a.stream.stalled = true;
    a.connection.sendOn('raft', FrameType.message, 0, Buffer.alloc(100));
    await settle();
    a.connection.sendOn('raft', FrameType.message, 0, Buffer.alloc(100));
    expect(a.budget.messages).toBe(2);
    a.connection.close('shutdown');
    a.stream.resumeWrites();
    await settle();
    expect([a.budget.messages, a.budget.bytes]).toEqual([0, 0]);
  });

  it('measures the round trip of each ping and answers those of the other side', async () => {
    const { a, clock } = pair();
    const trips: number[] = [];
    a.connection.onRoundTrip = (milliseconds) => void trips.push(milliseconds);
    a.stream.stalled = true;
    a.connection.tick(bounds);
    clock.advance(30);
    a.stream.resumeWrites();
    await settle();
    expect(trips).toEqual([30]);
  });

  it('closes when the other side was silent for so many looks, and not before', () => {
    const { a, b } = pair();
    b.stream.stalled = true;
    for (let look = 0; look < bounds.silent; look++) a.connection.tick(bounds);
    expect(a.closed).toEqual([]);
    a.connection.tick(bounds);
    expect(a.closed).toEqual(['silent']);
  });

  it('stays while pings are answered', async () => {
    const { a, b } = pair();
    for (let look = 0; look < 20; look++) {
      a.connection.tick(bounds);
      await settle();
    }
    expect([a.closed, b.closed]).toEqual([[], []]);
  });

  it('closes when the other side sends but does not read', async () => {
    const { a, b } = pair();
    a.stream.stalled = true;
    a.connection.sendOn('raft', FrameType.message, 0, Buffer.alloc(100));
    await settle();
    for (let look = 0; look < 20 && a.closed.length === 0; look++) {
      b.connection.send(FrameType.cancel, 1, []);
      await settle();
      a.connection.tick(bounds);
    }
    expect(a.closed).toEqual(['write-stalled']);
  });

  it('holds everything back during validation, and lets it go with the answer', async () => {
    const { a, b, clock } = pair();
    clock.advance(10_000);
    b.stream.stalled = true;
    a.connection.validate(500);
    a.connection.sendOn('bulk', FrameType.message, 0, Buffer.from('late'));
    await settle();
    expect(b.got).toEqual([]);
    expect(a.stream.writes).toEqual([[HEADER_BYTES]]);
    b.stream.resumeWrites();
    await settle();
    expect(b.got).toEqual([`${FrameType.bind}:bulk`, `${FrameType.message}:late`]);
  });

  it('does not hold anything back when a ping was answered lately', async () => {
    const { a, b, clock } = pair();
    clock.advance(500);
    a.connection.validate(500);
    a.connection.sendOn('bulk', FrameType.message, 0, Buffer.from('now'));
    await settle();
    expect(b.got.length).toBe(2);
  });

  it('drops what it held back when the validation fails', () => {
    const { a, b, clock } = pair();
    clock.advance(10_000);
    b.stream.stalled = true;
    a.connection.validate(500);
    a.connection.sendOn('bulk', FrameType.message, 0, Buffer.from('lost'));
    const handed = a.connection.handedBytes;
    expect(a.connection.lastPosition).toBeGreaterThanOrEqual(handed);
    for (let look = 0; look <= bounds.silent; look++) a.connection.tick(bounds);
    expect(a.closed).toEqual(['silent']);
    expect(a.budget.bytes).toBe(0);
  });

  it('ignores a pong that answers no ping of ours', async () => {
    const { a, b } = pair();
    const trips: number[] = [];
    a.connection.onRoundTrip = (milliseconds) => void trips.push(milliseconds);
    b.connection.send(FrameType.pong, 1, []);
    b.connection.send(FrameType.pong, 99, []);
    await settle();
    expect(trips).toEqual([]);
    expect(a.closed).toEqual([]);
  });

  it('ends in good order: what was written before still arrives, and no timer is left', async () => {
    const { a, b, clock } = pair();
    a.connection.send(FrameType.goodbye, 0, []);
    await a.connection.flushed();
    a.connection.end('shutdown');
    await a.connection.whenGone;
    expect(b.got).toEqual([`${FrameType.goodbye}:`]);
    expect(b.closed).toEqual(['ended']);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('does not wait for ever for an other side that never ends', async () => {
    const { a, b, clock } = pair();
    // A stream begins to flow a turn after it has a listener, and would read the end then, paused or not.
    await settle();
    b.stream.pause();
    a.connection.end('shutdown');
    await settle();
    expect(a.stream.destroyed).toBe(false);
    clock.advance(1_000);
    await a.connection.whenGone;
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('takes nothing after it was closed', async () => {
    const { a, b } = pair();
    a.connection.close('shutdown');
    expect(a.connection.sendOn('raft', FrameType.message, 0, [])).toBe(false);
    expect(a.connection.send(FrameType.message, 0, [])).toBe(false);
    b.connection.sendOn('raft', FrameType.message, 0, []);
    await settle();
    expect(a.got).toEqual([]);
    expect(a.closed).toEqual(['shutdown']);
  });
});
