import { describe, expect, it } from 'vitest';
import { Progress } from './progress.js';

function progressAt(match: number, next: number, state: 'probe' | 'replicate' | 'snapshot'): Progress {
  const progress = new Progress('b', next, false, 4, 0);
  progress.match = match;
  if (state === 'replicate') progress.becomeReplicate();
  if (state === 'snapshot') progress.becomeSnapshot(next - 1);
  progress.next = next;
  return progress;
}

describe('Progress', () => {
  it('never goes back on an acknowledgement that is late or repeated', () => {
    const progress = progressAt(5, 9, 'replicate');
    expect(progress.maybeUpdate(3)).toBe(false);
    expect(progress.maybeUpdate(5)).toBe(false);
    expect([progress.match, progress.next]).toEqual([5, 9]);
  });

  it('moves match, and next only forward, on a new acknowledgement', () => {
    const progress = progressAt(5, 9, 'replicate');
    expect(progress.maybeUpdate(7)).toBe(true);
    expect([progress.match, progress.next]).toEqual([7, 9]);
    expect(progress.maybeUpdate(12)).toBe(true);
    expect([progress.match, progress.next]).toEqual([12, 13]);
  });

  it('ignores a refusal of what was acknowledged since', () => {
    const progress = progressAt(5, 10, 'replicate');
    expect(progress.maybeDecrement(5, 2)).toBe(false);
    expect(progress.next).toBe(10);
    expect(progress.maybeDecrement(6, 2)).toBe(true);
    expect(progress.next).toBe(6);
  });

  it('does not answer a refusal of acknowledged entries with another probe: that would never end', () => {
    const progress = progressAt(5, 6, 'probe');
    expect(progress.maybeDecrement(5, 2)).toBe(false);
    expect(progress.next).toBe(6);
  });

  it('ignores a refusal of another probe than the last', () => {
    const progress = progressAt(0, 10, 'probe');
    expect(progress.maybeDecrement(7, 3)).toBe(false);
    expect(progress.next).toBe(10);
  });

  it('falls back to the hint, but never to what is acknowledged', () => {
    const progress = progressAt(0, 10, 'probe');
    expect(progress.maybeDecrement(9, 3)).toBe(true);
    expect(progress.next).toBe(4);
    const known = progressAt(5, 10, 'probe');
    known.maybeDecrement(9, 1);
    expect(known.next).toBe(6);
  });

  it('pauses after a probe with entries, and after the append that fills the window', () => {
    const probing = progressAt(0, 1, 'probe');
    probing.sentEntries(3, 30);
    expect([probing.isPaused, probing.next]).toEqual([true, 1]);
    const streaming = progressAt(0, 1, 'replicate');
    for (let i = 0; i < 3; i++) streaming.sentEntries(2, 10);
    expect([streaming.isPaused, streaming.next]).toEqual([false, 7]);
    streaming.sentEntries(1, 10);
    expect(streaming.isPaused).toBe(true);
  });

  it('waits while a snapshot is under way, then probes from its end', () => {
    const progress = progressAt(3, 12, 'snapshot');
    expect(progress.isPaused).toBe(true);
    progress.becomeProbe();
    expect([progress.state, progress.next, progress.isPaused]).toEqual(['probe', 12, false]);
  });

  it('tells the commit index only when that says something new', () => {
    const progress = progressAt(5, 9, 'replicate');
    progress.noteSentCommit(4);
    expect(progress.canBumpCommit(4)).toBe(false);
    expect(progress.canBumpCommit(6)).toBe(true);
    // The follower cannot commit beyond what it was sent.
    progress.noteSentCommit(8);
    expect(progress.canBumpCommit(20)).toBe(false);
  });

  it('forgets everything in a new term', () => {
    const progress = progressAt(5, 9, 'replicate');
    progress.sentEntries(1, 1);
    progress.recentActive = true;
    progress.reset(0, 20);
    expect(progress).toMatchObject({
      match: 0,
      next: 20,
      state: 'probe',
      recentActive: false,
      flowPaused: false,
    });
    expect(progress.inflights.count).toBe(0);
  });
});
