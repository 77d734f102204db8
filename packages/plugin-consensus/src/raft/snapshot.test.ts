import { describe, expect, it } from 'vitest';
import { Network } from './testing/network.test.kit.js';

const data = new Uint8Array([7]);

/** Three nodes of which `c` has missed entries that the leader has compacted. */
function lagging(): Network {
  const network = new Network(['a', 'b', 'c']);
  network.elect('a');
  network.isolate('c');
  for (let i = 0; i < 5; i++) network.core('a').propose(data);
  network.settle();
  network.storage('a').compact(4, new Uint8Array([4]));
  network.heal();
  return network;
}

function stateOf(network: Network, id: string): string | undefined {
  return network
    .core('a')
    .status()
    .progress.find((member) => member.id === id)?.state;
}

describe('a follower behind what is compacted', () => {
  it('gets the snapshot, then the entries after it', () => {
    const network = lagging();
    network.tick('a', 2);
    expect(network.storage('c').stored.metadata.index).toBe(4);
    expect(network.applied('c').map((entry) => entry.index)).toEqual([1, 5, 6]);
    expect(network.core('c').applied).toBe(6);
    expect(stateOf(network, 'c')).toBe('replicate');
  });

  it('is sent nothing else while the snapshot is under way', () => {
    const network = lagging();
    network.lose = (message) => message.type === 'snapshot';
    network.tick('a', 3);
    const before = network.sent.filter((message) => message.type === 'snapshot').length;
    network.tick('a', 5);
    expect(network.sent.filter((message) => message.type === 'snapshot').length).toBe(before);
    expect(stateOf(network, 'c')).toBe('snapshot');
  });

  it('is sent it again when that is reported as failed', () => {
    const network = lagging();
    network.lose = (message) => message.type === 'snapshot';
    network.tick('a', 3);
    network.heal();
    network.core('a').reportSnapshot('c', false);
    expect(stateOf(network, 'c')).toBe('probe');
    network.tick('a', 3);
    expect(network.core('c').applied).toBe(6);
  });

  it('is probed from its end when it is reported as delivered but the answer was lost', () => {
    const network = lagging();
    network.lose = (message) => message.from === 'c' && message.type === 'append-response' && !message.reject;
    network.tick('a', 3);
    expect(network.core('c').commit).toBe(4);
    network.heal();
    network.core('a').reportSnapshot('c', true);
    network.tick('a', 2);
    expect(network.core('c').applied).toBe(6);
  });

  it('gets none while it was not heard of', () => {
    const network = lagging();
    network.isolate('c');
    network.elect('b');
    network.tick('b', 30);
    expect(network.sent.some((message) => message.type === 'snapshot')).toBe(false);
  });

  it('acknowledges and applies only once the snapshot is on disk', () => {
    const network = lagging();
    network.lose = (message) => message.type === 'snapshot';
    network.tick('a', 1);
    const lost = network.sent.find((message) => message.type === 'snapshot');
    if (lost === undefined) throw new Error('no snapshot was sent');
    network.heal();
    network.holdDisk('c');
    network.send([lost]);
    network.settle();
    expect(network.core('c').status()).toMatchObject({ commit: 4, applied: 1 });
    expect(stateOf(network, 'c')).toBe('snapshot');
    // Its state is not whole, so it must not lead.
    network.core('c').campaign();
    expect(network.core('c').role).toBe('follower');
    network.releaseDisk('c');
    network.tick('a');
    expect(network.core('c').applied).toBe(6);
  });
});

describe('a snapshot', () => {
  it('that says nothing new is ignored', () => {
    const network = lagging();
    network.tick('a', 3);
    const old = network.sent.find((message) => message.type === 'snapshot');
    if (old === undefined) throw new Error('no snapshot was sent');
    network.core('c').step(old);
    network.handle('c');
    expect(network.core('c').status()).toMatchObject({ lastIndex: 6, commit: 6 });
    expect(network.sent.at(-1)).toMatchObject({ type: 'append-response', index: 6 });
  });

  it('of a log that is there already only moves the commit index', () => {
    const network = lagging();
    network.tick('a', 1);
    const snapshot = network.sent.find((message) => message.type === 'snapshot');
    if (snapshot === undefined) throw new Error('no snapshot was sent');
    const other = new Network(['a', 'b', 'c']);
    const storage = network.storage('b').clone();
    storage.hardState = { ...storage.hardState, commit: 1 };
    const core = other.start('c', storage);
    core.step(snapshot);
    expect(core.status()).toMatchObject({ commit: 4, lastIndex: 6 });
    expect(core.ready().append?.snapshot).toBeUndefined();
  });

  it('from before this node was added is taken: what adds it follows', () => {
    const network = lagging();
    network.tick('a', 1);
    const sent = network.sent.find((message) => message.type === 'snapshot');
    if (sent?.snapshot === undefined) throw new Error('no snapshot was sent');
    const { metadata } = sent.snapshot;
    const snapshot = {
      ...sent.snapshot,
      metadata: { ...metadata, index: 9, conf: { ...metadata.conf, voters: ['a', 'b'] } },
    };
    network.core('c').step({ ...sent, snapshot });
    expect(network.core('c').status()).toMatchObject({ commit: 9, conf: { voters: ['a', 'b'] } });
    network.core('c').campaign();
    expect(network.core('c').role).toBe('follower');
  });
});
