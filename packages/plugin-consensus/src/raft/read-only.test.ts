import { describe, expect, it } from 'vitest';
import { MajorityConfig } from './quorum/majority.js';
import { ReadOnly } from './read-only.js';

const voters = new MajorityConfig(['a', 'b', 'c']);

function release(reads: ReadOnly): readonly string[] {
  return reads
    .release(reads.confirmedRound((acked) => voters.committedIndex(acked), 'a'))
    .map((read) => `${read.context}@${read.index}`);
}

describe('ReadOnly', () => {
  it('releases a read once a quorum has confirmed it', () => {
    const reads = new ReadOnly();
    const context = reads.add({ from: 'a', context: 'x', mode: 'safe' }, 7);
    expect(release(reads)).toEqual([]);
    reads.confirm('b', context);
    expect(release(reads)).toEqual(['x@7']);
    expect(reads.size).toBe(0);
  });

  it('lets one round confirm every read before it, and none after', () => {
    const reads = new ReadOnly();
    reads.add({ from: 'a', context: 'x', mode: 'safe' }, 7);
    const second = reads.add({ from: 'a', context: 'y', mode: 'safe' }, 8);
    reads.add({ from: 'a', context: 'z', mode: 'safe' }, 9);
    reads.confirm('c', second);
    expect(release(reads)).toEqual(['x@7', 'y@8']);
  });

  it('keeps reads with the same context apart', () => {
    const reads = new ReadOnly();
    reads.add({ from: 'a', context: 'x', mode: 'safe' }, 1);
    reads.add({ from: 'b', context: 'x', mode: 'safe' }, 2);
    reads.confirm('b', reads.heartbeatContext);
    expect(release(reads)).toEqual(['x@1', 'x@2']);
  });

  it('believes no confirmation of what was never sent, and none of a stranger', () => {
    const reads = new ReadOnly();
    const context = reads.add({ from: 'a', context: 'x', mode: 'safe' }, 1);
    for (const wrong of ['2', '0', '-1', '1.5', 'NaN', 'x', ''])
      expect(reads.confirm('b', wrong)).toBe(false);
    reads.confirm('stranger', context);
    expect(release(reads)).toEqual([]);
  });

  it('does not let an old confirmation take back a newer one', () => {
    const reads = new ReadOnly();
    const first = reads.add({ from: 'a', context: 'x', mode: 'safe' }, 1);
    const second = reads.add({ from: 'a', context: 'y', mode: 'safe' }, 2);
    reads.confirm('b', second);
    reads.confirm('b', first);
    expect(release(reads)).toEqual(['x@1', 'y@2']);
  });

  it('says nothing in heartbeats while no read waits', () => {
    const reads = new ReadOnly();
    expect(reads.heartbeatContext).toBe('');
    reads.add({ from: 'a', context: 'x', mode: 'safe' }, 1);
    expect(reads.heartbeatContext).toBe('1');
    reads.reset();
    expect([reads.size, reads.heartbeatContext, reads.confirm('b', '1')]).toEqual([0, '', false]);
  });
});
