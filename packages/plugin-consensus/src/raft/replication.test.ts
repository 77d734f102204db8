import { describe, expect, it } from 'vitest';
import { makeMessage } from './message.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network, type Options } from './testing/network.test.kit.js';
import type { Entry } from './types.js';

const data = new Uint8Array([7]);

function led(options: Options = {}): Network {
  const network = new Network(['a', 'b', 'c'], options);
  network.elect('a');
  return network;
}

function run(from: number, terms: readonly number[]): readonly Entry[] {
  return terms.map((term, i) => ({ index: from + i, term, type: 'normal', data }));
}

function progressOf(
  network: Network,
  leader: string,
  id: string,
): { match: number; next: number; state: string } {
  const found = network
    .core(leader)
    .status()
    .progress.find((member) => member.id === id);
  if (found === undefined) throw new Error(`${leader} does not lead ${id}`);
  return { match: found.match, next: found.next, state: found.state };
}

describe('the leader', () => {
  it('counts its own entry only once it is on its disk', () => {
    const network = led();
    network.isolate('c');
    network.holdDisk('a');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').commit).toBe(1);
    network.releaseDisk('a');
    network.settle();
    expect(network.core('a').commit).toBe(2);
  });

  it('commits by its followers alone when its own disk is slow, but does not apply before it has the entry', () => {
    const network = led();
    network.holdDisk('a');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').status()).toMatchObject({ commit: 2, applied: 1 });
    network.releaseDisk('a');
    network.settle();
    expect(network.core('a').applied).toBe(2);
  });

  it('streams appends without waiting, up to the window', () => {
    const network = led({ maxInflightMessages: 3 });
    for (let i = 0; i < 6; i++) network.core('a').propose(data);
    network.handle('a');
    const appends = network.inFlight.filter((message) => message.to === 'b' && message.type === 'append');
    expect(appends.map((message) => message.entries.length)).toEqual([1, 1, 1]);
    network.settle();
    expect(network.core('b').applied).toBe(7);
  });

  it('recovers from a window that was lost as a whole', () => {
    const network = led({ maxInflightMessages: 2 });
    network.isolate('b', 'c');
    for (let i = 0; i < 5; i++) network.core('a').propose(data);
    network.settle();
    network.heal();
    network.tick('a', 5);
    expect(network.core('b').applied).toBe(6);
  });

  it('splits what it sends by size', () => {
    const network = led({ maxBytesPerMessage: 60 });
    network.isolate('b');
    for (let i = 0; i < 6; i++) network.core('a').propose(data);
    network.settle();
    network.heal();
    const before = network.sent.length;
    network.tick('a', 3);
    const sizes = network.sent
      .slice(before)
      .filter((message) => message.to === 'b' && message.entries.length > 0)
      .map((message) => message.entries.length);
    expect(Math.max(...sizes)).toBe(2);
    expect(network.core('b').applied).toBe(7);
  });

  it('finds where a diverged log agrees in one probe a term', () => {
    const network = new Network(['a', 'b', 'c']);
    const common = run(1, [1]);
    const ours = [
      ...common,
      ...run(
        2,
        Array.from({ length: 50 }, () => 3),
      ),
      ...run(
        52,
        Array.from({ length: 50 }, () => 5),
      ),
    ];
    const theirs = [
      ...common,
      ...run(
        2,
        Array.from({ length: 80 }, () => 2),
      ),
    ];
    for (const [id, entries] of [
      ['a', ours],
      ['b', theirs],
      ['c', ours],
    ] as const) {
      const storage = new MemoryStorage(confOf(['a', 'b', 'c']));
      storage.write({ hardState: { term: 5, vote: undefined, commit: 1 }, snapshot: undefined, entries });
      network.start(id, storage);
    }
    network.elect('a');
    const rejections = network.sent.filter((message) => message.type === 'append-response' && message.reject);
    expect(rejections.length).toBeLessThanOrEqual(2);
    expect(network.core('b').applied).toBe(network.core('a').applied);
  });

  it('probes again when told that a follower is unreachable', () => {
    const network = led();
    network.core('a').reportUnreachable('b');
    expect(progressOf(network, 'a', 'b').state).toBe('probe');
    network.tick('a');
    expect(progressOf(network, 'a', 'b').state).toBe('replicate');
  });
});

describe('a stale or false answer', () => {
  it('moves neither match nor next back', () => {
    const network = led();
    for (let i = 0; i < 4; i++) network.core('a').propose(data);
    network.settle();
    const before = progressOf(network, 'a', 'b');
    network.core('a').step(makeMessage({ type: 'append-response', from: 'b', to: 'a', term: 1, index: 2 }));
    const rejection = { reject: true, rejectHint: 1, logTerm: 1 };
    network
      .core('a')
      .step(makeMessage({ type: 'append-response', from: 'b', to: 'a', term: 1, index: 3, ...rejection }));
    expect(progressOf(network, 'a', 'b')).toEqual(before);
  });

  it('of entries that do not exist is refused', () => {
    const network = led();
    network.core('a').step(makeMessage({ type: 'append-response', from: 'b', to: 'a', term: 1, index: 99 }));
    expect(progressOf(network, 'a', 'b').match).toBe(1);
    expect(network.core('a').status().refusedMessages).toBe(1);
  });

  it('to a heartbeat says nothing about the log', () => {
    const network = led();
    network.isolate('b', 'c');
    network.core('a').propose(data);
    network.settle();
    network.core('a').step(makeMessage({ type: 'heartbeat-response', from: 'b', to: 'a', term: 1 }));
    network.core('a').step(makeMessage({ type: 'heartbeat-response', from: 'c', to: 'a', term: 1 }));
    expect(progressOf(network, 'a', 'b').match).toBe(1);
    expect(network.core('a').commit).toBe(1);
  });
});

describe('a follower', () => {
  function followerWith(terms: readonly number[], term: number, commit = 0): Network {
    const network = new Network(['a', 'b', 'c']);
    const storage = new MemoryStorage(confOf(['a', 'b', 'c']));
    storage.write({
      hardState: { term, vote: undefined, commit },
      snapshot: undefined,
      entries: run(1, terms),
    });
    network.start('b', storage);
    return network;
  }

  it('acknowledges only what the leader sent, not what else it has', () => {
    const network = followerWith([1, 1, 1, 1], 2);
    network.core('b').step({ ...network.templateAppend('a', 'b', 2), index: 2, logTerm: 1, commit: 4 });
    network.handle('b');
    const [answer] = network.sent.filter((message) => message.type === 'append-response');
    expect(answer).toMatchObject({ to: 'a', index: 2, reject: false });
    expect(network.core('b').commit).toBe(2);
  });

  it('commits by a heartbeat only what the leader knows it to share', () => {
    const network = led();
    network.isolate('b', 'c');
    network.core('a').propose(data);
    network.settle();
    network.heal();
    network.core('a').tick();
    network.handle('a');
    const heartbeats = network.inFlight.filter((message) => message.type === 'heartbeat');
    expect(heartbeats.map((message) => message.commit)).toEqual([1, 1]);
  });

  it('keeps what follows when a late append repeats what it has', () => {
    const network = followerWith([1, 1, 1, 1], 1);
    network
      .core('b')
      .step({ ...network.templateAppend('a', 'b', 1), index: 1, logTerm: 1, entries: run(2, [1]) });
    expect(network.core('b').lastIndex).toBe(4);
    network.core('b').step({ ...network.templateAppend('a', 'b', 1), index: 1, logTerm: 1 });
    expect(network.core('b').lastIndex).toBe(4);
  });

  it('drops what conflicts', () => {
    const network = followerWith([1, 1, 1, 1], 2);
    network
      .core('b')
      .step({ ...network.templateAppend('a', 'b', 2), index: 2, logTerm: 1, entries: run(3, [2]) });
    expect(network.core('b').lastIndex).toBe(3);
  });

  it('answers an append below its commit index with that index', () => {
    const network = followerWith([1, 1, 1], 1, 3);
    network
      .core('b')
      .step({ ...network.templateAppend('a', 'b', 1), index: 1, logTerm: 1, entries: run(2, [1]) });
    network.handle('b');
    expect(network.sent.at(-1)).toMatchObject({ type: 'append-response', index: 3, reject: false });
  });

  it('acknowledges only once the entries are on disk', () => {
    const network = led();
    network.isolate('c');
    network.holdDisk('b');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').commit).toBe(1);
    network.releaseDisk('b');
    network.settle();
    expect(network.core('a').commit).toBe(2);
  });

  it('believes one leader a term', () => {
    const network = led();
    network.core('b').step(makeMessage({ type: 'heartbeat', from: 'c', to: 'b', term: 1, commit: 1 }));
    expect(network.core('b').leader).toBe('a');
    expect(network.core('b').status().refusedMessages).toBe(1);
  });
});
