import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isDwError } from '../errors/index.js';
import { FakeClock, settle } from '../testing/fake-clock.js';
import { InProcessBus } from './in-process-bus.js';
import type { BusMessage } from './message-bus.js';
import { permissionCovers } from './topic-permissions.js';
import { topicMatches } from './topic-name.js';

let bus: InProcessBus;
const clock = new FakeClock();

beforeEach(() => {
  bus = new InProcessBus({ clock });
});
afterEach(() => bus.close());

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (thrown) {
    return isDwError(thrown) ? thrown.code : String(thrown);
  }
  return 'nothing';
}

describe('ScopedBus', () => {
  it('stamps its sender, and offers no way to the bus behind it', async () => {
    const scoped = bus.scoped('com.example.p', { publish: ['>'], subscribe: ['>'] });
    const seen: string[] = [];
    bus.subscribe('a', (message: BusMessage) => void seen.push(message.sender));
    (scoped.publish as (...args: unknown[]) => boolean)('a', { sender: 'host' }, 'host');
    Object.defineProperty(scoped, 'sender', { value: 'host' });
    scoped.publish('a', 1);
    await settle();
    expect(seen).toEqual(['com.example.p', 'com.example.p']);
    expect(Reflect.ownKeys(scoped)).toEqual(['sender']);
  });

  it('refuses what the permissions do not name, and says what they do', async () => {
    const scoped = bus.scoped('p', { publish: ['out.*'], subscribe: ['in.>'] });
    expect(scoped.publish('out.a', 1)).toBe(true);
    scoped.subscribe('in.a.*', () => {});
    scoped.respond('in.ask', () => 1);
    for (const refused of [
      () => scoped.publish('in.a', 1),
      () => scoped.publishAndWait('out.a.b', 1),
      () => scoped.send('other', 1),
      () => scoped.subscribe('out.a', () => {}),
      () => scoped.subscribe('>', () => {}),
      () => scoped.subscribe('*.a', () => {}),
      () => scoped.respond('other', () => 1),
    ]) {
      expect(await codeOf(refused)).toBe('bus-not-permitted');
    }
    expect(() => scoped.publish('in.a', 1)).toThrow('p may not publish to "in.a"; its manifest allows out.*');
  });

  it('permits nothing without permissions', async () => {
    const scoped = bus.scoped('p', { publish: [], subscribe: [] });
    expect(await codeOf(() => scoped.publish('a', 1))).toBe('bus-not-permitted');
    expect(await codeOf(() => scoped.subscribe('a', () => {}))).toBe('bus-not-permitted');
  });

  it('refuses a permission that is no pattern', async () => {
    expect(await codeOf(() => bus.scoped('p', { publish: ['s*'], subscribe: [] }))).toBe('bus-invalid-topic');
  });

  it('takes everything away when it is disposed of, and leaves the others alone', async () => {
    const scoped = bus.scoped('p', { publish: ['>'], subscribe: ['>'] });
    const other = bus.scoped('q', { publish: ['>'], subscribe: ['>'] });
    scoped.subscribe('a', () => {});
    scoped.subscribe('b.*', () => {});
    scoped.respond('ask', () => 1);
    const hung = other.respond('hang', () => new Promise(() => {}));
    const waits = [codeOf(() => scoped.send('hang', 1)), codeOf(() => scoped.publishAndWait('c', 1))];
    other.subscribe('c', () => new Promise(() => {}));
    waits.push(codeOf(() => scoped.publishAndWait('c', 1)));
    await settle();
    expect(scoped.held).toBe(5);
    scoped.dispose();
    scoped[Symbol.dispose]();
    expect(await Promise.all(waits)).toEqual(['bus-closed', 'nothing', 'bus-closed']);
    expect(scoped.held).toBe(0);
    expect(bus.statistics().subscriptions).toBe(2);
    expect(await codeOf(() => scoped.publish('a', 1))).toBe('bus-closed');
    expect(await codeOf(() => scoped.subscribe('a', () => {}))).toBe('bus-closed');
    expect(other.publish('a', 1)).toBe(true);
    expect(hung.pending).toBe(1);
  });

  it('forgets a subscription that has ended', () => {
    const scoped = bus.scoped('p', { publish: [], subscribe: ['>'] });
    scoped.subscribe('a', () => {}).unsubscribe();
    expect(scoped.held).toBe(0);
  });
});

describe('permissionCovers', () => {
  const word = fc.constantFrom('a', 'b', '*');
  const pattern = fc
    .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([words, rest]) => [...words, ...(rest ? ['>'] : [])].join('.'));
  const topics = ['a', 'b', 'c'].flatMap((x) => [
    x,
    ...['a', 'b', 'c'].flatMap((y) => [
      `${x}.${y}`,
      ...['a', 'b', 'c'].flatMap((z) => [`${x}.${y}.${z}`, `${x}.${y}.${z}.a`, `${x}.${y}.${z}.c`]),
    ]),
  ]);

  it('covers a pattern exactly when it matches all that the pattern matches', () => {
    fc.assert(
      fc.property(pattern, pattern, (permission, asked) => {
        const all = topics
          .filter((topic) => topicMatches(asked, topic))
          .every((topic) => topicMatches(permission, topic));
        expect(permissionCovers(permission, asked)).toBe(all);
      }),
      { numRuns: 300 },
    );
  });
});
