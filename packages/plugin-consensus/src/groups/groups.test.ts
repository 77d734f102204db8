// Keys are spread over the groups, stay where they are when a group is added, and are found in every process.

import { describe, expect, it } from 'vitest';
import { HashRing } from './hash-ring.js';
import { keyHash } from './key-hash.js';
import { groupIds, placeGroups } from './placement.js';

const keys = Array.from({ length: 60_000 }, (_, n) => `user/${n}`);

describe('keyHash', () => {
  it('is MurmurHash3 x86 32-bit: the published test vectors', () => {
    expect(keyHash('')).toBe(0);
    expect(keyHash('hello')).toBe(0x248bfa47);
    expect(keyHash('hello, world')).toBe(0x149bbb7f);
    expect(keyHash('The quick brown fox jumps over the lazy dog')).toBe(0x2e4ff723);
  });
});

describe('the hash ring', () => {
  it('does not change: these keys belong to these groups for ever', () => {
    const ring = new HashRing(groupIds(3));
    expect(['a', 'b', 'greeting', 'user/1', 'ключ', '\u{1f600}'].map((key) => ring.groupOf(key))).toEqual([
      'group-2',
      'group-1',
      'group-2',
      'group-3',
      'group-1',
      'group-3',
    ]);
    expect(new HashRing(groupIds(3).reverse()).groupOf('user/1')).toBe(ring.groupOf('user/1'));
  });

  it.each([1, 2, 3, 5, 16])('gives each of %i groups its share, within a fifth', (count) => {
    const ring = new HashRing(groupIds(count));
    const counts = new Map<string, number>();
    for (const key of keys) counts.set(ring.groupOf(key), (counts.get(ring.groupOf(key)) ?? 0) + 1);
    expect(counts.size).toBe(count);
    for (const share of counts.values()) {
      expect(Math.abs(share / (keys.length / count) - 1)).toBeLessThan(0.2);
    }
  });

  it('moves keys to a new group only, and about its share of them', () => {
    const before = new HashRing(groupIds(3));
    const after = new HashRing(groupIds(4));
    let moved = 0;
    for (const key of keys) {
      if (before.groupOf(key) === after.groupOf(key)) continue;
      expect(after.groupOf(key)).toBe('group-4');
      moved++;
    }
    expect(moved / keys.length).toBeGreaterThan(0.18);
    expect(moved / keys.length).toBeLessThan(0.32);
  });
});

describe('placement', () => {
  it('rotates voters and preferred leaders over the nodes, whatever their order', () => {
    expect(placeGroups(['n3', 'n1', 'n2', 'n4'], 3, 3)).toEqual([
      { id: 'group-1', voters: ['n1', 'n2', 'n3'], preferredLeader: 'n1' },
      { id: 'group-2', voters: ['n2', 'n3', 'n4'], preferredLeader: 'n2' },
      { id: 'group-3', voters: ['n1', 'n3', 'n4'], preferredLeader: 'n3' },
    ]);
  });

  it('lets all nodes vote when there are fewer than asked for', () => {
    expect(placeGroups(['n1'], 2, 3)).toEqual([
      { id: 'group-1', voters: ['n1'], preferredLeader: 'n1' },
      { id: 'group-2', voters: ['n1'], preferredLeader: 'n1' },
    ]);
  });
});
