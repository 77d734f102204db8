import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isDwError } from '../errors/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import type { BusReport } from './bus-reporter.js';
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

async function rejection(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return isDwError(thrown) ? thrown.code : String(thrown);
}

/** A handler whose promises the test settles. */
function gate() {
  const waiting: (() => void)[] = [];
  const seen: unknown[] = [];
  return {
    seen,
    open: () => waiting.shift()?.(),
    handler: (message: BusMessage): Promise<void> => {
      seen.push(message.payload);
      return new Promise((resolve) => waiting.push(resolve));
    },
  };
}

describe('publishAndWait', () => {
  it('says what became of the message', async () => {
    bus.subscribe('a', () => {});
    bus.subscribe('*', () => Promise.resolve());
    bus.subscribe('a', () => Promise.reject(new Error('no')));
    const full = bus.subscribe('a', () => new Promise(() => {}), { capacity: 1, overflow: 'drop-newest' });
    bus.publish('a', 0);
    await settle();
    bus.publish('a', 1);
    const report = await bus.publishAndWait('a', 2);
    expect(report).toEqual({ delivered: 2, failed: 1, dropped: 1 });
    expect(full.dropped).toBe(1);
  });

  it('resolves at once when nobody listens', async () => {
    expect(await bus.publishAndWait('a', 1)).toEqual({ delivered: 0, failed: 0, dropped: 0 });
  });

  it('counts a message that drop-oldest took back as dropped', async () => {
    bus.subscribe('a', () => {}, { capacity: 1 });
    const waiting = bus.publishAndWait('a', 1);
    bus.publish('a', 2);
    expect(await waiting).toEqual({ delivered: 0, failed: 0, dropped: 1 });
  });

  it('waits for room where the rule is block, and keeps the order', async () => {
    const one = gate();
    bus.subscribe('a', one.handler, { capacity: 1, overflow: 'block' });
    const all = [1, 2, 3, 4].map((i) => bus.publishAndWait('a', i));
    await settle();
    expect(bus.publish('a', 5)).toBe(false);
    for (let i = 0; i < 4; i++) {
      one.open();
      await settle();
    }
    expect((await Promise.all(all)).map((report) => report.delivered)).toEqual([1, 1, 1, 1]);
    expect(one.seen).toEqual([1, 2, 3, 4]);
  });

  it('holds back a bounded number of publishers', async () => {
    await bus.reconfigureLimitsAsync({ maxBlockedPublishers: 1 });
    bus.subscribe('a', () => new Promise(() => {}), { capacity: 1, overflow: 'block' });
    const outcomes = [1, 2, 3].map((i) => rejection(bus.publishAndWait('a', i)));
    expect(await outcomes[2]).toBe('bus-queue-full');
  });

  it('throws when a subscription refuses, and the others still get it', async () => {
    const seen: unknown[] = [];
    bus.subscribe('a', () => {}, { capacity: 1, overflow: 'reject' });
    bus.subscribe('a', (message) => void seen.push(message.payload));
    bus.publish('a', 1);
    expect(await rejection(bus.publishAndWait('a', 2))).toBe('bus-queue-full');
    await settle();
    expect(seen).toEqual([1, 2]);
  });

  it('stops waiting for a hung handler when the signal aborts', async () => {
    bus.subscribe('a', () => new Promise(() => {}));
    const controller = new AbortController();
    const waiting = rejection(bus.publishAndWait('a', 1, { signal: controller.signal }));
    await settle();
    controller.abort(new Error('enough'));
    expect(await waiting).toBe('Error: enough');
    const aborted = AbortSignal.abort(new Error('before'));
    expect(await rejection(bus.publishAndWait('a', 1, { signal: aborted }))).toBe('Error: before');
  });

  it('does not deliver a message whose blocked publisher has given up', async () => {
    const one = gate();
    bus.subscribe('a', one.handler, { capacity: 1, overflow: 'block' });
    const controller = new AbortController();
    const first = [1, 2].map((i) => bus.publishAndWait('a', i));
    await settle();
    const third = rejection(bus.publishAndWait('a', 3, { signal: controller.signal }));
    const fourth = bus.publishAndWait('a', 4);
    controller.abort(new Error('enough'));
    expect(await third).toBe('Error: enough');
    for (let i = 0; i < 3; i++) {
      one.open();
      await settle();
    }
    await Promise.all([...first, fourth]);
    expect(one.seen).toEqual([1, 2, 4]);
  });

  it('settles when the subscription that it waits for ends, hung handler or not', async () => {
    const hung = bus.subscribe('a', () => new Promise(() => {}));
    const first = bus.publishAndWait('a', 1);
    await settle();
    const second = bus.publishAndWait('a', 2);
    hung.unsubscribe();
    expect([await first, await second]).toEqual([
      { delivered: 0, failed: 1, dropped: 0 },
      { delivered: 0, failed: 0, dropped: 1 },
    ]);
  });
});
