// What a leader may have under way: messages, bytes, proposals. And what must not wait for a disk.

import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { entriesBytes } from './entry-size.js';
import { makeMessage } from './message.js';
import { Network } from './testing/network.test.kit.js';
import { Random } from './testing/random.test.kit.js';
import type { Message } from './types.js';

function bytes(count: number): Uint8Array {
  return new Uint8Array(count);
}

/** A leader whose appends with entries nobody answers any more. */
function unanswered(options: ConstructorParameters<typeof Network>[1]): Network {
  const network = new Network(['a', 'b', 'c'], options);
  network.elect('a');
  network.sent.length = 0;
  network.lose = (message) => message.type === 'append-response';
  return network;
}

function appendsTo(network: Network, id: string): readonly Message[] {
  return network.sent.filter(({ type, to, entries }) => type === 'append' && to === id && entries.length > 0);
}

describe('appends under way to a follower', () => {
  it('are never more messages than the window holds, whatever is proposed', () => {
    const network = unanswered({ maxInflightMessages: 4 });
    for (let i = 0; i < 50; i++) {
      network.core('a').propose(bytes(1));
      network.settle();
    }
    expect(appendsTo(network, 'b').length).toBe(4);
    expect(network.core('a').status().progress[1]).toMatchObject({ inflight: 4, inflightFull: true });
  });

  it('are never more bytes than allowed, but for the message that reaches the bound', () => {
    const network = unanswered({ maxInflightBytes: 1_000, maxBytesPerMessage: 500 });
    for (let i = 0; i < 50; i++) {
      network.core('a').propose(bytes(120));
      network.settle();
    }
    const sent = appendsTo(network, 'b').reduce(
      (sum, { entries }) => sum + entries.reduce((of, entry) => of + entry.data.length, 0),
      0,
    );
    expect(sent).toBeGreaterThanOrEqual(1_000);
    expect(sent).toBeLessThan(1_000 + 500);
  });

  it('are never larger each than a message may be, unless it is one entry', () => {
    const random = new Random(5);
    const network = new Network(['a', 'b', 'c'], { maxBytesPerMessage: 300 });
    network.elect('a');
    network.isolate('b');
    for (let i = 0; i < 60; i++) network.core('a').propose(bytes(random.below(500)));
    network.settle();
    network.heal();
    network.tick('a', 3);
    expect(network.core('b').commit).toBe(network.core('a').commit);
    for (const { entries } of appendsTo(network, 'b')) {
      expect(entries.length === 1 || entriesBytes(entries) <= 300).toBe(true);
    }
  });

  it('go on as far as each answer frees, and no further', () => {
    const network = unanswered({ maxInflightMessages: 2, maxBytesPerMessage: 1 });
    for (let i = 0; i < 6; i++) network.core('a').propose(bytes(1));
    network.settle();
    expect(appendsTo(network, 'b').length).toBe(2);
    const answer = { type: 'append-response', from: 'b', to: 'a', term: 1 } as const;
    network.core('a').step(makeMessage({ ...answer, index: 2 }));
    network.settle();
    expect(appendsTo(network, 'b').length).toBe(3);
    network.core('a').step(makeMessage({ ...answer, index: 4 }));
    network.settle();
    expect(appendsTo(network, 'b').length).toBe(5);
  });
});

describe('proposals that are not committed', () => {
  it('are never more bytes than allowed, one by one and in batches, until some are applied', () => {
    const network = unanswered({ maxUncommittedBytes: 1_000 });
    const random = new Random(9);
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      try {
        if (random.chance(0.5)) network.core('a').propose(bytes(random.below(200)));
        else network.core('a').proposeBatch([bytes(random.below(200)), bytes(random.below(200))]);
      } catch (error) {
        if (!isDwError(error, 'proposal-dropped')) throw error;
        refused++;
      }
      expect(network.core('a').status().uncommittedBytes).toBeLessThanOrEqual(1_000);
    }
    expect(refused).toBeGreaterThan(10);
    network.heal();
    network.tick('a', 3);
    expect(network.core('a').status().uncommittedBytes).toBe(0);
    expect(() => network.core('a').propose(bytes(900))).not.toThrow();
  });

  it('are counted also when others pass them on', () => {
    const network = unanswered({ maxUncommittedBytes: 100 });
    const entries = [{ term: 0, index: 0, type: 'normal' as const, data: bytes(80) }];
    const proposal = makeMessage({ type: 'propose', from: 'b', to: 'a', entries });
    network.core('a').step(proposal);
    expect(() => {
      network.core('a').step(proposal);
    }).toThrow(/uncommitted/);
  });
});

describe('a disk that hangs', () => {
  it('of a leader holds back neither its heartbeats nor what the others commit', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    network.holdDisk('a');
    for (let i = 0; i < 5; i++) network.core('a').propose(bytes(1));
    network.settle();
    expect([network.core('a').commit, network.core('b').commit]).toEqual([6, 6]);
    network.sent.length = 0;
    network.tick('a', 30);
    expect(network.sent.filter(({ type, to }) => type === 'heartbeat' && to === 'b').length).toBe(30);
    expect(network.core('a').isLeader).toBe(true);
    // Its own disk has none of it, so it applies none of it.
    expect(network.core('a').applied).toBe(1);
    network.releaseDisk('a');
    network.settle();
    expect(network.core('a').applied).toBe(6);
  });

  it('of a follower holds back no answer to a heartbeat, so its leader keeps its quorum', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true });
    network.elect('a');
    for (const id of ['b', 'c']) network.holdDisk(id);
    network.core('a').propose(bytes(1));
    network.tick('a', 30);
    expect(network.core('a').status()).toMatchObject({ role: 'leader', commit: 1 });
    network.core('a').readIndex('x');
    network.settle();
    expect(network.reads('a').map(({ index }) => index)).toEqual([1]);
  });

  it('of a leader does not keep it from handing over', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.holdDisk('a');
    network.core('a').propose(bytes(1));
    network.settle();
    network.core('a').transferLeadership('b');
    network.settle();
    expect(network.core('b').isLeader).toBe(true);
    expect(network.core('b').commit).toBe(network.core('b').lastIndex);
  });
});
