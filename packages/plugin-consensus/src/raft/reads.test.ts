import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { makeMessage } from './message.js';
import { maxPendingReads } from './raft-state.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network } from './testing/network.test.kit.js';

const data = new Uint8Array([7]);

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isDwError(error) ? error.code : 'another error';
  }
  return undefined;
}

function led(): Network {
  const network = new Network(['a', 'b', 'c']);
  network.elect('a');
  return network;
}

describe('a linearizable read', () => {
  it('is served at the commit index once a quorum confirms the leader', () => {
    const network = led();
    network.core('a').propose(data);
    network.settle();
    network.core('a').readIndex('x');
    expect(network.reads('a')).toEqual([]);
    network.settle();
    expect(network.reads('a')).toEqual([{ index: 2, context: 'x' }]);
  });

  it('is not served by a leader that nobody hears', () => {
    const network = led();
    network.isolate('a');
    network.core('a').readIndex('x');
    network.tick('a', 9);
    expect(network.reads('a')).toEqual([]);
    // Meanwhile the others moved on, so an answer would have been wrong.
    network.elect('b');
    network.core('b').propose(data);
    network.settle();
    network.heal();
    network.tick('b', 2);
    expect(network.reads('a')).toEqual([]);
    expect(network.core('a').role).toBe('follower');
  });

  it('is not confirmed by answers to heartbeats that were sent before it', () => {
    const network = led();
    network.core('a').tick();
    network.handle('a');
    network.deliver();
    for (const id of ['b', 'c']) network.handle(id);
    network.lose = (message) => message.type === 'heartbeat';
    network.core('a').readIndex('x');
    network.settle();
    expect(network.reads('a')).toEqual([]);
  });

  it('is confirmed by a later heartbeat when the first ones were lost', () => {
    const network = led();
    network.lose = (message) => message.type === 'heartbeat';
    network.core('a').readIndex('x');
    network.settle();
    network.heal();
    network.tick('a');
    expect(network.reads('a')).toEqual([{ index: 1, context: 'x' }]);
  });

  it('waits until a new leader has committed in its own term', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.core('a').propose(data);
    network.settle();
    network.lose = (message) => message.type === 'append';
    network.core('b').campaign();
    network.settle();
    network.core('b').readIndex('x');
    network.tick('b', 3);
    expect([network.core('b').role, network.reads('b')]).toEqual(['leader', []]);
    network.heal();
    network.tick('b', 2);
    expect(network.reads('b')).toEqual([{ index: 3, context: 'x' }]);
  });

  it('waits for that also in a group of one: after a restart the commit index may be old', () => {
    const network = new Network(['a']);
    const storage = new MemoryStorage(confOf(['a']));
    const entries = [1, 2].map((index) => ({ index, term: 1, type: 'normal' as const, data }));
    storage.write({ hardState: { term: 1, vote: 'a', commit: 1 }, snapshot: undefined, entries });
    const core = network.start('a', storage);
    network.holdDisk('a');
    core.campaign();
    network.handle('a');
    network.releaseDisk('a');
    network.holdDisk('a');
    expect(core.role).toBe('leader');
    core.readIndex('x');
    network.handle('a');
    expect(network.reads('a')).toEqual([]);
    network.releaseDisk('a');
    network.settle();
    expect(network.reads('a')).toEqual([{ index: 3, context: 'x' }]);
  });

  it('is taken by the leader alone, and only so many wait', () => {
    const network = led();
    expect(codeOf(() => network.core('b').readIndex('x'))).toBe('not-leader');
    network.isolate('a');
    for (let i = 0; i < maxPendingReads; i++) network.core('a').readIndex(`r${i}`);
    expect(codeOf(() => network.core('a').readIndex('one more'))).toBe('read-index-dropped');
  });

  it('can be passed on by a follower, and the answer comes back to it', () => {
    const network = led();
    network.core('b').step(makeMessage({ type: 'read-index', from: 'b', to: 'b', context: 'x' }));
    network.settle();
    expect(network.reads('b')).toEqual([{ index: 1, context: 'x' }]);
    expect(network.reads('a')).toEqual([]);
  });

  it('is forgotten with the term of its leader', () => {
    const network = led();
    network.isolate('a');
    network.core('a').readIndex('x');
    network.settle();
    network.core('a').stepDown();
    network.heal();
    network.elect('a');
    network.tick('a', 3);
    expect(network.reads('a')).toEqual([]);
  });
});
