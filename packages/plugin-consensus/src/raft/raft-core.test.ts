import { describe, expect, it } from 'vitest';
import { Network } from './testing/network.test.kit.js';

describe('a group of three', () => {
  it('elects a leader, replicates, commits and applies', () => {
    const network = new Network(['a', 'b', 'c']);
    network.core('a').campaign();
    network.settle();
    expect(network.core('a').role).toBe('leader');
    const { index, term } = network.core('a').propose(new Uint8Array([7]));
    network.settle();
    expect({ index, term }).toEqual({ index: 2, term: 1 });
    for (const id of ['a', 'b', 'c']) {
      expect(network.core(id).applied).toBe(2);
      expect(network.applied(id).map((entry) => [...entry.data])).toEqual([[], [7]]);
      expect(network.core(id).leader).toBe('a');
    }
  });
});
