// Faults that were seen in other implementations, each as a test that names it: W1 to W9 are those of Hyperscale's job
// management, D1 to D9 those of the C# DataWarehouse engine (W1 is D4).

import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { makeMessage } from './message.js';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network } from './testing/network.test.kit.js';
import type { Entry } from './types.js';

const data = new Uint8Array([7]);

function run(from: number, terms: readonly number[]): readonly Entry[] {
  return terms.map((term, i) => ({ index: from + i, term, type: 'normal', data }));
}

function withLog(network: Network, id: string, term: number, terms: readonly number[], commit = 0): void {
  const storage = new MemoryStorage(confOf(['a', 'b', 'c']));
  storage.write({
    hardState: { term, vote: undefined, commit },
    snapshot: undefined,
    entries: run(1, terms),
  });
  network.start(id, storage);
}

describe('safety of the core', () => {
  it('W1: a stale tail is neither acknowledged nor committed after a heartbeat or an empty append', () => {
    const network = new Network(['a', 'b', 'c']);
    withLog(network, 'b', 2, [1, 1, 1]);
    // The leader of term 2 has other entries at 2 and 3, all committed; it knows only entry 1 to be shared.
    network.core('b').step({ ...network.templateAppend('a', 'b', 2), index: 1, logTerm: 1, commit: 3 });
    network.core('b').step(makeMessage({ type: 'heartbeat', from: 'a', to: 'b', term: 2, commit: 1 }));
    network.handle('b');
    expect(network.sent.find((message) => message.type === 'append-response')).toMatchObject({ index: 1 });
    expect(network.core('b').commit).toBe(1);
    network.core('b').step({
      ...network.templateAppend('a', 'b', 2),
      index: 1,
      logTerm: 1,
      entries: run(2, [2, 2]),
      commit: 3,
    });
    network.handle('b');
    expect(network.applied('b').map((entry) => entry.term)).toEqual([1, 2, 2]);
  });

  it('W2: a log is never cut below its commit index; the replica fails instead', () => {
    const network = new Network(['a', 'b', 'c']);
    withLog(network, 'b', 1, [1, 1, 1], 2);
    let thrown: unknown;
    try {
      network.core('b').step(makeMessage({ type: 'heartbeat', from: 'a', to: 'b', term: 2, commit: 9 }));
    } catch (error) {
      thrown = error;
    }
    expect(isDwError(thrown, 'raft-invariant')).toBe(true);
    network
      .core('b')
      .step({ ...network.templateAppend('a', 'b', 2), index: 1, logTerm: 1, entries: run(2, [2]) });
    expect(network.core('b').status()).toMatchObject({ lastIndex: 3, commit: 2 });
  });

  it('W3: votes of strangers make no leader', () => {
    const network = new Network(['a', 'b', 'c']);
    network.isolate('a');
    network.core('a').campaign();
    network.settle();
    for (const from of ['x', 'y', 'z']) {
      network.core('a').step(makeMessage({ type: 'vote-response', from, to: 'a', term: 1 }));
    }
    expect(network.core('a').role).toBe('candidate');
    expect(network.core('a').status().refusedMessages).toBe(3);
  });

  it('W3: acknowledgements of strangers commit nothing, and their terms depose nobody', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.isolate('a');
    network.core('a').propose(data);
    network.settle();
    for (const from of ['x', 'y', 'z']) {
      network.core('a').step(makeMessage({ type: 'append-response', from, to: 'a', term: 1, index: 2 }));
      network.core('a').step(makeMessage({ type: 'append-response', from, to: 'a', term: 99, index: 2 }));
      network.core('a').step(makeMessage({ type: 'heartbeat-response', from, to: 'a', term: 99 }));
    }
    expect(network.core('a').status()).toMatchObject({ role: 'leader', term: 1, commit: 1 });
  });

  it('W4: a success that was overtaken does not move a follower back', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    const held: Parameters<Network['lose']>[0][] = [];
    network.lose = (message) =>
      message.type === 'append-response' && message.from === 'b' && held.push(message) > 0;
    network.core('a').propose(data);
    network.settle();
    network.heal();
    network.core('a').propose(data);
    network.settle();
    const progress = network.core('a').status().progress;
    for (const message of held) network.core('a').step(message);
    expect(network.core('a').status().progress).toEqual(progress);
  });

  it('W5: a group of one commits by itself', () => {
    const network = new Network(['a']);
    network.elect('a');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').status()).toMatchObject({ commit: 2, applied: 2 });
  });

  it('W6: what an earlier leader replicated is committed without waiting for a proposal', () => {
    const network = new Network(['a', 'b', 'c']);
    for (const id of ['a', 'b', 'c']) withLog(network, id, 1, [1, 1, 1]);
    network.elect('b');
    expect(network.core('b').commit).toBe(4);
    expect(network.core('c').applied).toBe(4);
  });

  it('an entry of an older term is not committed by counting', () => {
    // The case of figure 8 of the Raft paper: the entry of term 2 is on a majority but could still be replaced.
    const network = new Network(['a', 'b', 'c']);
    withLog(network, 'a', 3, [1, 2]);
    withLog(network, 'b', 3, [1, 2]);
    withLog(network, 'c', 3, [1, 3]);
    network.lose = (message) => message.to === 'c' || message.entries.some((entry) => entry.term === 4);
    network.core('a').campaign();
    network.settle();
    expect(network.core('a').status()).toMatchObject({ role: 'leader', term: 4 });
    // An empty append shows that b shares the entry of term 2; that must not commit it.
    network.core('a').step(makeMessage({ type: 'append-response', from: 'b', to: 'a', term: 4, index: 2 }));
    expect(network.core('a').commit).toBe(0);
  });

  it('W7: a follower behind the compacted part gets a snapshot, never entries out of place', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.isolate('c');
    for (let i = 0; i < 8; i++) network.core('a').propose(data);
    network.settle();
    network.storage('a').compact(9, data);
    network.core('a').propose(data);
    network.heal();
    network.tick('a', 3);
    expect(network.storage('c').stored.metadata.index).toBe(9);
    expect(
      network
        .storage('c')
        .entries(10, 11, Infinity)
        .map((entry) => entry.index),
    ).toEqual([10]);
  });

  it('W8: what was handed out and not reported as applied counts as not applied', () => {
    const network = new Network(['a']);
    network.elect('a');
    network.core('a').propose(data);
    const ready = network.core('a').ready();
    network.storage('a').write(ready.append ?? { hardState: undefined, entries: [], snapshot: undefined });
    for (const response of ready.append?.responses ?? []) network.core('a').step(response);
    const { apply } = network.core('a').ready();
    expect(apply?.entries.map((entry) => entry.index)).toEqual([2]);
    expect(network.core('a').applied).toBe(1);
    // A replica that starts again gets it again.
    const restarted = network.start('a', network.storage('a').clone());
    network.elect('a');
    expect(network.applied('a').map((entry) => entry.index)).toEqual([1, 2, 3]);
    expect(restarted.applied).toBe(3);
  });

  it('D3: a quorum is of the configured voters, however many of them are reachable', () => {
    const network = new Network(['a', 'b', 'c', 'd', 'e'], { checkQuorum: true });
    network.elect('a');
    network.isolate('c', 'd', 'e');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').commit).toBe(1);
    network.tick('a', 30);
    expect(network.core('a').isLeader).toBe(false);
  });

  it('a candidate whose own vote is not on its disk does not lead: after a crash it would be elected in that term again', () => {
    const network = new Network(['a', 'b', 'c']);
    const core = network.core('a');
    core.campaign();
    const ready = core.ready();
    const requests = ready.messages.filter(({ type }) => type === 'vote');
    expect(requests).toHaveLength(2);
    for (const { to } of requests) {
      core.step(makeMessage({ type: 'vote-response', from: to, to: 'a', term: 1 }));
    }
    expect(core.role).toBe('candidate');
    network.storage('a').write(ready.append ?? { hardState: undefined, entries: [], snapshot: undefined });
    for (const response of ready.append?.responses ?? []) core.step(response);
    expect(core.role).toBe('leader');
  });

  it('a node that is no member of its own group never leads', () => {
    const network = new Network(['b']);
    const core = network.start('a', new MemoryStorage(confOf(['b'])));
    for (let i = 0; i < 50; i++) core.tick();
    core.campaign();
    expect(core.role).toBe('follower');
  });

  it('D7: votes that come in after an election is over change nothing', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.core('a').step(makeMessage({ type: 'vote-response', from: 'b', to: 'a', term: 1, reject: true }));
    network.core('a').step(makeMessage({ type: 'vote-response', from: 'c', to: 'a', term: 1, reject: true }));
    expect(network.core('a').role).toBe('leader');
    network.elect('b');
    network.core('a').step(makeMessage({ type: 'vote-response', from: 'c', to: 'a', term: 1 }));
    expect(network.core('a').status()).toMatchObject({ role: 'follower', term: 2 });
  });

  it('D8: a node that comes back after a long partition with a far higher term rejoins', () => {
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true, random: () => 0 });
    network.elect('a');
    network.isolate('c');
    network.tick('c', 2_000);
    expect(network.core('c').term).toBeGreaterThan(150);
    network.heal();
    for (let i = 0; i < 60; i++) for (const id of ['a', 'b', 'c']) network.tick(id);
    const leaders = ['a', 'b', 'c'].filter((id) => network.core(id).isLeader);
    expect(leaders.length).toBe(1);
    expect(new Set(['a', 'b', 'c'].map((id) => network.core(id).term)).size).toBe(1);
  });

  it('W9: a lease is a length of time, and no clock is compared with another', () => {
    const lease = { promiseMs: 100, driftMargin: 0.1, maxPauseMs: 40, refuseVotesAfterStart: true };
    const network = new Network(['a', 'b', 'c'], { checkQuorum: true, lease });
    const clocks = { a: 0, b: 9_000_000, c: 123 };
    for (const [id, now] of Object.entries(clocks)) network.core(id).setTime(now);
    network.elect('a');
    network.tick('a');
    expect(network.core('a').status().leaseMs).toBe(90);
    // Nothing that is sent holds a time.
    for (const message of network.sent) expect(JSON.stringify(message)).not.toContain('9000000');
  });

  it('D1: one node of three does not lead by itself, and three do by their messages', () => {
    const network = new Network(['a', 'b', 'c']);
    network.isolate('a');
    network.tick('a', 100);
    expect(network.core('a').isLeader).toBe(false);
    network.heal();
    for (let i = 0; i < 30; i++) for (const id of ['a', 'b', 'c']) network.tick(id);
    expect(['a', 'b', 'c'].filter((id) => network.core(id).isLeader).length).toBe(1);
  });

  it('D2: term, vote and entries survive when all nodes crash at once', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    const { index } = network.core('a').propose(data);
    network.settle();
    for (const id of ['a', 'b', 'c']) network.start(id, network.storage(id).clone());
    expect(network.core('b').status()).toMatchObject({ term: 1, vote: 'a', lastIndex: index });
    network.elect('c');
    expect(network.applied('c').find((entry) => entry.index === index)?.data).toEqual(data);
  });

  it('D3: peers that are reported as unreachable still count', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    network.isolate('a');
    for (const id of ['b', 'c']) network.core('a').reportUnreachable(id);
    network.core('a').propose(data);
    network.tick('a', 5);
    expect(network.core('a').commit).toBe(1);
  });

  it('D5: compaction renumbers nothing: indexes, terms and progress stay', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    for (let i = 0; i < 8; i++) network.core('a').propose(data);
    network.settle();
    const before = network.core('a').status();
    network.storage('a').compact(6, data);
    const { firstIndex, ...after } = network.core('a').status();
    expect(firstIndex).toBe(7);
    expect({ ...after, firstIndex: 1 }).toEqual(before);
    const { index } = network.core('a').propose(data);
    network.settle();
    expect([index, network.core('b').applied, network.storage('a').term(6)]).toEqual([10, 10, 1]);
  });

  it('D6: what is applied says nothing about what was proposed after it', () => {
    const network = new Network(['a', 'b', 'c']);
    network.elect('a');
    const first = network.core('a').propose(data);
    network.settle();
    network.isolate('b', 'c');
    const second = network.core('a').propose(data);
    network.tick('a', 3);
    expect(network.applied('a').at(-1)?.index).toBe(first.index);
    expect(second.index).toBe(first.index + 1);
    expect(network.core('a').applied).toBe(first.index);
  });

  it('D9: a log that diverged for long is matched in a round a term, not an entry', () => {
    const network = new Network(['a', 'b', 'c']);
    withLog(network, 'a', 3, [1, ...Array.from({ length: 100 }, () => 3)]);
    withLog(network, 'b', 3, [1, ...Array.from({ length: 90 }, () => 2)]);
    withLog(network, 'c', 3, [1, ...Array.from({ length: 100 }, () => 3)]);
    network.elect('a');
    expect(network.core('b').commit).toBe(102);
    const rejected = network.sent.filter(({ type, reject }) => type === 'append-response' && reject);
    expect(rejected.length).toBeLessThanOrEqual(2);
  });
});
