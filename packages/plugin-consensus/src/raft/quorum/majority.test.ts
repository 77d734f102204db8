import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MajorityConfig } from './majority.js';

const idList = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { minLength: 1 });

describe('MajorityConfig', () => {
  it('keeps each voter once, sorted', () => {
    expect(new MajorityConfig(['b', 'a', 'b']).ids).toEqual(['a', 'b']);
  });

  it('commits what more than half of the voters have, and nothing above', () => {
    fc.assert(
      fc.property(
        idList,
        fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), fc.nat(20)),
        (ids, acks) => {
          const config = new MajorityConfig(ids);
          const index = config.committedIndex((id) => acks[id]);
          const having = (at: number): number => ids.filter((id) => (acks[id] ?? 0) >= at).length;
          expect(having(index)).toBeGreaterThan(ids.length / 2);
          expect(having(index + 1)).toBeLessThanOrEqual(ids.length / 2);
        },
      ),
    );
  });

  it('gives the same answer when asked twice: nothing is left over from the first', () => {
    const config = new MajorityConfig(['a', 'b', 'c']);
    expect(config.committedIndex(() => 9)).toBe(9);
    expect(config.committedIndex(() => 1)).toBe(1);
    expect(config.committedIndex(() => undefined)).toBe(0);
  });

  it('counts no vote of a stranger', () => {
    const config = new MajorityConfig(['a', 'b', 'c']);
    const votes = new Map([
      ['a', true],
      ['x', true],
      ['y', true],
    ]);
    expect(config.voteResult(votes)).toBe('pending');
  });

  it('is won by a majority of yes, lost once that cannot be reached any more', () => {
    const config = new MajorityConfig(['a', 'b', 'c', 'd']);
    const result = (yes: string, no: string): string =>
      config.voteResult(
        new Map([
          ...yes.split('').map((id) => [id, true] as const),
          ...no.split('').map((id) => [id, false] as const),
        ]),
      );
    expect(result('ab', '')).toBe('pending');
    expect(result('abc', '')).toBe('won');
    expect(result('ab', 'cd')).toBe('lost');
    expect(result('', 'cd')).toBe('lost');
    expect(result('', 'd')).toBe('pending');
  });

  it('decides everything when it is empty', () => {
    const config = new MajorityConfig([]);
    expect(config.committedIndex(() => 3)).toBe(Number.POSITIVE_INFINITY);
    expect(config.voteResult(new Map())).toBe('won');
  });
});
