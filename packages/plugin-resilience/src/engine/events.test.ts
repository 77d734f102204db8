import { AsyncLocalStorage } from 'node:async_hooks';
import type { ResilienceEvent } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { EventSink } from './events.js';

const acted: ResilienceEvent = {
  kind: 'acted',
  policy: 'p',
  key: '',
  strategy: 'bulkhead',
  action: 'rejected',
  dryRun: false,
};
const changed: ResilienceEvent = {
  kind: 'circuit-changed',
  policy: 'p',
  key: '',
  strategy: 'circuit-breaker',
  previous: 'closed',
  current: 'open',
  reason: 'a test',
  source: 'calls',
};

it('calls listeners in the context in which they began to listen, and not in that of a call', async () => {
  const owner = new AsyncLocalStorage<string>();
  const sink = new EventSink(() => {});
  const seen: (string | undefined)[] = [];
  const note = (): void => void seen.push(owner.getStore());
  owner.run('a', () => sink.listen(note));
  const both = owner.run('b', () => sink.listenToChanges(note));
  owner.run('a call', () => sink.report(changed));
  await Promise.resolve();
  expect(seen).toEqual(['a', 'b']);
  both[Symbol.dispose]();
  sink.report(changed);
  await Promise.resolve();
  expect(seen).toEqual(['a', 'b', 'a']);
});

describe('who listens to changes', () => {
  it('hears of them, and not of what was done to single calls', async () => {
    const sink = new EventSink(() => {});
    const all: string[] = [];
    const changes: string[] = [];
    const listening = sink.listen(({ kind }) => void all.push(kind));
    sink.listenToChanges(({ kind }) => void changes.push(kind));
    for (const event of [acted, changed, acted]) sink.report(event);
    await Promise.resolve();
    expect(all).toEqual(['acted', 'circuit-changed', 'acted']);
    expect(changes).toEqual(['circuit-changed']);
    listening[Symbol.dispose]();
    for (const event of [acted, changed]) sink.report(event);
    await Promise.resolve();
    expect(all).toHaveLength(3);
    expect(changes).toHaveLength(2);
  });

  it('misses none in a turn in which more calls were turned away than anybody is told of', async () => {
    const sink = new EventSink(() => {});
    const heard: string[] = [];
    sink.listen(({ kind }) => void heard.push(kind));
    const changes: string[] = [];
    sink.listenToChanges(({ kind }) => void changes.push(kind));
    for (let n = 0; n < 5_000; n++) sink.report(acted);
    sink.report(changed);
    await Promise.resolve();
    expect(heard).toHaveLength(1_025);
    expect(changes).toEqual(['circuit-changed']);
    expect(sink.lost).toBe(5_000 - 1_024);
  });

  it('is told of a bounded number in one turn', async () => {
    const sink = new EventSink(() => {});
    let heard = 0;
    sink.listenToChanges(() => heard++);
    for (let n = 0; n < 20_000; n++) sink.report(changed);
    await Promise.resolve();
    expect([heard, sink.lost]).toEqual([16_384, 20_000 - 16_384]);
  });

  it('harms nobody by throwing', async () => {
    const said: string[] = [];
    const sink = new EventSink((message) => void said.push(message));
    let heard = 0;
    sink.listenToChanges(() => {
      throw new Error('a defect');
    });
    sink.listenToChanges(() => heard++);
    sink.report(changed);
    await Promise.resolve();
    expect([heard, sink.listenerFailures, said]).toEqual([1, 1, ['a defect']]);
  });
});
