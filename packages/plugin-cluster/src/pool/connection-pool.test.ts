import { FakeClock, settle } from '@datawarehouse/sdk/testing';
import { describe, expect, it } from 'vitest';
import { Connection } from '../connection/connection.js';
import { QueueBudget } from '../connection/queue-budget.js';
import type { StreamEnd } from '../connection/stream-pair.test.kit.js';
import { streamPair } from '../connection/stream-pair.test.kit.js';
import { livenessBounds, settingsOf, transportLimits } from '../limits.js';
import { FrameType } from '../wire/frame.js';
import { ConnectionPool } from './connection-pool.js';
import { slotOfChannel } from './slot-policy.js';

const MINUTE = 60_000;
const WAL_SLOT = 1 + slotOfChannel('wal', 3);

interface Opened {
  readonly slot: number;
  readonly connection: Connection;
  /** Our end and the peer's. */
  readonly stream: StreamEnd;
  readonly far: StreamEnd;
  readonly got: string[];
}

/** A pool whose bulk connections are streams in memory, established as soon as they are opened. */
function poolOf() {
  const clock = new FakeClock();
  const limits = transportLimits(1);
  const opened: Opened[] = [];
  const closed: string[] = [];
  let pool: ConnectionPool | undefined;
  const connectionOver = (stream: StreamEnd): Connection => {
    const budget = new QueueBudget(() => ({ messages: 1e6, bytes: 1e9, totalBytes: 1e9 }), { bytes: 0 });
    const traffic = { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 };
    const connection = new Connection({ socket: stream, clock, budget, traffic, maxPayload: 4_096 });
    connection.establish(1e6, 1e6);
    return connection;
  };
  const open = (slot: number): Connection => {
    const [stream, far] = streamPair();
    const connection = connectionOver(stream);
    connection.onClosed = (reason) => {
      closed.push(`${slot}:${reason}`);
      pool?.removed(connection);
    };
    const got: string[] = [];
    connectionOver(far).onFrame = (type, _channel, _correlation, payload) => {
      got.push(`${type}:${payload.toString()}`);
      return true;
    };
    opened.push({ slot, connection, stream, far, got });
    return connection;
  };
  const made = new ConnectionPool({ control: open(0), settings: () => settingsOf(limits), dialBulk: open });
  pool = made;
  const tick = async (): Promise<void> => {
    made.tick(clock.now(), livenessBounds(settingsOf(limits)));
    await settle();
  };
  return { pool: made, clock, limits, opened, closed, tick };
}

const message = (pool: ConnectionPool, channel: string): Connection => {
  const connection = pool.connectionFor('bulk', 'message', channel);
  connection.sendOn(channel, FrameType.message, 0, Buffer.from(channel));
  return connection;
};

describe('the connections to one peer', () => {
  it('are one for control until bulk is needed', () => {
    const { pool, opened } = poolOf();
    for (let i = 0; i < 10; i++) expect(pool.connectionFor('control', 'request', `c${i}`)).toBe(pool.control);
    expect([pool.size, opened.length]).toEqual([1, 1]);
  });

  it('are four at most by default, opened one after the other as they are needed', () => {
    const { pool, opened } = poolOf();
    const counts: number[] = [];
    for (let i = 0; i < 6; i++) {
      pool.connectionFor('bulk', 'request', 'content').pendingRequests++;
      counts.push(pool.size);
    }
    expect(counts).toEqual([2, 3, 4, 4, 4, 4]);
    expect(opened.map(({ slot }) => slot)).toEqual([0, 1, 2, 3]);
    expect(opened.slice(1).map(({ connection }) => connection.pendingRequests)).toEqual([2, 2, 2]);
  });

  it('take an idle connection for a request before a new one is opened', () => {
    const { pool } = poolOf();
    const first = pool.connectionFor('bulk', 'request', 'content');
    expect(pool.connectionFor('bulk', 'request', 'content')).toBe(first);
  });

  it('carry the messages of a channel on the same connection, so that they stay in order', async () => {
    const { pool, opened } = poolOf();
    for (let i = 0; i < 100; i++) for (const channel of ['wal', 'files']) message(pool, channel);
    await settle();
    for (const channel of ['wal', 'files']) {
      expect(opened.filter(({ got }) => got.includes(`${FrameType.message}:${channel}`)).length).toBe(1);
    }
  });

  it('are closed when bulk was idle for five minutes, and not before; control stays', async () => {
    const { pool, clock, closed, tick } = poolOf();
    message(pool, 'wal');
    await tick();
    for (let passed = 0; passed < 5 * MINUTE - 1_000; passed += 1_000) {
      clock.advance(1_000);
      await tick();
    }
    expect([pool.size, closed]).toEqual([2, []]);
    clock.advance(1_000);
    await tick();
    expect(closed).toEqual([`${WAL_SLOT}:idle`]);
    expect(pool.size).toBe(1);
    expect(pool.control.isOpen).toBe(true);
  });

  it('stay while a reply is awaited, however long it takes', async () => {
    const { pool, clock, closed, tick } = poolOf();
    const connection = pool.connectionFor('bulk', 'request', 'content');
    connection.pendingRequests++;
    for (let minute = 0; minute < 6; minute++) {
      clock.advance(MINUTE);
      await tick();
    }
    expect(closed).toEqual([]);
    connection.pendingRequests--;
    clock.advance(5 * MINUTE);
    await tick();
    expect(closed).toEqual(['1:idle']);
  });

  it('are asked for a sign of life before an idle one is used again', async () => {
    const { pool, clock, opened } = poolOf();
    message(pool, 'wal');
    await settle();
    const [, bulk] = opened;
    if (bulk === undefined) throw new Error('a bulk connection was opened');
    bulk.got.length = 0;
    clock.advance(10_000);
    bulk.far.stalled = true;
    message(pool, 'wal');
    await settle();
    expect(bulk.got).toEqual([]);
    bulk.far.resumeWrites();
    await settle();
    expect(bulk.got).toEqual([`${FrameType.message}:wal`]);
  });

  it('replace one that did not answer in time', async () => {
    const { pool, clock, opened, closed, tick } = poolOf();
    const first = message(pool, 'wal');
    await settle();
    const [, bulk] = opened;
    if (bulk === undefined) throw new Error('a bulk connection was opened');
    bulk.far.stalled = true;
    for (let look = 0; look < 6 && closed.length === 0; look++) {
      clock.advance(500);
      await tick();
    }
    expect(closed).toEqual([`${WAL_SLOT}:silent`]);
    expect(message(pool, 'wal')).not.toBe(first);
  });

  it('shrink to a lowered limit once they have finished what they carry', async () => {
    const { pool, limits, closed, tick } = poolOf();
    const used = [1, 2, 3].map(() => {
      const connection = pool.connectionFor('bulk', 'request', 'content');
      connection.pendingRequests++;
      return connection;
    });
    limits.apply({ maxConnectionsPerPeer: 2 });
    await tick();
    expect([pool.size, closed]).toEqual([4, []]);
    expect(pool.connectionFor('bulk', 'request', 'content')).toBe(used[0]);
    for (const connection of used) connection.pendingRequests--;
    await tick();
    expect(closed.toSorted()).toEqual(['2:retired', '3:retired']);
    expect(pool.size).toBe(2);
  });

  it('end together', () => {
    const { pool, opened, closed } = poolOf();
    message(pool, 'wal');
    pool.close('evicted');
    expect(closed.toSorted()).toEqual(['0:evicted', `${WAL_SLOT}:evicted`]);
    expect(opened.map(({ connection }) => connection.isOpen)).toEqual([false, false]);
  });
});
