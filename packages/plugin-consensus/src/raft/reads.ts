// ReadIndex: a linearizable read is served from local state, once a quorum has confirmed that nobody else leads, and
// once that state has reached what was committed when the read came.

import { plainMessage } from './message.js';
import type { RaftState } from './raft-state.js';
import { maxPendingReads } from './raft-state.js';
import { broadcastHeartbeat } from './replication.js';
import type { PendingRead } from './read-only.js';
import type { NodeId } from './types.js';

/** Takes on a read at the leader. False when as many as allowed wait already. */
export function takeRead(state: RaftState, read: PendingRead): boolean {
  if (state.readOnly.size + state.pendingReads.length >= maxPendingReads) return false;
  // A new leader has all that was committed but does not know how far that goes until it has committed itself.
  if (!state.committedInTerm) {
    state.pendingReads.push(read);
    return true;
  }
  startRead(state, read);
  return true;
}

/** The leader has committed in its term: the reads that waited for that go on. */
export function releasePendingReads(state: RaftState): void {
  if (state.pendingReads.length === 0 || !state.committedInTerm) return;
  const reads = state.pendingReads;
  state.pendingReads = [];
  for (const read of reads) startRead(state, read);
}

function startRead(state: RaftState, read: PendingRead): void {
  if (state.tracker.decidesAlone(state.id) || (read.mode === 'lease' && holdsLease(state))) {
    answerRead(state, read, state.log.committed);
    return;
  }
  const context = state.readOnly.add(read, state.log.committed);
  state.lease.sent(state.readOnly.lastRound);
  broadcastHeartbeat(state, context);
}

/** Whether nobody else can lead at this moment. */
export function holdsLease(state: RaftState): boolean {
  if (state.role !== 'leader' || state.transferTarget !== undefined) return false;
  if (state.lease.inUse) return state.lease.remainingMs > 0;
  return state.config.readOnly === 'lease';
}

/** Sends the heartbeats that are due. */
export function beat(state: RaftState): void {
  const { lease, readOnly } = state;
  if (!lease.inUse) {
    broadcastHeartbeat(state, readOnly.heartbeatContext);
    return;
  }
  // Each round has its number, so that an answer tells when the heartbeat was sent that it answers.
  const context = readOnly.begin();
  lease.sent(readOnly.lastRound);
  broadcastHeartbeat(state, context);
}

/** A member answered a heartbeat that carried this context. */
export function confirmReads(state: RaftState, from: NodeId, context: string): void {
  if (context === '' || !state.readOnly.confirm(from, context)) return;
  const { voters } = state.tracker.config;
  const round = state.readOnly.confirmedRound((acked) => voters.committedIndex(acked), state.id);
  state.lease.confirmed(round);
  for (const read of state.readOnly.release(round)) answerRead(state, read, read.index);
}

function answerRead(state: RaftState, read: PendingRead, index: number): void {
  if (read.from === state.id) {
    state.readStates.push({ index, context: read.context });
    return;
  }
  state.send(plainMessage('read-index-response', read.from, state.id, state.term, index, read.context));
}
