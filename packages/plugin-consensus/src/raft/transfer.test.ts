import { isDwError } from '@datawarehouse/sdk';
import { describe, expect, it } from 'vitest';
import { makeMessage } from './message.js';
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

function led(learners: readonly string[] = []): Network {
  const network = new Network(['a', 'b', 'c'], { checkQuorum: true, preVote: true }, learners);
  network.elect('a');
  return network;
}

describe('handing leadership over', () => {
  it('takes one round to a member that is up to date, in spite of leases and pre-votes', () => {
    const network = led();
    network.core('a').transferLeadership('b');
    network.settle();
    expect(network.core('b').status()).toMatchObject({ role: 'leader', term: 2 });
    expect(network.core('a').status()).toMatchObject({ role: 'follower', leader: 'b' });
  });

  it('is passed on by a follower, in the term in which it knows the leader', () => {
    const network = led();
    const follower = network.core('b');
    follower.step(makeMessage({ type: 'transfer-leader', from: 'c', to: 'b' }));
    const passed = follower.ready().messages.find(({ type }) => type === 'transfer-leader');
    expect(passed).toMatchObject({ from: 'c', to: 'a', term: 1 });
    network.core('a').step(makeMessage({ ...passed, type: 'transfer-leader', from: 'c', to: 'a' }));
    network.settle();
    expect(network.core('c').role).toBe('leader');
  });

  it('brings the other up to date first', () => {
    const network = led();
    network.isolate('b');
    network.core('a').propose(data);
    network.settle();
    network.heal();
    network.core('a').transferLeadership('b');
    network.tick('a', 2);
    expect(network.core('b').role).toBe('leader');
    expect(network.core('b').applied).toBe(3);
  });

  it('drops proposals meanwhile, and takes them again when it is given up', () => {
    const network = led();
    network.isolate('b');
    network.core('a').transferLeadership('b');
    expect(codeOf(() => network.core('a').propose(data))).toBe('proposal-dropped');
    expect(codeOf(() => network.core('a').proposeBatch([data]))).toBe('proposal-dropped');
    expect(network.core('a').status().transferTarget).toBe('b');
    network.tick('a', 10);
    expect(network.core('a').status().transferTarget).toBeUndefined();
    expect(network.core('a').propose(data).index).toBe(2);
  });

  it('can be redirected, and called off by naming the leader itself', () => {
    const network = led();
    network.isolate('b');
    network.core('a').transferLeadership('b');
    network.core('a').transferLeadership('a');
    expect(network.core('a').status().transferTarget).toBeUndefined();
    network.core('a').transferLeadership('b');
    network.core('a').transferLeadership('c');
    network.settle();
    expect(network.core('c').role).toBe('leader');
  });

  it('is refused to learners, strangers, and by nodes that do not lead', () => {
    const network = led(['l']);
    expect(codeOf(() => network.core('a').transferLeadership('l'))).toBe('transfer-refused');
    expect(codeOf(() => network.core('a').transferLeadership('x'))).toBe('transfer-refused');
    expect(codeOf(() => network.core('b').transferLeadership('c'))).toBe('not-leader');
  });

  it('cannot be asked for by a stranger', () => {
    const network = led();
    network.core('b').step(makeMessage({ type: 'timeout-now', from: 'x', to: 'b', term: 1 }));
    network.core('a').step(makeMessage({ type: 'transfer-leader', from: 'x', to: 'a' }));
    network.settle();
    expect(network.core('a').status()).toMatchObject({ role: 'leader', term: 1 });
    expect(network.core('b').role).toBe('follower');
  });

  it('is not needed to give leadership up', () => {
    const network = led();
    network.core('a').stepDown();
    expect(network.core('a').status()).toMatchObject({ role: 'follower', leader: undefined, term: 1 });
    network.core('b').stepDown();
    expect(network.core('b').leader).toBe('a');
  });
});
