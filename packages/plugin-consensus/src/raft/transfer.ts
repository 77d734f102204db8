// Handing leadership over: bring the other's log up to date, then tell it to stand at once.

import { plainMessage } from './message.js';
import type { RaftState } from './raft-state.js';
import { maybeSendAppend } from './replication.js';
import type { Progress } from './tracker/progress.js';

/** Starts to hand leadership to a member. It is given up after one election timeout. */
export function startTransfer(state: RaftState, target: Progress): void {
  if (target.isLearner || target.isWitness || !state.tracker.config.voters.has(target.id)) {
    state.note('transfer-ignored', { to: target.id, reason: 'it cannot lead' });
    return;
  }
  if (state.transferTarget === target.id) return;
  // Asking for leadership to stay here calls off a transfer that is under way.
  state.transferTarget = undefined;
  if (target.id === state.id) return;
  state.electionElapsed = 0;
  state.transferTarget = target.id;
  state.lease.void();
  state.note('transfer-started', { to: target.id });
  if (target.match === state.log.lastIndex()) sendTimeoutNow(state, target);
  else maybeSendAppend(state, target, true);
}

/** The target has caught up: let it stand. */
export function sendTimeoutNow(state: RaftState, target: Progress): void {
  // Whoever stands because of this is helped in spite of promises, whenever it arrives.
  state.lease.bar();
  state.send(plainMessage('timeout-now', target.id, state.id, state.term));
  state.note('transfer-timeout-now', { to: target.id });
}
