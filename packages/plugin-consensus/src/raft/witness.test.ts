import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { confOf, MemoryStorage } from './testing/memory-storage.test.kit.js';
import { Network } from './testing/network.test.kit.js';

const data = new Uint8Array([7, 7, 7]);

/** Two nodes with data and a witness. */
function group(options = {}): Network {
  return new Network(['a', 'b', 'w'], { checkQuorum: true, preVote: true, ...options }, [], ['w']);
}

describe('a witness', () => {
  it('votes and counts in the quorum', () => {
    const network = group();
    network.isolate('b');
    network.elect('a');
    network.core('a').propose(data);
    network.settle();
    expect(network.core('a').commit).toBe(2);
  });

  it('gets which entries there are, without their data, but with what changes the membership', () => {
    const network = group();
    network.elect('a');
    network.core('a').propose(data);
    network.core('a').proposeConfChange({
      transition: 'auto',
      changes: [{ type: 'add-learner', nodeId: 'd' }],
      context: data,
    });
    network.settle();
    const bytes = (id: string): readonly number[] => network.applied(id).map((entry) => entry.data.length);
    expect(bytes('b')[1]).toBe(3);
    expect(bytes('w').slice(0, 2)).toEqual([0, 0]);
    expect(bytes('w')[2]).toBe(bytes('b')[2]);
    expect(network.core('w').status().conf).toEqual(confOf(['a', 'b', 'w'], ['d'], ['w']));
  });

  it('helps nobody to lead who lacks what it has seen', () => {
    const network = group({ checkQuorum: false });
    network.elect('a');
    network.isolate('b');
    network.core('a').propose(data);
    network.settle();
    network.isolate('a');
    network.core('b').campaign();
    network.settle();
    network.core('b').campaign();
    network.settle();
    expect(network.core('b').isLeader).toBe(false);
  });

  it('never stands and is never handed leadership', () => {
    const network = group();
    network.elect('a');
    network.isolate('a', 'b');
    network.tick('w', 100);
    network.core('w').campaign();
    expect(network.core('w').status()).toMatchObject({ role: 'follower', term: 1 });
    let code: string | undefined;
    try {
      network.core('a').transferLeadership('w');
    } catch (error) {
      code = isDwError(error) ? error.code : undefined;
    }
    expect(code).toBe('transfer-refused');
    network.heal();
    network.settle();
    // Not even when it is told to.
    network
      .core('w')
      .step({ ...network.templateAppend('a', 'w', network.core('w').term), type: 'timeout-now' });
    expect(network.core('w').role).toBe('follower');
  });

  it('gets a snapshot that says only which entries it stands for', () => {
    const network = group();
    network.elect('a');
    network.isolate('w');
    for (let i = 0; i < 5; i++) network.core('a').propose(data);
    network.settle();
    network.storage('a').compact(5, data);
    network.heal();
    network.tick('a', 2);
    const sent = network.sent.findLast((message) => message.type === 'snapshot');
    expect([sent?.to, sent?.snapshot?.metadata.index, sent?.snapshot?.data.length]).toEqual(['w', 5, 0]);
    network.core('a').propose(data);
    network.settle();
    expect(network.core('w').status()).toMatchObject({ lastIndex: 7, commit: 7 });
    expect(network.storage('w').stored.data.length).toBe(0);
  });

  it('is shown as one', () => {
    const network = group();
    network.elect('a');
    expect(network.core('a').status()).toMatchObject({
      conf: confOf(['a', 'b', 'w'], [], ['w']),
      progress: [{ isWitness: false }, { isWitness: false }, { isWitness: true }],
    });
  });

  it('is one from when it was added on, also after a restart', () => {
    const network = new Network(['a']);
    network.elect('a');
    network.start('w', new MemoryStorage(confOf(['a'])));
    for (const nodeId of ['b', 'c']) {
      network.start(nodeId, new MemoryStorage(confOf(['a'])));
      network.core('a').proposeConfChange({
        transition: 'auto',
        changes: [{ type: 'add-voter', nodeId }],
        context: new Uint8Array(0),
      });
      network.settle();
      network.tick('a', 2);
    }
    network.core('a').proposeConfChange({
      transition: 'auto',
      changes: [{ type: 'add-witness', nodeId: 'w' }],
      context: new Uint8Array(0),
    });
    network.settle();
    network.tick('a', 3);
    network.core('a').propose(data);
    network.settle();
    expect(network.storage('w').log.at(-1)?.data.length).toBe(0);
    const restarted = network.start('w', network.storage('w').clone());
    network.handle('w');
    expect(restarted.status().conf.witnesses).toEqual(['w']);
    restarted.campaign();
    expect(restarted.role).toBe('follower');
  });
});
