import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JointConfig } from './joint.js';
import { MajorityConfig } from './majority.js';

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const idList = fc.uniqueArray(names, { minLength: 1 });

describe('JointConfig', () => {
  it('commits only what both halves commit', () => {
    fc.assert(
      fc.property(idList, idList, fc.dictionary(names, fc.nat(9)), (incoming, outgoing, acks) => {
        const acked = (id: string): number | undefined => acks[id];
        const expected = Math.min(
          new MajorityConfig(incoming).committedIndex(acked),
          new MajorityConfig(outgoing).committedIndex(acked),
        );
        expect(new JointConfig(incoming, outgoing).committedIndex(acked)).toBe(expected);
        expect(new JointConfig(outgoing, incoming).committedIndex(acked)).toBe(expected);
      }),
    );
  });

  it('is won by both halves, lost by either', () => {
    const joint = new JointConfig(['a', 'b', 'c'], ['c', 'd', 'e']);
    const result = (yes: string, no = ''): string =>
      joint.voteResult(
        new Map([
          ...yes.split('').map((id) => [id, true] as const),
          ...no.split('').map((id) => [id, false] as const),
        ]),
      );
    expect(result('ab')).toBe('pending');
    expect(result('abd')).toBe('pending');
    expect(result('acd')).toBe('won');
    expect(result('ab', 'de')).toBe('lost');
  });

  it('is a plain majority when nobody is on the way out', () => {
    const plain = new JointConfig(['a', 'b', 'c']);
    expect(plain.isJoint).toBe(false);
    expect(
      plain.voteResult(
        new Map([
          ['a', true],
          ['b', true],
        ]),
      ),
    ).toBe('won');
    expect(plain.toString()).toBe('(a b c)');
    expect(new JointConfig(['a'], ['b']).toString()).toBe('(a)&&(b)');
  });
});
