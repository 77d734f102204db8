import { describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/index.js';
import { FakeClock, settle } from './fake-clock.js';
import { MemoryNetwork } from './memory-network.js';

function twoNodes(options: { queueCapacity?: number; delivery?: 'manual' | 'immediate' } = {}) {
  const clock = new FakeClock();
  const network = new MemoryNetwork({ nodes: ['a', 'b'], delivery: 'manual', clock, ...options });
  return { clock, network, a: network.transport('a'), b: network.transport('b') };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return isDwError(thrown) ? thrown.code : String(thrown);
}

describe('MemoryNetwork', () => {
  it('delivers messages in order when the test says so, and only then', () => {
    const { network, a, b } = twoNodes();
    const seen: string[] = [];
    b.handle('x', { onMessage: (from, payload) => seen.push(`${from}:${payload.toString()}`) });
    expect(a.send('b', 'x', Buffer.from('1'))).toBe(true);
    expect(a.send('b', 'x', [Buffer.from('2'), Buffer.from('3')])).toBe(true);
    expect(seen).toEqual([]);
    network.deliver();
    expect(seen).toEqual(['a:1']);
    expect(network.deliverAll()).toBe(1);
    expect(seen).toEqual(['a:1', 'a:23']);
  });

  it('delivers by itself in the next turn when asked to', async () => {
    const { a, b } = twoNodes({ delivery: 'immediate' });
    b.handle('x', { onRequest: (_from, payload) => Promise.resolve(Buffer.concat([payload, payload])) });
    expect((await a.request('b', 'x', Buffer.from('ab'))).toString()).toBe('abab');
  });

  it('takes the bytes back after the call, so that a handler which keeps them is found out', () => {
    const { network, a, b } = twoNodes();
    let kept: Buffer = Buffer.alloc(0);
    b.handle('x', { onMessage: (_from, payload) => void (kept = payload) });
    a.send('b', 'x', Buffer.from('abc'));
    network.deliverAll();
    expect(kept.toString('hex')).toBe('dddddd');
  });

  it('does not share memory with the sender', () => {
    const { network, a, b } = twoNodes();
    const seen: string[] = [];
    b.handle('x', { onMessage: (_from, payload) => seen.push(payload.toString()) });
    const bytes = Buffer.from('abc');
    a.send('b', 'x', bytes);
    bytes.fill(0);
    network.deliverAll();
    expect(seen).toEqual(['abc']);
  });

  it('loses what is under way at a partition, tells both ends, and connects again when healed', async () => {
    const { network, a, b } = twoNodes();
    const seen: string[] = [];
    a.onPeerStateChanged((peer, state) => seen.push(`a:${peer} ${state}`));
    b.onPeerStateChanged((peer, state) => seen.push(`b:${peer} ${state}`));
    a.send('b', 'x', Buffer.from('1'));
    network.partition('a', 'b');
    expect(a.send('b', 'x', Buffer.from('2'))).toBe(false);
    expect(await codeOf(a.request('b', 'x', Buffer.from('3')))).toBe('peer-unreachable');
    expect(await codeOf(a.drained('b', 'control'))).toBe('peer-unreachable');
    expect(network.deliverAll()).toBe(0);
    network.heal();
    expect(a.peers()[0]).toMatchObject({ id: 'b', state: 'connected' });
    expect(seen).toEqual(['a:b disconnected', 'b:a disconnected', 'a:b connected', 'b:a connected']);
    expect(network.lost).toBe(1);
  });

  it('fails a request whose connection ends before the answer, and aborts its handler', async () => {
    const { network, a, b } = twoNodes();
    let aborted = false;
    b.handle('x', {
      onRequest: (_from, _payload, signal) => {
        signal.addEventListener('abort', () => (aborted = true));
        return new Promise(() => {});
      },
    });
    const outcome = codeOf(a.request('b', 'x', Buffer.alloc(0)));
    await settle();
    network.deliverAll();
    network.partition(['a'], ['b']);
    expect(await outcome).toBe('peer-disconnected');
    expect(aborted).toBe(true);
    expect(a.leftovers().requests).toBe(0);
  });

  it('times a request out on its clock and tells the handler that nobody waits', async () => {
    const { clock, network, a, b } = twoNodes();
    let aborted = false;
    b.handle('x', {
      onRequest: (_from, _payload, signal) => {
        signal.addEventListener('abort', () => (aborted = true));
        return new Promise(() => {});
      },
    });
    const outcome = codeOf(a.request('b', 'x', Buffer.alloc(0), { timeoutMs: 10 }));
    await settle();
    network.deliverAll();
    clock.advance(10);
    expect(await outcome).toBe('peer-timeout');
    network.deliverAll();
    expect(aborted).toBe(true);
    expect(clock.pendingTimers()).toEqual([]);
  });

  it('loses what a drop rule names, and nothing else', () => {
    const { network, a, b } = twoNodes();
    const seen: string[] = [];
    b.handle('x', { onMessage: () => seen.push('x') });
    b.handle('y', { onMessage: () => seen.push('y') });
    const rule = network.dropWhen((frame) => frame.channel === 'x');
    for (const channel of ['x', 'y']) a.send('b', channel, Buffer.alloc(1));
    network.deliverAll();
    rule[Symbol.dispose]();
    a.send('b', 'x', Buffer.alloc(1));
    network.deliverAll();
    expect(seen).toEqual(['y', 'x']);
  });

  it('refuses what does not fit, and says when there is room again', async () => {
    const { network, a, b } = twoNodes({ queueCapacity: 1 });
    b.handle('x', { onMessage: () => {} });
    expect(a.send('b', 'x', Buffer.alloc(1))).toBe(true);
    expect(a.send('b', 'x', Buffer.alloc(1))).toBe(false);
    expect(a.send('b', 'x', Buffer.alloc(1), 'bulk')).toBe(true);
    expect(await codeOf(a.request('b', 'x', Buffer.alloc(1)))).toBe('peer-queue-full');
    const drained = a.drained('b', 'control');
    network.deliver();
    await drained;
    expect(a.send('b', 'x', Buffer.alloc(1))).toBe(true);
  });

  it('lets a test reorder links, but no frames within one', () => {
    const network = new MemoryNetwork({ nodes: ['a', 'b', 'c'], delivery: 'manual' });
    const [a, b, c] = [network.transport('a'), network.transport('b'), network.transport('c')];
    const seen: string[] = [];
    c.handle('x', { onMessage: (from, payload) => seen.push(from + payload.toString()) });
    for (const text of ['1', '2']) a.send('c', 'x', Buffer.from(text));
    b.send('c', 'x', Buffer.from('1'));
    while (network.deliver((heads) => heads.length - 1));
    expect(seen).toEqual(['b1', 'a1', 'a2']);
  });

  it('passes on the code of what a handler throws, and names a channel without a handler', async () => {
    const { a, b } = twoNodes({ delivery: 'immediate' });
    b.handle('dw', {
      onRequest: () => Promise.reject(new DwError({ code: 'no', message: 'not now', retryable: true })),
    });
    b.handle('other', {
      onRequest: () => {
        throw new Error('at once');
      },
    });
    await expect(a.request('b', 'dw', Buffer.alloc(0))).rejects.toMatchObject({
      code: 'no',
      retryable: true,
    });
    expect(await codeOf(a.request('b', 'other', Buffer.alloc(0)))).toBe('peer-handler-failed');
    expect(await codeOf(a.request('b', 'nobody', Buffer.alloc(0)))).toBe('channel-unknown');
  });

  it('refuses strangers, oversize messages and a second handler', () => {
    const network = new MemoryNetwork({ nodes: ['a', 'b'], delivery: 'manual', maxFrameBytes: 4 });
    const a = network.transport('a');
    const refused = (action: () => unknown): string => {
      try {
        action();
      } catch (thrown) {
        return isDwError(thrown) ? thrown.code : String(thrown);
      }
      return 'nothing';
    };
    expect(refused(() => a.send('z', 'x', Buffer.alloc(1)))).toBe('peer-unknown');
    expect(refused(() => network.transport('z'))).toBe('peer-unknown');
    expect(refused(() => a.send('b', 'x', Buffer.alloc(5)))).toBe('frame-too-large');
    const handling = a.handle('x', {});
    expect(refused(() => a.handle('x', {}))).toBe('channel-taken');
    handling[Symbol.dispose]();
    expect(refused(() => a.handle('x', {}))).toBe('nothing');
  });

  it('crashes a node by closing its transport, and starts it anew', async () => {
    const { network, a, b } = twoNodes();
    const outcome = codeOf(b.request('a', 'x', Buffer.alloc(0)));
    await settle();
    b.close();
    expect(await outcome).toBe('peer-disconnected');
    expect(a.peers()[0]).toMatchObject({ state: 'disconnected' });
    const again = network.transport('b');
    expect(again).not.toBe(b);
    expect(a.peers()[0]).toMatchObject({ state: 'connected' });
  });

  it('gives out what a message handler throws, and goes on with the rest', () => {
    const { network, a, b } = twoNodes();
    let count = 0;
    b.handle('x', {
      onMessage: () => {
        if (++count === 1) throw new Error('boom');
      },
    });
    a.send('b', 'x', Buffer.alloc(1));
    a.send('b', 'x', Buffer.alloc(1));
    expect(() => network.deliverAll()).toThrow('boom');
    network.deliverAll();
    expect(count).toBe(2);
  });

  it('stops two handlers that answer each other for ever', () => {
    const { network, a, b } = twoNodes();
    a.handle('x', { onMessage: () => void a.send('b', 'x', Buffer.alloc(1)) });
    b.handle('x', { onMessage: () => void b.send('a', 'x', Buffer.alloc(1)) });
    a.send('b', 'x', Buffer.alloc(1));
    expect(() => network.deliverAll(50)).toThrow('still not quiet');
  });
});
