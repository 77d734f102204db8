import { describe, expect, it } from 'vitest';
import { Tracker } from './tracker.js';

function trackerOf(
  voters: readonly string[],
  learners: readonly string[] = [],
  outgoing: readonly string[] = [],
): Tracker {
  const tracker = new Tracker(8, 0);
  tracker.restore(
    { voters, votersOutgoing: outgoing, learners, learnersNext: [], witnesses: [], autoLeave: false },
    10,
  );
  return tracker;
}

describe('Tracker', () => {
  it('tracks voters of both halves and learners, in the order of their ids', () => {
    const tracker = trackerOf(['c', 'a'], ['b'], ['d']);
    expect(tracker.members.map((member) => [member.id, member.isLearner])).toEqual([
      ['a', false],
      ['b', true],
      ['c', false],
      ['d', false],
    ]);
    expect(tracker.confState()).toEqual({
      voters: ['a', 'c'],
      votersOutgoing: ['d'],
      learners: ['b'],
      learnersNext: [],
      witnesses: [],
      autoLeave: false,
    });
  });

  it('commits by voters alone: a learner has no say', () => {
    const tracker = trackerOf(['a', 'b', 'c'], ['l']);
    for (const id of ['a', 'l']) tracker.progress.get(id)?.maybeUpdate(7);
    expect(tracker.committedIndex()).toBe(0);
    tracker.progress.get('b')?.maybeUpdate(5);
    expect(tracker.committedIndex()).toBe(5);
  });

  it('lets the first vote of a voter stand, and records none of learners and strangers', () => {
    const tracker = trackerOf(['a', 'b', 'c'], ['l']);
    tracker.recordVote('a', true);
    tracker.recordVote('a', false);
    tracker.recordVote('l', true);
    tracker.recordVote('x', true);
    expect(tracker.tally()).toEqual({ granted: 1, rejected: 0, result: 'pending' });
    tracker.recordVote('b', true);
    expect(tracker.tally().result).toBe('won');
    tracker.resetVotes();
    expect(tracker.tally()).toEqual({ granted: 0, rejected: 0, result: 'pending' });
  });

  it('sees a quorum as active by voters heard from', () => {
    const tracker = trackerOf(['a', 'b', 'c'], ['l']);
    for (const member of tracker.members) member.recentActive = member.id === 'a' || member.id === 'l';
    expect(tracker.quorumActive()).toBe(false);
    const b = tracker.progress.get('b');
    if (b !== undefined) b.recentActive = true;
    expect(tracker.quorumActive()).toBe(true);
  });

  it('knows a group that one voter decides', () => {
    expect(trackerOf(['a']).decidesAlone('a')).toBe(true);
    expect(trackerOf(['a'], ['l']).decidesAlone('a')).toBe(true);
    expect(trackerOf(['a'], [], ['b']).decidesAlone('a')).toBe(false);
    // The last voter that is left, and the leader that was removed.
    expect(trackerOf(['b']).decidesAlone('a')).toBe(false);
  });
});
