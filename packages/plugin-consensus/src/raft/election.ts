// Elections: standing for one, giving votes, counting them.

import { raftInvariant } from './errors.js';
import { commitHintOf } from './commit-hint.js';
import { transferContext, voteGrant, voteRefusal, voteRequest } from './message.js';
import type { RaftState } from './raft-state.js';
import { appendToLog, broadcastAppend } from './replication.js';
import type { Message } from './types.js';

const noData = new Uint8Array(0);

/** Why a node stands: it asks whether it would win, it stands, or the leader told it to. */
export type CampaignKind = 'pre-election' | 'election' | 'transfer';

/** Stands for election, if this node may. */
export function hup(state: RaftState, kind: CampaignKind): void {
  if (state.role === 'leader') {
    state.note('campaign-ignored', { reason: 'already leader' });
    return;
  }
  if (kind !== 'transfer' && state.lease.isPromised) {
    state.note('campaign-ignored', { reason: 'the promise to the last leader still stands' });
    return;
  }
  if (!state.promotable) {
    state.note('campaign-ignored', { reason: 'not a voter, or a snapshot is being restored' });
    return;
  }
  if (hasUnappliedConfChange(state)) {
    state.note('campaign-ignored', { reason: 'a membership change is committed but not applied' });
    return;
  }
  campaign(state, kind);
}

/** A voter that has not applied a committed membership change would count the wrong quorum. */
export function hasUnappliedConfChange(state: RaftState): boolean {
  const { log } = state;
  return log.hasConfChange(log.applied + 1, log.committed + 1, state.config.maxCommittedBytesPerReady);
}

function campaign(state: RaftState, kind: CampaignKind): void {
  const type = kind === 'pre-election' ? 'pre-vote' : 'vote';
  if (kind === 'pre-election') becomePreCandidate(state);
  else becomeCandidate(state);
  // A pre-vote asks about the next term without entering it.
  const term = kind === 'pre-election' ? state.term + 1 : state.term;
  const context = kind === 'transfer' ? transferContext : '';
  const index = state.log.lastIndex();
  const logTerm = state.log.lastTerm();
  for (const id of state.tracker.config.voters.ids) {
    if (id === state.id) {
      // Its own vote counts once it is on disk, like anybody's.
      state.sendDurable(voteGrant(`${type}-response`, id, id, term));
    } else {
      state.send(voteRequest(type, id, state.id, term, index, logTerm, context));
    }
  }
}

function becomePreCandidate(state: RaftState): void {
  if (state.role === 'leader') throw raftInvariant('a leader cannot become a pre-candidate');
  state.tracker.resetVotes();
  state.leader = undefined;
  state.role = 'pre-candidate';
  state.note('became-pre-candidate');
}

function becomeCandidate(state: RaftState): void {
  if (state.role === 'leader') throw raftInvariant('a leader cannot become a candidate');
  state.reset(state.term + 1);
  state.vote = state.id;
  state.role = 'candidate';
  state.note('became-candidate');
}

function becomeLeader(state: RaftState): void {
  if (state.role === 'follower')
    throw raftInvariant('a follower cannot become the leader without an election');
  state.reset(state.term);
  state.leader = state.id;
  state.role = 'leader';
  const self = state.tracker.progress.get(state.id);
  if (self === undefined) throw raftInvariant('a leader is not a member of its group');
  self.becomeReplicate();
  self.recentActive = true;
  // There may be a membership change in the tail; until all of it is applied no other is proposed.
  state.pendingConfIndex = state.log.lastIndex();
  // An entry of its own term, for only with one of those do older ones commit.
  const noOp = { term: state.term, index: state.log.lastIndex() + 1, type: 'normal', data: noData } as const;
  if (!appendToLog(state, [noOp])) throw raftInvariant('the no-op of a new leader was refused');
  state.note('became-leader');
}

/** Counts an answer to this node's (pre-)candidacy. */
export function handleVoteResponse(state: RaftState, message: Message): void {
  state.tracker.recordVote(message.from, !message.reject);
  const { result } = state.tracker.tally();
  state.note('vote-counted', { from: message.from, granted: !message.reject, result });
  if (result === 'lost') {
    state.becomeFollower(state.term, undefined);
  } else if (result === 'won') {
    if (state.role === 'pre-candidate') {
      campaign(state, 'election');
    } else if (state.tracker.hasVoted(state.id)) {
      // Not before its own vote is on disk: a leader that forgot its term in a crash would be elected in it once more, by
      // the same votes, and write other entries at the same places.
      becomeLeader(state);
      broadcastAppend(state);
    }
  }
}

/** Gives a vote, or a promise of one, or refuses. The answer leaves once the vote is on disk. */
export function handleVoteRequest(state: RaftState, message: Message): void {
  if (state.lease.isPromised && message.context !== transferContext) {
    // Also in a term that this node entered without voting in it.
    state.note('vote-ignored', { from: message.from, reason: 'the promise to the last leader still stands' });
    return;
  }
  if (state.belowVoteFloor) {
    // Not even a refusal: by what it has forgotten, this replica might have granted it.
    state.note('vote-ignored', { from: message.from, reason: 'the log is not what this node had before' });
    return;
  }
  const isPreVote = message.type === 'pre-vote';
  const responseType = isPreVote ? 'pre-vote-response' : 'vote-response';
  const mayVote =
    state.vote === message.from ||
    (state.vote === undefined && state.leader === undefined) ||
    (isPreVote && message.term > state.term);
  if (mayVote && state.log.isUpToDate(message.index, message.logTerm)) {
    // Learners vote too: one that was promoted may not know it yet, and the group may depend on it. The answer has the
    // term that was asked about, else a pre-candidate would take it for an old one.
    state.sendDurable(voteGrant(responseType, message.from, state.id, message.term));
    if (!isPreVote) {
      state.electionElapsed = 0;
      state.vote = message.from;
    }
    state.note('vote-granted', { kind: message.type, to: message.from });
    return;
  }
  state.sendDurable(voteRefusal(responseType, message.from, state.id, state.term, commitHintOf(state)));
  state.note('vote-refused', { kind: message.type, to: message.from });
}
