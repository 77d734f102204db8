// What a leader does with messages: proposals, acknowledgements, heartbeat answers, reads, transfers.

import { proposalDropped } from './errors.js';
import { confChangeDataObstacle } from './membership.js';
import type { RaftState } from './raft-state.js';
import { confirmReads, releasePendingReads, takeRead } from './reads.js';
import { appendToLog, broadcastAppend, maybeCommit, maybeSendAppend } from './replication.js';
import type { Progress } from './tracker/progress.js';
import { sendTimeoutNow, startTransfer } from './transfer.js';
import type { Entry, Message, MessageType } from './types.js';

const noData = new Uint8Array(0);

/** What is to become an entry. */
export type Proposal = Pick<Entry, 'type' | 'data'>;

/** Why this leader takes no proposals now; undefined when it does. */
export function proposalObstacle(state: RaftState): string | undefined {
  if (!state.tracker.progress.has(state.id)) return 'this node was removed from the group';
  if (state.transferTarget !== undefined) return `leadership is being handed to ${state.transferTarget}`;
  return undefined;
}

/**
 * Appends proposals as entries of this term and sends them out, all in one append. A membership change that may not be
 * proposed now becomes an empty entry, since whoever sent it cannot be told.
 */
export function propose(state: RaftState, proposals: readonly Proposal[]): void {
  const obstacle = proposalObstacle(state);
  if (obstacle !== undefined) throw proposalDropped(state.id, obstacle);
  const { pendingConfIndex } = state;
  let index = state.log.lastIndex();
  const entries = proposals.map((proposal) => entryOf(state, proposal, ++index));
  if (!appendToLog(state, entries)) {
    state.pendingConfIndex = pendingConfIndex;
    throw proposalDropped(state.id, `${state.uncommittedBytes} bytes are uncommitted already`);
  }
  broadcastAppend(state);
}

function entryOf(state: RaftState, { type, data }: Proposal, index: number): Entry {
  const { term } = state;
  if (type === 'normal') return { term, index, type, data };
  const obstacle = confChangeDataObstacle(state, data);
  if (obstacle !== undefined) {
    state.note('membership-change-refused', { reason: obstacle });
    return { term, index, type: 'normal', data: noData };
  }
  state.pendingConfIndex = index;
  return { term, index, type, data };
}

/**
 * Proposes to leave a joint membership that is meant to be left by itself, once the change into it is applied. While
 * leadership is handed over nothing is proposed: the next leader does it, or this one when the attempt is over.
 */
export function leaveJointByItself(state: RaftState): void {
  const { tracker, log } = state;
  if (state.role !== 'leader' || !tracker.config.autoLeave || log.applied < state.pendingConfIndex) return;
  if (proposalObstacle(state) !== undefined) return;
  // Without data, so that the bound on uncommitted bytes cannot refuse it.
  propose(state, [{ type: 'conf-change', data: noData }]);
  state.note('joint-membership-left-by-itself');
}

/** Steps down unless a quorum was heard from since the last check. */
export function checkQuorum(state: RaftState): void {
  if (!state.tracker.quorumActive()) {
    state.note('quorum-lost');
    state.becomeFollower(state.term, undefined);
  }
  for (const member of state.tracker.members) {
    if (member.id !== state.id) member.recentActive = false;
  }
}

/** What a leader does with a message of one of its members. */
const fromMember: Readonly<
  Partial<Record<MessageType, (state: RaftState, from: Progress, message: Message) => void>>
> = {
  'append-response': (state, from, message) => {
    from.recentActive = true;
    if (message.reject) handleRejection(state, from, message);
    else handleAcknowledgement(state, from, message);
  },
  'heartbeat-response': handleHeartbeatResponse,
  'transfer-leader': startTransfer,
};

/** Handles a message as the leader. */
export function stepLeader(state: RaftState, message: Message): void {
  if (message.type === 'propose') {
    propose(state, message.entries);
  } else if (message.type === 'read-index') {
    const { from, context } = message;
    const read = { from, context, mode: state.config.readOnly ?? 'safe' } as const;
    if (!takeRead(state, read)) state.note('read-index-dropped', { from: message.from });
  } else {
    const from = state.tracker.progress.get(message.from);
    if (from !== undefined) fromMember[message.type]?.(state, from, message);
  }
}

/** The follower's log does not match where it was tried: find an earlier place. */
function handleRejection(state: RaftState, from: Progress, message: Message): void {
  let hint = message.rejectHint;
  if (message.logTerm > 0) {
    // Where our terms are above the follower's at its hint the logs cannot agree, so at most one probe a term is needed.
    hint = state.log.findConflictByTerm(message.rejectHint, message.logTerm).index;
  }
  if (!from.maybeDecrement(message.index, hint)) return;
  if (from.state === 'replicate') from.becomeProbe();
  maybeSendAppend(state, from, true);
}

/** A member, perhaps this node itself, has everything up to `index` on disk. Hot path. */
function handleAcknowledgement(state: RaftState, from: Progress, message: Message): void {
  const { index } = message;
  if (index > state.log.lastIndex()) {
    state.refuse(message, 'it acknowledges entries that do not exist');
    return;
  }
  const advanced = from.maybeUpdate(index);
  // A probe of a follower that misses nothing is answered with what is known already; it may stream again.
  if (!advanced && !(from.match === index && from.state === 'probe')) return;
  resumeSending(state, from, index);
  if (maybeCommit(state)) {
    releasePendingReads(state);
    broadcastAppend(state);
  } else if (from.id !== state.id && from.canBumpCommit(state.log.committed)) {
    maybeSendAppend(state, from, true);
  }
  if (from.id === state.id) return;
  // The window has room again, for several appends perhaps.
  while (maybeSendAppend(state, from, false));
  if (from.id === state.transferTarget && from.match === state.log.lastIndex()) sendTimeoutNow(state, from);
}

function resumeSending(state: RaftState, from: Progress, index: number): void {
  if (from.state === 'replicate') {
    from.inflights.freeUpTo(index);
  } else if (from.state === 'probe') {
    from.becomeReplicate();
  } else if (from.match + 1 >= state.log.firstIndex()) {
    // Whichever snapshot it took, and from whomever: what follows is in the log.
    from.becomeProbe();
    from.becomeReplicate();
  }
}

function handleHeartbeatResponse(state: RaftState, from: Progress, message: Message): void {
  from.recentActive = true;
  from.flowPaused = false;
  // A follower that misses something, or is being probed, gets an append (an empty one if its window is full), so that
  // lost messages do not stall it.
  if (from.match < state.log.lastIndex() || from.state === 'probe') maybeSendAppend(state, from, true);
  confirmReads(state, from.id, message.context);
}

/** A snapshot was delivered, or not. */
export function handleSnapshotStatus(from: Progress, ok: boolean): void {
  if (from.state !== 'snapshot') return;
  if (!ok) from.pendingSnapshot = 0;
  from.becomeProbe();
  // Delivered: wait for its acknowledgement. Not delivered: wait for the next heartbeat before trying again.
  from.flowPaused = true;
}

/** A message was not delivered, so appends that were sent ahead are likely lost. */
export function handleUnreachable(from: Progress): void {
  if (from.state === 'replicate') from.becomeProbe();
}
