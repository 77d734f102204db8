import { Type } from '@sinclair/typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DwError, isDwError } from '../errors/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import type { BusReport } from './bus-reporter.js';
import { defineTopic } from './define-topic.js';
import { InProcessBus } from './in-process-bus.js';
import type { BusMessage } from './message-bus.js';

let clock: FakeClock;
let bus: InProcessBus;
let reports: BusReport[];

beforeEach(() => {
  clock = new FakeClock();
  reports = [];
  bus = new InProcessBus({ clock, onReport: (report) => reports.push(report) });
});

afterEach(() => {
  bus.close();
  expect(clock.pendingTimers()).toEqual([]);
  expect(bus.statistics()).toMatchObject({ subscriptions: 0, queued: 0 });
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (thrown) {
    return isDwError(thrown) ? thrown.code : String(thrown);
  }
  return 'nothing';
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return isDwError(thrown) ? thrown.code : String(thrown);
}

describe('send', () => {
  it('brings the answer', async () => {
    bus.respond('double', (message: BusMessage<number>) => message.payload * 2);
    expect(await bus.send('double', 21)).toBe(42);
  });

  it('fails at once when nobody responds', async () => {
    expect(await rejection(bus.send('nobody', 1))).toBe('no-handler');
  });

  it('passes on what the responder throws, now or later', async () => {
    const refusal = new DwError({ code: 'teapot', message: 'no' });
    bus.respond('now', () => {
      throw refusal;
    });
    bus.respond('later', () => Promise.reject(refusal));
    expect(await rejection(bus.send('now', 1))).toBe('teapot');
    expect(await rejection(bus.send('later', 1))).toBe('teapot');
  });

  it('times out, tells the responder, and reports what it throws too late', async () => {
    let fail: (error: Error) => void = () => {};
    let heard = false;
    bus.respond('slow', (_message, signal) => {
      signal.addEventListener('abort', () => (heard = true));
      return new Promise((_resolve, reject) => (fail = reject));
    });
    const waiting = rejection(bus.send('slow', 1, { timeoutMs: 10 }));
    await clock.advanceAsync(10);
    expect(await waiting).toBe('timeout');
    expect(heard).toBe(true);
    fail(new Error('too late'));
    await settle();
    expect(reports).toMatchObject([{ kind: 'handler-failed', topic: 'slow' }]);
  });

  it('stops when the sender aborts', async () => {
    bus.respond('slow', () => new Promise(() => {}));
    const controller = new AbortController();
    const waiting = rejection(bus.send('slow', 1, { signal: controller.signal }));
    controller.abort(new Error('enough'));
    expect(await waiting).toBe('Error: enough');
  });

  it('answers concurrently up to the capacity of the topic, and keeps the place of a handler that hangs', async () => {
    const Ask = defineTopic({
      name: 'ask',
      description: '',
      payload: Type.Number(),
      reply: Type.Number(),
      capacity: 2,
    });
    let started = 0;
    const responder = bus.respond(Ask, () => {
      started++;
      return new Promise<number>(() => {});
    });
    const waiting = [1, 2, 3].map((i) => rejection(bus.send(Ask, i, { timeoutMs: 5 })));
    await settle();
    expect(started).toBe(2);
    expect(await waiting[2]).toBe('bus-queue-full');
    await clock.advanceAsync(5);
    expect(await Promise.all(waiting)).toEqual(['timeout', 'timeout', 'bus-queue-full']);
    expect(responder.pending).toBe(2);
    expect(await rejection(bus.send(Ask, 4))).toBe('bus-queue-full');
  });

  it('does not start what the sender gave up before its turn', async () => {
    let started = 0;
    bus.respond('a', () => void started++);
    const waiting = rejection(bus.send('a', 1, { timeoutMs: 1 }));
    clock.advance(1);
    expect(await waiting).toBe('timeout');
    await settle();
    expect(started).toBe(0);
  });

  it('bounds the requests of the whole bus', async () => {
    await bus.reconfigureLimitsAsync({ maxConcurrentOperations: 1 });
    bus.respond('a', () => new Promise(() => {}));
    const first = rejection(bus.send('a', 1));
    expect(await rejection(bus.send('a', 2))).toBe('bus-queue-full');
    bus.close();
    expect(await first).toBe('bus-closed');
  });

  it('makes room for the next request when one is answered', async () => {
    await bus.reconfigureLimitsAsync({ maxConcurrentOperations: 1 });
    bus.respond('a', (message: BusMessage<number>) => message.payload);
    for (const i of [1, 2, 3]) expect(await bus.send('a', i)).toBe(i);
    expect(bus.getScalingMetrics().get('bus.pendingRequests')).toBe(0);
  });

  it('has one responder for a topic, and room for another when that one ends', async () => {
    const first = bus.respond('a', () => new Promise(() => {}));
    expect(codeOf(() => bus.respond('a', () => 1))).toBe('bus-responder-exists');
    const waiting = rejection(bus.send('a', 1));
    await settle();
    first.unsubscribe();
    expect(await waiting).toBe('no-handler');
    bus.respond('a', () => 'new');
    expect(await bus.send('a', 1)).toBe('new');
    expect(codeOf(() => bus.respond('a.*', () => 1))).toBe('bus-invalid-topic');
  });
});
