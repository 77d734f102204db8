// The passing of time, in ticks: followers wait for a leader and then stand, leaders send heartbeats and check that a
// quorum is still there.

import { hup } from './election.js';
import { checkQuorum, leaveJointByItself } from './leader.js';
import type { RaftState } from './raft-state.js';
import { beat } from './reads.js';

/**
 * Ticks until one does more than count: at least 1, and without end for a node that may not stand. Counting is all that
 * those before it do, so whoever knows this need not call at each of them.
 */
export function ticksToAct(state: RaftState): number {
  if (state.role !== 'leader') {
    return state.promotable ? Math.max(1, state.randomizedElectionTicks - state.electionElapsed) : Infinity;
  }
  const toBeat = state.heartbeatTicks - state.heartbeatElapsed;
  return Math.max(1, Math.min(toBeat, state.electionTicks - state.electionElapsed));
}

/** Counts ticks, fewer than {@link ticksToAct}. */
export function count(state: RaftState, ticks: number): void {
  state.electionElapsed += ticks;
  if (state.role === 'leader') state.heartbeatElapsed += ticks;
}

/** One tick. */
export function tick(state: RaftState): void {
  if (state.role === 'leader') tickLeader(state);
  else tickElection(state);
}

function tickElection(state: RaftState): void {
  state.electionElapsed++;
  if (!state.promotable || state.electionElapsed < state.randomizedElectionTicks) return;
  // Ticks may run fast; a promise does not end before its time for that.
  if (state.lease.isPromised) return;
  state.electionElapsed = 0;
  hup(state, state.config.preVote ? 'pre-election' : 'election');
}

function tickLeader(state: RaftState): void {
  state.heartbeatElapsed++;
  state.electionElapsed++;
  if (state.electionElapsed >= state.electionTicks) {
    state.electionElapsed = 0;
    if (state.config.checkQuorum) checkQuorum(state);
    // A transfer that takes longer than this has failed: take proposals again.
    if (state.role === 'leader' && state.transferTarget !== undefined) {
      state.note('transfer-abandoned', { to: state.transferTarget });
      state.transferTarget = undefined;
      leaveJointByItself(state);
    }
  }
  if (state.role !== 'leader' || state.heartbeatElapsed < state.heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  beat(state);
}
