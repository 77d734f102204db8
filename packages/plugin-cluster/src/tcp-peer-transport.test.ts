import { DwError, isDwError } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import type { TcpPeerTransport } from './tcp-peer-transport.js';
import { connectedTransports, until } from './testing.test.kit.js';

const open: TcpPeerTransport[] = [];

async function pair(): Promise<[TcpPeerTransport, TcpPeerTransport]> {
  const [a, b] = await connectedTransports(['n1', 'n2']);
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
