// The gate that every message passes: is it whole, may its sender say this, and is its term ours?

import { commitHintOf, learnCommit } from './commit-hint.js';
import { entriesBytes, payloadBytes } from './entry-size.js';
import { handleVoteRequest, hasUnappliedConfChange, hup } from './election.js';
import { stepCandidate, stepFollower } from './follower.js';
import { checkQuorum, leaveJointByItself, stepLeader } from './leader.js';
import { faultOf } from './message-check.js';
import { appendResponse, isMemberType, transferContext, voteRefusal } from './message.js';
import type { HandlerTable, RaftState } from './raft-state.js';
import { beat } from './reads.js';
import { reduceUncommitted } from './replication.js';
import type { Message, Role } from './types.js';

/**
 * Handles one message.
 * @throws DwError `proposal-dropped` for a `propose` message that is not taken; `raft-invariant`.
 */
export function step(state: RaftState, message: Message): void {
  if (message.from !== state.id) {
    const fault = faultOf(message, state.id) ?? faultOfSender(state, message);
    if (fault !== undefined) {
      state.refuse(message, fault);
      return;
    }
  }
  if (message.reject && message.context !== '') takeHint(state, message);
  if (message.term > state.term && !enterTerm(state, message)) return;
  if (message.term !== 0 && message.term < state.term) {
    answerOldTerm(state, message);
    return;
  }
  dispatch(state, message);
}

/**
 * Answers and requests count only from members: were a stranger's term believed, anybody could depose a leader. Entries,
 * heartbeats, snapshots and vote requests may come from nodes that this one has not yet heard to be members.
 */
function faultOfSender(state: RaftState, message: Message): string | undefined {
  if (!isMemberType(message.type) || state.tracker.progress.has(message.from)) return undefined;
  return 'its sender is no member of the group';
}

/** A refused vote may tell of a membership change. Its term does not matter: what is committed stays committed. */
function takeHint(state: RaftState, { type, context }: Message): void {
  if (type !== 'vote-response' && type !== 'pre-vote-response') return;
  if (!learnCommit(state, context) || state.role === 'follower') return;
  // The votes so far were counted by a membership that is past.
  if (hasUnappliedConfChange(state)) state.becomeFollower(state.term, undefined);
}

/** Follows a newer term where that is called for. False when the message is to be ignored. */
function enterTerm(state: RaftState, message: Message): boolean {
  const { type } = message;
  if ((type === 'vote' || type === 'pre-vote') && message.context !== transferContext && inLease(state)) {
    state.note('vote-ignored', {
      from: message.from,
      reason: 'the leader was heard of within the election timeout',
    });
    return false;
  }
  // A pre-vote, and the promise that answers it, speak of a term that nobody has entered.
  if (type === 'pre-vote' || (type === 'pre-vote-response' && !message.reject)) return true;
  const leads = type === 'append' || type === 'heartbeat' || type === 'snapshot';
  state.becomeFollower(message.term, leads ? message.from : undefined);
  return true;
}

/** Whether a leader was heard of so recently that a quorum must still be with it. */
function inLease(state: RaftState): boolean {
  if (state.lease.isPromised) return true;
  return (
    state.config.checkQuorum && state.leader !== undefined && state.electionElapsed < state.electionTicks
  );
}

function answerOldTerm(state: RaftState, message: Message): void {
  const { type } = message;
  if (type === 'heartbeat' || type === 'append') {
    // With pre-vote or check-quorum a leader of an older term would never hear of ours by a vote request: tell it.
    if (state.config.checkQuorum || state.config.preVote) {
      state.sendDurable(appendResponse(message.from, state.id, state.term, 0));
    }
  } else if (type === 'pre-vote') {
    // A candidate that is behind learns our term, lest two such nodes wait for each other for ever.
    state.sendDurable(
      voteRefusal('pre-vote-response', message.from, state.id, state.term, commitHintOf(state)),
    );
  } else if (type === 'storage-append-response' && message.snapshot !== undefined) {
    // Entries written in an older term may be replaced by a write still under way; a snapshot is committed and stays.
    appliedSnapshot(state, message.snapshot.metadata.index);
  }
}

/** Kinds that mean the same in every role. */
const inAnyRole: HandlerTable = {
  hup: (state) => {
    hup(state, state.config.preVote ? 'pre-election' : 'election');
  },
  beat: (state) => {
    if (state.role === 'leader') beat(state);
  },
  'check-quorum': (state) => {
    if (state.role === 'leader') checkQuorum(state);
  },
  'storage-append-response': (state, message) => {
    state.recorded = true;
    if (message.index !== 0) state.log.unstable.stableTo(message.index, message.logTerm);
    if (message.snapshot !== undefined) appliedSnapshot(state, message.snapshot.metadata.index);
  },
  'storage-apply-response': appliedEntries,
  vote: handleVoteRequest,
  'pre-vote': handleVoteRequest,
};

const inRole: Readonly<Record<Role, (state: RaftState, message: Message) => void>> = {
  follower: stepFollower,
  'pre-candidate': stepCandidate,
  candidate: stepCandidate,
  leader: stepLeader,
};

function dispatch(state: RaftState, message: Message): void {
  const handle = inAnyRole[message.type] ?? inRole[state.role];
  handle(state, message);
}

function appliedEntries(state: RaftState, message: Message): void {
  const last = message.entries.at(-1);
  if (last === undefined) return;
  appliedTo(state, last.index, entriesBytes(message.entries));
  reduceUncommitted(state, payloadBytes(message.entries));
}

function appliedSnapshot(state: RaftState, index: number): void {
  state.log.unstable.stableSnapshotTo(index);
  appliedTo(state, index, 0);
}

function appliedTo(state: RaftState, index: number, bytes: number): void {
  // A snapshot may have overtaken entries that were still being applied.
  state.log.appliedTo(Math.max(index, state.log.applied), bytes);
  leaveJointByItself(state);
}
