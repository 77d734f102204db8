import { type Clock, DwError, SystemClock, isDwError } from '@datawarehouse/sdk';
import { FakeClock } from '@datawarehouse/sdk/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { TcpPeerTransport } from './tcp-peer-transport.js';
import { connectedTransports, until } from './testing.test.kit.js';

const open: TcpPeerTransport[] = [];

async function pair(clock: Clock = new SystemClock()): Promise<[TcpPeerTransport, TcpPeerTransport]> {
  const [a, b] = await connectedTransports(['n1', 'n2'], { clock });
  if (a === undefined || b === undefined) throw new Error('two were asked for');
  open.push(a, b);
  return [a, b];
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
});

describe('two transports on loopback', () => {
  it('delivers one-way messages in the order they were sent, in each lane', async () => {
    const [a, b] = await pair();
    const got: string[] = [];
    b.handle('log', { onMessage: (from, payload) => void got.push(`${from}:${payload.toString()}`) });
    for (let i = 0; i < 500; i++) expect(a.send('n2', 'log', Buffer.from(`${i}`))).toBe(true);
    await until(() => got.length === 500);
    expect(got).toEqual(Array.from({ length: 500 }, (_, i) => `n1:${i}`));
    got.length = 0;
    for (let i = 0; i < 500; i++) expect(a.send('n2', 'log', Buffer.from(`${i}`), 'bulk')).toBe(true);
    await until(() => got.length === 500);
    expect(got).toEqual(Array.from({ length: 500 }, (_, i) => `n1:${i}`));
  });

  it('answers requests in both lanes, also with a payload of several parts', async () => {
    const [a, b] = await pair();
    b.handle('echo', {
      onRequest: async (_from, payload) => [Buffer.from('<'), Buffer.from(payload), Buffer.from('>')],
    });
    const parts = [Buffer.from('a'), Buffer.from('bc')];
    expect((await a.request('n2', 'echo', parts)).toString()).toBe('<abc>');
    expect((await a.request('n2', 'echo', parts, { lane: 'bulk' })).toString()).toBe('<abc>');
    const large = Buffer.alloc(5_000_000, 'x');
    expect((await a.request('n2', 'echo', large)).length).toBe(5_000_002);
  });

  it('leaves the payloads of requests alone, but those of handlers that only borrow them', async () => {
    // A clock that stands: at each of its ticks a connection lets go of the memory that it could use again.
    const [a, b] = await pair(new FakeClock());
    const payloads: Record<string, Buffer[]> = { kept: [], borrowed: [] };
    for (const [channel, list] of Object.entries(payloads)) {
      b.handle(channel, {
        borrowsPayloads: channel === 'borrowed',
        onRequest: async (_from, payload) => {
          list.push(payload);
          return [];
        },
      });
    }
    for (const channel of ['kept', 'borrowed']) {
      for (const fill of [1, 2, 3]) {
        await a.request('n2', channel, Buffer.alloc(300_000, fill), { lane: 'bulk' });
      }
    }
    expect(payloads.kept?.map((payload) => payload[299_999])).toEqual([1, 2, 3]);
    expect(payloads.borrowed?.map((payload) => payload[299_999])).toEqual([3, 3, 3]);
  });

  it('carries a DwError to who asked, with its code, and no other details of a failure', async () => {
    const [a, b] = await pair();
    b.handle('refuse', {
      onRequest: async () => {
        throw new DwError({
          code: 'not-leader',
          message: 'n3 leads',
          retryable: true,
          status: 409,
          details: { leader: 'n3' },
        });
      },
    });
    b.handle('crash', {
      onRequest: () => {
        throw new TypeError('undefined is not a function');
      },
    });
    const refused: unknown = await a.request('n2', 'refuse', []).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'not-leader',
      message: 'n3 leads',
      retryable: true,
      status: 409,
      details: { leader: 'n3', answeredBy: 'n2' },
    });
    const crashed: unknown = await a.request('n2', 'crash', []).catch((error: unknown) => error);
    expect(isDwError(crashed, 'peer-handler-failed')).toBe(true);
    const nobody: unknown = await a.request('n2', 'nowhere', []).catch((error: unknown) => error);
    expect(isDwError(nobody, 'channel-unhandled')).toBe(true);
  });
});
