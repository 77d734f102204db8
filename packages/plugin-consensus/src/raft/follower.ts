// What a node does that does not lead: take entries, heartbeats and snapshots from the leader, pass requests on to it,
// and count votes while it is a candidate.

import { isDwError } from '@datawarehouse/sdk';
import { proposalDropped } from './errors.js';
import { handleVoteResponse, hup } from './election.js';
import { appendRejection, appendResponse, plainMessage } from './message.js';
import type { HandlerTable, RaftState } from './raft-state.js';
import type { Message, Snapshot } from './types.js';

/** Takes entries if the one before them matches, else says where to try next. Hot path. */
function handleAppend(state: RaftState, message: Message): void {
  const { log } = state;
  if (message.index < log.committed) {
    // Late: all up to the commit index is settled, so say that much.
    state.sendDurable(appendResponse(message.from, state.id, state.term, log.committed));
    return;
  }
  const lastNew = log.maybeAppend(message.index, message.logTerm, message.entries, message.commit);
  if (lastNew !== undefined) {
    state.sendDurable(appendResponse(message.from, state.id, state.term, lastNew));
    return;
  }
  // All of the leader's log before its entry has terms at or below that entry's, so skip ours that are above.
  const guess = log.findConflictByTerm(Math.min(message.index, log.lastIndex()), message.logTerm);
  state.sendDurable(
    appendRejection(message.from, state.id, state.term, message.index, guess.index, guess.term),
  );
}

function handleHeartbeat(state: RaftState, message: Message): void {
  state.log.commitTo(message.commit);
  const context = state.recorded || !state.lease.inUse ? message.context : '';
  state.send(plainMessage('heartbeat-response', message.from, state.id, state.term, 0, context));
}

function handleSnapshot(state: RaftState, message: Message): void {
  const restored = message.snapshot !== undefined && restore(state, message.snapshot);
  const index = restored ? state.log.lastIndex() : state.log.committed;
  state.note('snapshot-received', { from: message.from, index: message.snapshot?.metadata.index, restored });
  state.sendDurable(appendResponse(message.from, state.id, state.term, index));
}

/**
 * Replaces log, state and membership by a snapshot, unless it holds nothing new. This node need not be among its members:
 * who was just added may get a snapshot from before that, and learns of it by the entries that follow.
 */
function restore(state: RaftState, snapshot: Snapshot): boolean {
  const { index, term, conf } = snapshot.metadata;
  if (index <= state.log.committed) return false;
  if (state.log.matchTerm(index, term)) {
    // The log is there already, so it only remained to learn that it is committed.
    state.log.commitTo(index);
    return false;
  }
  try {
    state.tracker.restore(conf, index);
  } catch (error) {
    if (!isDwError(error, 'conf-change-invalid')) throw error;
    state.note('snapshot-refused', { index, reason: error.message });
    return false;
  }
  state.log.restore(snapshot);
  state.membershipIndex = index;
  return true;
}

/** Kinds that only a leader sends. */
const fromLeader: Readonly<Partial<Record<Message['type'], (state: RaftState, message: Message) => void>>> = {
  append: handleAppend,
  heartbeat: handleHeartbeat,
  snapshot: handleSnapshot,
};

/** Handles a message as a candidate or pre-candidate. */
export function stepCandidate(state: RaftState, message: Message): void {
  const handle = fromLeader[message.type];
  if (handle !== undefined) {
    // Somebody won this term.
    state.becomeFollower(message.term, message.from);
    state.lease.promise();
    handle(state, message);
    return;
  }
  // Answers to the other candidacy may still come in late; they are about something else.
  const mine = state.role === 'pre-candidate' ? 'pre-vote-response' : 'vote-response';
  if (message.type === mine) handleVoteResponse(state, message);
  else if (message.type === 'propose') throw proposalDropped(state.id, 'no leader is known');
}

/** Passes a request on to the leader, under the name of who made it. */
function forward(state: RaftState, message: Message): void {
  if (state.leader === undefined)
    state.note('request-dropped', { kind: message.type, reason: 'no leader is known' });
  else state.send({ ...message, to: state.leader });
}

/** As {@link forward}, with the term in which this node knows the leader: a later one has not been asked. */
function forwardTransfer(state: RaftState, message: Message): void {
  forward(state, { ...message, term: state.term });
}

function forwardProposal(state: RaftState, message: Message): void {
  if (state.leader === undefined) throw proposalDropped(state.id, 'no leader is known');
  state.send({ ...message, to: state.leader });
}

/** What else a follower answers to. */
const followerRequests: HandlerTable = {
  propose: forwardProposal,
  'transfer-leader': forwardTransfer,
  'read-index': forward,
  'read-index-response': (state, message) => {
    state.readStates.push({ index: message.index, context: message.context });
  },
  'forget-leader': (state) => {
    if (state.lease.inUse || state.config.readOnly === 'lease') {
      state.note('forget-leader-ignored', { reason: 'leases are in use' });
      return;
    }
    state.leader = undefined;
    state.note('forgot-leader');
  },
  // The leader itself asks for it, so there is no need to ask around first.
  'timeout-now': (state) => {
    hup(state, 'transfer');
  },
};

/** Handles a message as a follower. */
export function stepFollower(state: RaftState, message: Message): void {
  const handle = fromLeader[message.type];
  if (handle === undefined) {
    followerRequests[message.type]?.(state, message);
    return;
  }
  if (state.leader !== undefined && state.leader !== message.from) {
    // A term has one leader. Whoever else claims it is broken or hostile.
    state.refuse(message, `${state.leader} leads this term`);
    return;
  }
  state.electionElapsed = 0;
  state.leader = message.from;
  state.lease.promise();
  handle(state, message);
}
