import { AsyncLocalStorage } from 'node:async_hooks';
import { Type } from '@sinclair/typebox';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isDwError } from '../errors/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import type { BusReport } from './bus-reporter.js';
import { defineTopic } from './define-topic.js';
import { InProcessBus } from './in-process-bus.js';
import type { BusMessage, OverflowRule } from './message-bus.js';

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

describe('publish', () => {
  it('returns before any handler runs, and delivers in order', async () => {
    const seen: unknown[] = [];
    bus.subscribe('a.b', (message) => void seen.push(message.payload));
    expect([bus.publish('a.b', 1), bus.publish('a.b', 2)]).toEqual([true, true]);
    expect(seen).toEqual([]);
    await settle();
    expect(seen).toEqual([1, 2]);
    expect(bus.statistics()).toMatchObject({ published: 2, delivered: 2, queued: 0 });
    expect(bus.topicStatistics().get('a.b')).toMatchObject({ published: 2, delivered: 2 });
  });

  it('stamps sender, time and sequence, and gives out a frozen message', async () => {
    const seen: BusMessage[] = [];
    bus.subscribe('a', (message) => void seen.push(message));
    bus.publish('a', 'x');
    clock.advance(5);
    bus.publish('a', 'y');
    await settle();
    expect(seen[0]).toEqual({
      topic: 'a',
      payload: 'x',
      sender: 'host',
      time: Date.UTC(2024, 0, 1),
      sequence: 1,
    });
    expect(seen[1]).toMatchObject({ time: Date.UTC(2024, 0, 1) + 5, sequence: 2 });
    expect(Object.isFrozen(seen[0])).toBe(true);
  });

  it('goes on when nobody listens', () => {
    expect(bus.publish('nobody', 1)).toBe(true);
  });

  it.each(['', 'a..b', 'a.*', '>', 'a b', 'a.', 'x'.repeat(257), 5, null, undefined])(
    'refuses %j',
    (name) => {
      expect(codeOf(() => bus.publish(name as string, 1))).toMatch(/bus-invalid-topic|TypeError/);
    },
  );

  it('keeps a throwing handler from the others and reports it', async () => {
    const seen: unknown[] = [];
    bus.subscribe('a', () => {
      throw new Error('boom');
    });
    bus.subscribe('a', () => Promise.reject(new Error('later')));
    bus.subscribe('a', (message) => void seen.push(message.payload));
    bus.publish('a', 1);
    bus.publish('a', 2);
    await settle();
    expect(seen).toEqual([1, 2]);
    expect(bus.statistics()).toMatchObject({ delivered: 2, failed: 4 });
    expect(reports[0]).toMatchObject({ kind: 'handler-failed', topic: 'a', subscriber: 'host', count: 1 });
    clock.advance(1_000);
    expect(reports.map((report) => report.count)).toEqual([1, 3]);
  });

  it('keeps a hung handler from the others, and its own queue within bounds', async () => {
    const seen: unknown[] = [];
    const hung = bus.subscribe('a', () => new Promise(() => {}), { capacity: 5 });
    bus.subscribe('a', (message) => void seen.push(message.payload));
    for (let i = 0; i < 20; i++) {
      bus.publish('a', i);
      await settle();
    }
    expect(seen).toHaveLength(20);
    expect(hung).toMatchObject({ pending: 5, dropped: 14 });
  });

  it('serialises the handler of one subscription', async () => {
    const one = gate();
    bus.subscribe('a', one.handler);
    for (const i of [1, 2]) bus.publish('a', i);
    await settle();
    expect(one.seen).toEqual([1]);
    one.open();
    await settle();
    expect(one.seen).toEqual([1, 2]);
  });

  it('never runs a handler inside of the publish of another handler', async () => {
    const order: string[] = [];
    bus.subscribe('a', () => {
      order.push('a begins');
      bus.publish('b', 1);
      order.push('a ends');
    });
    bus.subscribe('b', () => void order.push('b'));
    bus.publish('a', 1);
    await settle();
    expect(order).toEqual(['a begins', 'a ends', 'b']);
  });

  it('leaves timers and I/O their turn while two handlers answer each other for ever', async () => {
    let turns = 0;
    bus.subscribe('a', () => void bus.publish('b', 1));
    bus.subscribe('b', () => void bus.publish('a', 1));
    bus.publish('a', 1);
    for (; turns < 3; turns++) await settle();
    expect(turns).toBe(3);
    expect(bus.statistics().queued).toBe(1);
  });

  it('delivers no more in one turn than a slice holds', async () => {
    await bus.reconfigureLimitsAsync({ sliceMessages: 10 });
    let count = 0;
    bus.subscribe('a', () => void count++);
    for (let i = 0; i < 100; i++) bus.publish('a', i);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    expect(count).toBe(10);
    for (let i = 0; i < 5; i++) await settle();
    expect(count).toBe(100);
  });

  it('ends a slice when its time is up, however many messages wait', async () => {
    let count = 0;
    bus.subscribe('a', () => {
      count++;
      clock.advance(1);
    });
    for (let i = 0; i < 100; i++) bus.publish('a', i);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    expect(count).toBe(8);
  });
});

describe('overflow', () => {
  async function filled(overflow: OverflowRule) {
    const one = gate();
    const subscription = bus.subscribe('a', one.handler, { capacity: 2, overflow });
    bus.publish('a', 0);
    await settle();
    const accepted = [1, 2, 3].map((i) => bus.publish('a', i));
    for (let i = 0; i < 5; i++) {
      one.open();
      await settle();
    }
    return { accepted, seen: one.seen, dropped: subscription.dropped };
  }

  it('drop-oldest loses what waited longest', async () => {
    expect(await filled('drop-oldest')).toEqual({
      accepted: [true, true, true],
      seen: [0, 2, 3],
      dropped: 1,
    });
    expect(reports[0]).toMatchObject({ kind: 'dropped', topic: 'a', count: 1 });
  });

  it('drop-newest loses the new one', async () => {
    expect(await filled('drop-newest')).toEqual({
      accepted: [true, true, true],
      seen: [0, 1, 2],
      dropped: 1,
    });
  });

  it.each(['reject', 'block'] as const)('%s tells the publisher', async (rule) => {
    expect(await filled(rule)).toEqual({ accepted: [true, true, false], seen: [0, 1, 2], dropped: 0 });
    expect(bus.statistics()).toMatchObject({ rejected: 1, dropped: 0 });
    expect(reports[0]).toMatchObject({ kind: 'rejected' });
  });

  it("takes rule and capacity from the topic, also when it is named by text and is one of the house's", () => {
    const Tight = defineTopic({
      name: 'tight',
      description: '',
      payload: Type.Number(),
      overflow: 'reject',
      capacity: 1,
    });
    bus.subscribe(Tight, () => {});
    expect([bus.publish(Tight, 1), bus.publish(Tight, 2)]).toEqual([true, false]);
    const other = new InProcessBus({ clock, topics: [Tight] });
    other.subscribe('tight', () => {});
    expect([other.publish('tight', 1), other.publish('tight', 2)]).toEqual([true, false]);
    other.close();
  });

  it.each([0, -1, 1.5, Number.NaN, 1e9])('refuses a capacity of %d', (capacity) => {
    expect(codeOf(() => bus.subscribe('a', () => {}, { capacity }))).toBe('bus-invalid-option');
  });

  it('refuses an overflow rule and a handler that are none', () => {
    const overflow = 'whatever' as OverflowRule;
    expect(codeOf(() => bus.subscribe('a', () => {}, { overflow }))).toBe('bus-invalid-option');
    expect(codeOf(() => bus.subscribe('a', 5 as never))).toBe('bus-invalid-option');
  });

  it('bounds all queues together, and leaves each its even share', async () => {
    await bus.reconfigureLimitsAsync({ maxQueueDepth: 10 });
    const hungry = bus.subscribe('flood', () => new Promise(() => {}));
    const modest: unknown[] = [];
    bus.subscribe('calm', (message) => void modest.push(message.payload));
    for (let i = 0; i < 50; i++) bus.publish('flood', i);
    expect(hungry.pending).toBe(10);
    for (let i = 0; i < 5; i++) bus.publish('calm', i);
    expect(bus.statistics().queued).toBe(15);
    expect(bus.currentBackpressureState).toBe('shedding');
    await settle();
    expect(modest).toEqual([0, 1, 2, 3, 4]);
  });

  it('tells of backpressure as it comes and goes', async () => {
    await bus.reconfigureLimitsAsync({ maxQueueDepth: 10 });
    const states: string[] = [];
    bus.onBackpressureChanged((_previous, current) => states.push(current));
    bus.subscribe('a', () => {});
    for (let i = 0; i < 12; i++) bus.publish('a', i);
    await settle();
    expect(states).toEqual(['shedding', 'normal']);
  });
});

describe('subscribe', () => {
  it('matches patterns, also those made after the topic was first seen, until they end', async () => {
    const seen: string[] = [];
    const listen = (pattern: string) =>
      bus.subscribe(pattern, (message) => void seen.push(`${pattern}<${message.topic}`));
    bus.publish('a.b', 0);
    const star = listen('a.*');
    listen('a.>');
    listen('>');
    listen('*.c');
    for (const topic of ['a.b', 'a.b.c', 'a', 'x.c']) bus.publish(topic, 0);
    await settle();
    expect(seen.toSorted()).toEqual(
      ['a.*<a.b', 'a.><a.b', '><a.b', 'a.><a.b.c', '><a.b.c', '><a', '><x.c', '*.c<x.c'].toSorted(),
    );
    star.unsubscribe();
    seen.length = 0;
    bus.publish('a.b', 0);
    await settle();
    expect(seen.toSorted()).toEqual(['><a.b', 'a.><a.b']);
  });

  it('delivers nothing after unsubscribe, not even what waits', async () => {
    let count = 0;
    const subscription = bus.subscribe('a', () => void count++);
    bus.publish('a', 1);
    subscription.unsubscribe();
    subscription.unsubscribe();
    await settle();
    expect(count).toBe(0);
    expect(bus.statistics()).toMatchObject({ queued: 0, subscriptions: 0 });
  });

  it('lets a handler end its own subscription while more waits', async () => {
    let count = 0;
    const subscription = bus.subscribe('a', () => {
      count++;
      subscription[Symbol.dispose]();
    });
    for (let i = 0; i < 3; i++) bus.publish('a', i);
    await settle();
    expect(count).toBe(1);
  });

  it('ends with its signal', async () => {
    const controller = new AbortController();
    bus.subscribe('a', () => {}, { signal: controller.signal });
    controller.abort();
    expect(bus.statistics().subscriptions).toBe(0);
  });

  it('is bounded in number', async () => {
    await bus.reconfigureLimitsAsync({ maxSubscriptions: 1 });
    bus.subscribe('a', () => {});
    expect(codeOf(() => bus.subscribe('b', () => {}))).toBe('bus-too-many-subscriptions');
    expect(codeOf(() => bus.respond('b', () => 1))).toBe('bus-too-many-subscriptions');
  });
});

describe('bounds and limits', () => {
  it('forgets the oldest topics, and still delivers on them and keeps their counts', async () => {
    await bus.reconfigureLimitsAsync({ maxCacheEntries: 2 });
    const seen: string[] = [];
    bus.subscribe('t.*', (message) => void seen.push(message.topic));
    for (const name of ['t.1', 't.2', 't.3', 't.1']) bus.publish(name, 0);
    await settle();
    expect(seen).toEqual(['t.1', 't.2', 't.3', 't.1']);
    expect([...bus.topicStatistics().keys()]).toEqual(['t.3', 't.1', '(forgotten)']);
    const published = [...bus.topicStatistics().values()].reduce((sum, one) => sum + one.published, 0);
    const delivered = [...bus.topicStatistics().values()].reduce((sum, one) => sum + one.delivered, 0);
    expect([published, delivered]).toEqual([4, 4]);
  });

  it('counts what is delivered on a topic that was forgotten meanwhile', async () => {
    await bus.reconfigureLimitsAsync({ maxCacheEntries: 2 });
    bus.subscribe('t.*', () => {});
    bus.publish('t.1', 0);
    await settle();
    for (const name of ['t.1', 't.2', 't.3']) bus.publish(name, 0);
    await settle();
    expect(bus.topicStatistics().get('(forgotten)')).toMatchObject({ published: 2, delivered: 2 });
  });

  it('shows the standard metrics and its own', () => {
    const metrics = bus.getScalingMetrics();
    for (const key of ['cache.size', 'cache.hitRate', 'cache.memoryBytes', 'backpressure.queueDepth']) {
      expect(typeof metrics.get(key)).toBe('number');
    }
    expect(metrics.get('backpressure.state')).toBe('normal');
  });

  it('changes limits all or nothing', async () => {
    expect(await rejection(bus.reconfigureLimitsAsync({ sliceMessages: 5, nothing: 1 }))).toBe(
      'limit-unknown',
    );
    expect(bus.currentLimits.sliceMessages).toBe(1_024);
  });
});

describe('close', () => {
  it('refuses everything, and settles what waits', async () => {
    bus.subscribe('a', () => new Promise(() => {}));
    bus.respond('b', () => new Promise(() => {}));
    const waiting = [rejection(bus.publishAndWait('a', 1)), rejection(bus.send('b', 1))];
    await settle();
    bus.close();
    bus.close();
    expect(await Promise.all(waiting)).toEqual(['bus-closed', 'bus-closed']);
    expect(codeOf(() => bus.publish('a', 1))).toBe('bus-closed');
    expect(codeOf(() => bus.subscribe('a', () => {}))).toBe('bus-closed');
    expect(codeOf(() => bus.scoped('p', { publish: [], subscribe: [] }))).toBe('bus-closed');
    expect(await rejection(bus.send('b', 1))).toBe('bus-closed');
  });
});

describe('attribution', () => {
  it('runs handlers in the context of the subscriber, never in that of the publisher', async () => {
    const storage = new AsyncLocalStorage<string>();
    const scoped = (name: string) =>
      bus.scoped(name, { publish: ['>'], subscribe: ['>'] }, (action) => storage.run(name, action));
    const seen: (string | undefined)[] = [];
    const note = (): void => void seen.push(storage.getStore());
    scoped('p').subscribe('a', note);
    bus.subscribe('a', note);
    scoped('p').respond('ask', note);
    bus.respond('ask-host', note);
    await storage.run('publisher', async () => {
      bus.publish('a', 1);
      await bus.send('ask', 1);
      await bus.send('ask-host', 1);
    });
    expect(seen).toEqual(['p', undefined, 'p', undefined]);
  });

  it('goes back to the context of the subscriber after a handler of another has resumed', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const p = bus.scoped('p', { publish: [], subscribe: ['>'] }, (action) => storage.run('p', action));
    p.subscribe('a', () => Promise.resolve());
    bus.subscribe('a', () => void seen.push(storage.getStore()));
    for (let i = 0; i < 3; i++) bus.publish('a', i);
    await settle();
    bus.publish('a', 3);
    await settle();
    expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('contains a context that throws', async () => {
    const broken = bus.scoped('p', { publish: [], subscribe: ['>'] }, () => {
      throw new Error('no context');
    });
    const subscription = broken.subscribe('a', () => {});
    bus.publish('a', 1);
    await settle();
    expect(reports[0]).toMatchObject({ kind: 'handler-failed', subscriber: 'p' });
    subscription.unsubscribe();
  });
});

describe('order and bounds, whatever happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('publish' as const), topic: fc.constantFrom('a.x', 'a.y', 'b.x') }),
    fc.record({ kind: fc.constant('turn' as const) }),
    fc.record({ kind: fc.constant('open' as const), index: fc.nat({ max: 2 }) }),
  );
  const subscribers = fc.array(
    fc.record({
      pattern: fc.constantFrom('a.x', 'a.*', '>', '*.x'),
      capacity: fc.integer({ min: 1, max: 4 }),
      overflow: fc.constantFrom<OverflowRule>('drop-oldest', 'drop-newest', 'reject', 'block'),
      slow: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  );

  it('delivers in order, at most once, within bounds, and accounts for every message', async () => {
    await fc.assert(
      fc.asyncProperty(subscribers, fc.array(step, { maxLength: 40 }), async (specs, steps) => {
        const bus = new InProcessBus({ clock });
        const gates = specs.map(() => gate());
        const subscriptions = specs.map((spec, i) => {
          const one = gates[i]!;
          const quick = (message: BusMessage): void => void one.seen.push(message.payload);
          return bus.subscribe(spec.pattern, spec.slow ? one.handler : quick, spec);
        });
        const matching = specs.map(() => 0);
        const { topicMatches } = await import('./topic-name.js');
        let published = 0;
        for (const action of steps) {
          if (action.kind === 'publish') {
            specs.forEach((spec, i) => (matching[i]! += topicMatches(spec.pattern, action.topic) ? 1 : 0));
            bus.publish(action.topic, published++);
          } else if (action.kind === 'turn') await settle();
          else gates[action.index]?.open();
          subscriptions.forEach((one, i) => expect(one.pending).toBeLessThanOrEqual(specs[i]!.capacity));
        }
        await settle();
        let rejected = 0;
        subscriptions.forEach((one, i) => {
          const seen = gates[i]!.seen as number[];
          expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b));
          const lost = matching[i]! - seen.length - one.pending;
          if (specs[i]!.overflow.startsWith('drop')) expect(one.dropped).toBe(lost);
          else rejected += lost;
        });
        expect(bus.statistics().rejected).toBe(rejected);
        bus.close();
      }),
      { numRuns: 60 },
    );
  });
});
