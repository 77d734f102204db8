import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { encodeConfChange } from './confchange/encoding.js';
import { makeMessage } from './message.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network } from './testing/network.test.kit.js';
import type { ConfChange, ConfChangeSingle, ConfChangeTransition, Message } from './types.js';

const data = new Uint8Array([7]);

function change(text: string, transition: ConfChangeTransition = 'auto'): ConfChange {
  const types = { v: 'add-voter', l: 'add-learner', w: 'add-witness', r: 'remove' } as const;
  const changes = text
    .split(' ')
    .filter((token) => token !== '')
    .map((token): ConfChangeSingle => {
      return { type: types[token[0] as keyof typeof types], nodeId: token.slice(1) };
    });
  return { transition, changes, context: new Uint8Array(0) };
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isDwError(error) ? error.code : 'another error';
  }
  return undefined;
}

function led(ids = ['a', 'b', 'c']): Network {
  const network = new Network(ids, { stepDownOnRemoval: true });
  network.elect('a');
  return network;
}

describe('a membership change', () => {
  it('takes effect when it is applied, and the node that was added catches up', () => {
    const network = led(['a']);
    network.start('b', new MemoryStorage(confOf(['a'])));
    network.core('a').propose(data);
    network.settle();
    network.core('a').proposeConfChange(change('vb'));
    expect(network.core('a').status().conf.voters).toEqual(['a']);
    network.settle();
    network.tick('a', 2);
    expect(network.core('a').status().conf.voters).toEqual(['a', 'b']);
    expect(network.core('b').status()).toMatchObject({ conf: confOf(['a', 'b']), applied: 3 });
  });

  it('of several voters goes through a joint membership, which is left by itself', () => {
    const network = led();
    for (const id of ['d', 'e']) network.start(id, new MemoryStorage(confOf(['a', 'b', 'c'])));
    network.core('a').proposeConfChange(change('vd ve rb rc'));
    network.settle();
    network.tick('a', 5);
    expect(network.core('a').status().conf).toEqual(confOf(['a', 'd', 'e']));
    expect(network.applied('a').filter((entry) => entry.type === 'conf-change').length).toBe(2);
  });

  it('needs both majorities while it is joint', () => {
    const network = led();
    for (const id of ['d', 'e']) network.start(id, new MemoryStorage(confOf(['a', 'b', 'c'])));
    network.core('a').proposeConfChange(change('vd ve rb rc', 'joint-explicit'));
    network.settle();
    network.tick('a', 5);
    expect(network.core('a').status().conf.votersOutgoing).toEqual(['a', 'b', 'c']);
    const before = network.core('a').commit;
    network.isolate('b', 'c');
    network.core('a').propose(data);
    network.settle();
    network.tick('a', 3);
    expect(network.core('a').commit).toBe(before);
    network.isolate('d', 'e');
    network.core('a').propose(data);
    network.settle();
    network.tick('a', 5);
    // The first one is on both majorities by now, the second one only on the old.
    expect(network.core('a').commit).toBe(before + 1);
    network.heal();
    network.tick('a', 3);
    expect(network.core('a').commit).toBe(before + 2);
    network.core('a').proposeConfChange(change(''));
    network.settle();
    network.tick('a', 3);
    expect(network.core('a').status().conf).toEqual(confOf(['a', 'd', 'e']));
  });

  it('is refused while the one before it is not applied: two at once could make disjoint majorities', () => {
    const network = led();
    network.isolate('b', 'c');
    network.core('a').proposeConfChange(change('vd'));
    expect(codeOf(() => network.core('a').proposeConfChange(change('ve')))).toBe('conf-change-refused');
    // The same from a follower, which cannot be told: an empty entry takes its place.
    const entries = [
      { term: 0, index: 0, type: 'conf-change' as const, data: encodeConfChange(change('ve')) },
      { term: 0, index: 0, type: 'normal' as const, data },
    ];
    network.core('a').step(makeMessage({ type: 'propose', from: 'b', to: 'a', entries }));
    network.heal();
    network.settle();
    expect(network.core('a').status().conf.voters).toEqual(['a', 'b', 'c', 'd']);
    expect(network.applied('b').map((entry) => [entry.type, entry.data.length > 0])).toEqual([
      ['normal', false],
      ['conf-change', true],
      ['normal', false],
      ['normal', true],
    ]);
  });

  it('is refused by a new leader until all that was there before is applied', () => {
    const network = led();
    network.isolate('c');
    network.lose = (message) => message.type === 'append-response';
    network.core('a').propose(data);
    network.settle();
    network.core('b').campaign();
    network.settle();
    expect(network.core('b').isLeader).toBe(true);
    expect(codeOf(() => network.core('b').proposeConfChange(change('vd')))).toBe('conf-change-refused');
    network.heal();
    network.tick('b', 2);
    expect(codeOf(() => network.core('b').proposeConfChange(change('vd')))).toBeUndefined();
  });

  it.each([
    ['', 'auto'],
    ['ra rb rc', 'auto'],
    ['wb', 'auto'],
    ['wx wy wz wu', 'auto'],
  ] as const)('that does not fit is refused before it is written: %j', (text, transition) => {
    const network = led();
    const { lastIndex } = network.core('a');
    expect(codeOf(() => network.core('a').proposeConfChange(change(text, transition)))).toBe(
      'conf-change-refused',
    );
    expect(network.core('a').lastIndex).toBe(lastIndex);
  });

  it('that makes no sense changes nothing when it is applied, and condemns no replica', () => {
    const network = led();
    const before = network.core('b').status().conf;
    expect(network.core('b').applyConfChange(change('ra rb rc'))).toEqual(before);
    expect(network.core('b').applyConfChange(undefined)).toEqual(before);
  });

  it('that came as broken bytes becomes an empty entry', () => {
    const network = led();
    const broken = { term: 0, index: 0, type: 'conf-change' as const, data: new Uint8Array([9, 9]) };
    network.core('a').step(makeMessage({ type: 'propose', from: 'b', to: 'a', entries: [broken] }));
    network.settle();
    expect(network.applied('b').at(-1)).toMatchObject({ type: 'normal', data: new Uint8Array(0) });
  });

  it('is taken by the leader only', () => {
    const network = led();
    expect(codeOf(() => network.core('b').proposeConfChange(change('vd')))).toBe('not-leader');
    network.lose = (message) => message.type === 'timeout-now';
    network.core('a').transferLeadership('b');
    expect(codeOf(() => network.core('a').proposeConfChange(change('vd')))).toBe('proposal-dropped');
  });

  it('that removes the leader makes it step down, and it counted itself for nothing meanwhile', () => {
    const network = led();
    network.core('a').proposeConfChange(change('ra'));
    network.settle();
    expect(network.core('a').role).toBe('follower');
    network.elect('b');
    network.core('b').propose(data);
    network.settle();
    expect(network.core('c').applied).toBe(network.core('b').lastIndex);
  });

  it('leaves a removed leader in office if it is not told to step down, without a vote of its own', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.core('a').proposeConfChange(change('ra'));
    network.core('a').propose(data);
    // Only b answers, and it does not get the last entry yet.
    const has = (message: Message, index: number): boolean => message.entries.some((e) => e.index === index);
    network.lose = (message) => message.from === 'c' || has(message, 3);
    network.settle();
    expect(network.core('a').status()).toMatchObject({ role: 'leader', commit: 2, conf: confOf(['b', 'c']) });
    expect(codeOf(() => network.core('a').propose(data))).toBe('proposal-dropped');
    // From here on b and c decide: a and b are no majority.
    network.lose = (message) => message.from === 'c';
    network.tick('a', 3);
    expect(network.core('b').lastIndex).toBe(3);
    expect(network.core('a').commit).toBe(2);
    network.heal();
    network.tick('a', 3);
    expect(network.core('a').commit).toBe(3);
  });

  it('leaves a removed leader no reads of its own, also when only one voter remains', () => {
    const network = new Network(['a', 'b']);
    network.elect('a');
    network.core('a').proposeConfChange(change('ra'));
    network.settle();
    network.tick('a', 2);
    expect(network.core('a').status()).toMatchObject({ role: 'leader', conf: confOf(['b']) });
    network.isolate('a');
    network.elect('b').propose(data);
    network.settle();
    // The group has moved on without it.
    network.core('a').readIndex('x');
    network.tick('a', 3);
    expect(network.reads('a')).toEqual([]);
  });

  it('of a learner does not touch the quorum', () => {
    const network = led();
    network.core('a').proposeConfChange(change('ld'));
    network.settle();
    expect(network.core('a').status().conf).toEqual(confOf(['a', 'b', 'c'], ['d']));
    network.isolate('b', 'c');
    const { commit } = network.core('a');
    network.core('a').propose(data);
    network.settle();
    const { lastIndex } = network.core('a');
    network
      .core('a')
      .step(makeMessage({ type: 'append-response', from: 'd', to: 'a', term: 1, index: lastIndex }));
    expect(network.core('a').commit).toBe(commit);
  });

  it('that takes the vote of who is to lead next calls the transfer off', () => {
    const network = led();
    network.lose = (message) => message.type === 'timeout-now';
    network.core('a').proposeConfChange(change('rb'));
    network.core('a').transferLeadership('b');
    network.settle();
    expect(network.core('a').status()).toMatchObject({ transferTarget: undefined, role: 'leader' });
  });

  it('does not keep a joint membership for ever when it was held up by a transfer', () => {
    const network = led();
    network.start('d', new MemoryStorage(confOf(['a', 'b', 'c'])));
    network.lose = (message) => message.type === 'timeout-now';
    network.core('a').proposeConfChange(change('vd rb', 'joint-implicit'));
    network.core('a').transferLeadership('c');
    network.settle();
    expect(network.core('a').status().conf.votersOutgoing).toEqual(['a', 'b', 'c']);
    network.tick('a', 12);
    expect(network.core('a').status().conf.votersOutgoing).toEqual([]);
  });

  it('is what a snapshot of a later entry holds', () => {
    const network = led();
    network.start('d', new MemoryStorage(confOf(['a', 'b', 'c'])));
    network.isolate('d');
    network.core('a').proposeConfChange(change('ld'));
    network.settle();
    network.storage('a').compact(network.core('a').applied, data);
    network.heal();
    network.tick('a', 4);
    expect(network.core('d').status().conf).toEqual(confOf(['a', 'b', 'c'], ['d']));
  });
});

describe('a change that a snapshot has overtaken', () => {
  it('is not made again, on a membership that has it already', () => {
    const network = new Network(['a', 'b', 'c']);
    const core = network.core('a');
    const conf = confOf(['a', 'b', 'c'], ['e']);
    const snapshot = { metadata: { index: 9, term: 1, conf }, data };
    core.step(makeMessage({ type: 'snapshot', from: 'b', to: 'a', term: 1, snapshot }));
    // Handed out before the snapshot came, applied after: in the snapshot d was removed again.
    expect(core.applyConfChange(change('ld'), 5)).toEqual(conf);
    expect(core.applyConfChange(change('ld'), 10)).toEqual(confOf(['a', 'b', 'c'], ['d', 'e']));
  });
});

describe('voters that do not know that a change is committed', () => {
  /** a leads, and has applied its own removal; b and c have the entry and d has more, but none knows of the commit. */
  function stranded(): Network {
    const network = new Network(['a', 'b', 'c', 'd'], { stepDownOnRemoval: true, preVote: true });
    network.elect('a');
    network.core('a').proposeConfChange(change('ra rd', 'joint-explicit'));
    network.settle();
    network.core('a').proposeConfChange(change(''));
    network.handle('a');
    network.deliver();
    for (const id of ['b', 'c', 'd']) network.handle(id);
    // d gets one entry more than the others, then the change is committed and a is gone.
    network.lose = (message) => message.type === 'append' && message.to !== 'd';
    network.core('a').propose(data);
    network.settle();
    network.heal();
    return network;
  }

  it('learn it from who refuses them a vote, and need no votes of removed nodes then', () => {
    const network = stranded();
    expect(network.core('a').status()).toMatchObject({ role: 'follower', conf: confOf(['b', 'c']) });
    expect(network.core('b').status().conf.votersOutgoing).toEqual(['a', 'b', 'c', 'd']);
    for (let i = 0; i < 3 && !network.core('b').isLeader; i++) {
      network.core('b').campaign();
      network.settle();
    }
    expect(network.core('b').isLeader).toBe(true);
    expect(network.core('c').status().conf).toEqual(confOf(['b', 'c']));
  });

  it('believe no hint that does not fit their log, nor one that is broken', () => {
    const network = stranded();
    const { commit, lastIndex, term } = network.core('b').status();
    const hint = { type: 'pre-vote-response', from: 'd', to: 'b', reject: true } as const;
    for (const context of [
      `${lastIndex}@${term + 1}`,
      `${lastIndex + 1}@${term}`,
      '9',
      '-1@1',
      'x@y',
      '1e9@1',
    ]) {
      network.core('b').step(makeMessage({ ...hint, term, context }));
    }
    // Nobody but a member is believed at all.
    const context = `${lastIndex}@${term}`;
    network.core('b').step(makeMessage({ ...hint, from: 'x', term, context }));
    expect(network.core('b').commit).toBe(commit);
    network.core('b').step(makeMessage({ ...hint, term, context }));
    expect(network.core('b').commit).toBe(lastIndex);
  });

  it('learn nothing but changes in this way', () => {
    const network = led();
    network.lose = (message) => message.type === 'heartbeat' || message.entries.length === 0;
    network.core('a').propose(data);
    network.handle('a');
    network.deliver();
    const { commit, lastIndex, term } = network.core('b').status();
    const context = `${lastIndex}@${term}`;
    const hint = { type: 'vote-response', from: 'c', to: 'b', reject: true } as const;
    network.core('b').step(makeMessage({ ...hint, term, context }));
    expect([network.core('b').commit, lastIndex]).toEqual([commit, commit + 1]);
  });
});

describe('a snapshot with a membership that cannot be', () => {
  it('is not taken on', () => {
    const network = new Network(['a', 'b', 'c']);
    const conf = confOf(['a', 'b', 'c'], [], ['b', 'c']);
    const snapshot = { metadata: { index: 9, term: 1, conf }, data };
    network.core('a').step(makeMessage({ type: 'snapshot', from: 'b', to: 'a', term: 1, snapshot }));
    expect(network.core('a').status()).toMatchObject({ commit: 0, conf: confOf(['a', 'b', 'c']) });
  });

  it('keeps a replica from starting', () => {
    const conf = confOf(['a', 'b', 'c'], [], ['b', 'c']);
    const network = new Network([]);
    expect(codeOf(() => network.start('a', new MemoryStorage(conf)))).toBe('raft-invariant');
  });
});

describe('forgetting the leader', () => {
  it('lets a follower vote at once', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    network.isolate('a');
    network.core('b').campaign();
    network.settle();
    expect(network.core('b').role).toBe('candidate');
    network.core('c').forgetLeader();
    expect(network.core('c').leader).toBeUndefined();
    network.core('b').campaign();
    network.settle();
    expect(network.core('b').isLeader).toBe(true);
  });

  it('is nothing to a leader', () => {
    const network = led();
    network.core('a').forgetLeader();
    expect(network.core('a').status()).toMatchObject({ role: 'leader', leader: 'a' });
  });
});
