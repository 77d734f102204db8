import { describe, expect, it } from 'vitest';
import { encodeConfChange } from './confchange/encoding.js';
import { makeMessage } from './message.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network } from './testing/network.test.kit.js';

const data = new Uint8Array([7]);

const noChange = encodeConfChange({
  transition: 'auto',
  changes: [{ type: 'update', nodeId: 'a' }],
  context: data,
});

describe('an election', () => {
  it('is called once the randomised timeout has passed, not before', () => {
    const draws = [0, 0.55];
    const network = new Network(['a', 'b', 'c'], { random: () => draws.shift() ?? 0.55 });
    network.isolate('a');
    network.tick('b', 14);
    expect(network.core('b').role).toBe('follower');
    network.tick('b');
    expect(network.core('b').role).toBe('leader');
  });

  it('counts the own vote only once it is on disk', () => {
    const network = new Network(['a', 'b', 'c']);
    network.holdDisk('a');
    network.core('a').campaign();
    network.settle();
    // Both others voted for it; that is a majority, but it could forget that it ever stood.
    expect(network.core('a').role).toBe('candidate');
    network.releaseDisk('a');
    expect(network.core('a').role).toBe('leader');
    // With one other vote alone it does not win either.
    const pair = new Network(['a', 'b', 'c']);
    pair.isolate('c');
    pair.holdDisk('a');
    pair.core('a').campaign();
    pair.settle();
    expect(pair.core('a').role).toBe('candidate');
    pair.releaseDisk('a');
    pair.settle();
    expect(pair.core('a').role).toBe('leader');
  });

  it('lets a vote leave only once it is on disk', () => {
    const network = new Network(['a', 'b', 'c']);
    network.isolate('c');
    network.holdDisk('b');
    network.core('a').campaign();
    network.settle();
    expect(network.sent.filter((message) => message.type === 'vote-response')).toEqual([]);
    network.releaseDisk('b');
    network.settle();
    expect(network.core('a').role).toBe('leader');
  });

  it('gets no vote of a replica that took the place of a removed one and has not caught up with it', () => {
    const network = new Network(['a', 'b', 'c'], { voteFloor: 2 });
    const core = network.core('c');
    const answers = (): string[] =>
      network.sent
        .filter(({ type, from }) => from === 'c' && type.endsWith('vote-response'))
        .map(({ type }) => type);
    const ask = (type: 'vote' | 'pre-vote', term: number): void => {
      core.step(makeMessage({ type, from: 'a', to: 'c', term, index: 9, logTerm: 1 }));
      network.handle('c');
    };
    const append = (index: number): void => {
      const entries = [{ index, term: 1, type: 'normal' as const, data }];
      const fields = { from: 'b', to: 'c', term: 3, index: index - 1, logTerm: index > 1 ? 1 : 0 };
      core.step(makeMessage({ type: 'append', entries, ...fields }));
      network.handle('c');
    };
    ask('pre-vote', 2);
    ask('vote', 2);
    core.campaign();
    append(1);
    ask('vote', 4);
    expect([answers(), core.role]).toEqual([[], 'follower']);
    core.step(
      makeMessage({
        type: 'append',
        from: 'b',
        to: 'c',
        term: 4,
        index: 1,
        logTerm: 1,
        entries: [{ index: 2, term: 1, type: 'normal', data }],
      }),
    );
    network.handle('c');
    ask('vote', 5);
    expect(answers()).toEqual(['vote-response']);
  });

  it('gives one vote a term, also after a crash', () => {
    const network = new Network(['a', 'b', 'c']);
    network.core('c').step(makeMessage({ type: 'vote', from: 'a', to: 'c', term: 1 }));
    network.handle('c');
    const restarted = network.start('c', network.storage('c').clone());
    restarted.step(makeMessage({ type: 'vote', from: 'b', to: 'c', term: 1 }));
    network.handle('c');
    const votes = network.sent.filter((message) => message.type === 'vote-response');
    expect(votes.map((vote) => [vote.to, vote.reject])).toEqual([
      ['a', false],
      ['b', true],
    ]);
  });

  it('is lost to nobody whose log lacks what may be committed', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.isolate('c');
    network.core('a').propose(data);
    network.settle();
    network.heal();
    network.core('c').campaign();
    network.settle();
    expect(network.core('c').role).not.toBe('leader');
    expect(network.core('c').term).toBe(2);
  });

  it('ends with a no-op of the new term, by which older entries commit', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.lose = (message) => message.type === 'append-response';
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').commit).toBe(1);
    network.heal();
    network.elect('b');
    expect(network.applied('b').map((entry) => [entry.index, entry.term, entry.data.length])).toEqual([
      [1, 1, 0],
      [2, 1, 1],
      [3, 2, 0],
    ]);
  });

  it('is not for learners, nor for nodes outside the group', () => {
    const network = new Network(['a', 'b'], {}, ['l']);
    network.core('l').campaign();
    network.tick('l', 50);
    expect(network.core('l').role).toBe('follower');
    const outsider = network.start('x', new MemoryStorage(confOf(['a', 'b'])));
    outsider.campaign();
    expect(outsider.role).toBe('follower');
  });

  it('waits until committed membership changes are applied', () => {
    const storage = new MemoryStorage(confOf(['a', 'b', 'c']));
    const entries = [
      { index: 1, term: 1, type: 'normal' as const, data },
      { index: 2, term: 1, type: 'conf-change' as const, data: noChange },
    ];
    storage.write({ hardState: { term: 1, vote: undefined, commit: 2 }, snapshot: undefined, entries });
    const network = new Network(['a', 'b', 'c'], { maxCommittedBytesPerReady: 1 });
    const core = network.start('a', storage);
    core.campaign();
    expect(core.role).toBe('follower');
    network.handle('a');
    core.campaign();
    expect(core.role).toBe('candidate');
  });
});

describe('a pre-vote', () => {
  it('changes no term, and a node that is cut off does not raise one', () => {
    const network = new Network(['a', 'b', 'c'], { preVote: true, checkQuorum: true });
    network.elect('a');
    network.isolate('c');
    network.tick('c', 200);
    expect(network.core('c').status()).toMatchObject({ role: 'pre-candidate', term: 1 });
    network.heal();
    for (let i = 0; i < 5; i++) for (const id of ['a', 'b', 'c']) network.tick(id);
    expect(network.core('a').status()).toMatchObject({ role: 'leader', term: 1 });
    expect(network.core('c').leader).toBe('a');
  });

  it('is followed by the election when a quorum would vote', () => {
    const network = new Network(['a', 'b', 'c'], { preVote: true });
    network.elect('a');
    expect(network.sent.map((message) => message.type).filter((type) => type.includes('vote'))).toEqual([
      'pre-vote',
      'pre-vote',
      'pre-vote-response',
      'pre-vote-response',
      'vote',
      'vote',
      'vote-response',
      'vote-response',
    ]);
    expect(network.core('a').term).toBe(1);
  });

  it('is lost when a quorum would not vote', () => {
    const network = new Network(['a', 'b', 'c'], { preVote: true });
    network.elect('a');
    network.isolate('c');
    network.core('a').propose(data);
    network.settle();
    network.heal();
    network.core('c').campaign();
    network.settle();
    expect(network.core('c').status()).toMatchObject({ role: 'follower', term: 1 });
  });
});

describe('check-quorum', () => {
  it('makes a leader step down that hears of no quorum for an election timeout', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    network.isolate('a');
    network.tick('a', 19);
    expect(network.core('a').role).toBe('leader');
    network.tick('a', 1);
    expect(network.core('a').status()).toMatchObject({ role: 'follower', leader: undefined });
  });

  it('refuses votes, and does not even enter the term, while the leader is heard of', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    network.core('c').campaign();
    network.settle();
    expect(network.core('a').status()).toMatchObject({ role: 'leader', term: 1 });
    expect(network.core('b').status()).toMatchObject({ leader: 'a', term: 1 });
  });

  it('tells a candidate that is ahead to come back by a newer election', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    network.core('c').campaign();
    network.settle();
    // The leader's heartbeats are of an older term to it; its answer makes the leader step down.
    network.tick('a');
    expect(network.core('a').status()).toMatchObject({ role: 'follower', term: 2 });
  });
});
