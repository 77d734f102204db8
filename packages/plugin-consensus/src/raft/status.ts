// A picture of a replica, for operators and tests.

import type { RaftState } from './raft-state.js';
import { holdsLease } from './reads.js';
import type { ProgressState } from './tracker/progress.js';
import type { ConfState, NodeId, Role } from './types.js';

/** A member's progress as its leader sees it. */
export interface ProgressStatus {
  readonly id: NodeId;
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  readonly isLearner: boolean;
  readonly isWitness: boolean;
  readonly recentActive: boolean;
  readonly isPaused: boolean;
  /** Appends under way. */
  readonly inflight: number;
  readonly inflightFull: boolean;
  /** Index of the snapshot on its way; 0 when there is none. */
  readonly pendingSnapshot: number;
}

/** The state of one replica. */
export interface RaftStatus {
  readonly id: NodeId;
  readonly term: number;
  readonly vote: NodeId | undefined;
  readonly role: Role;
  readonly leader: NodeId | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly conf: ConfState;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Whom leadership is being handed to. */
  readonly transferTarget: NodeId | undefined;
  /** Milliseconds for which this leader's lease lasts, by its own clock; 0 when it has none. */
  readonly leaseMs: number;
  /** Bytes proposed and not yet applied, in this term. */
  readonly uncommittedBytes: number;
  /** Messages refused because they were broken, or came from where they must not. */
  readonly refusedMessages: number;
  /** Sorted by id; empty unless this node leads. */
  readonly progress: readonly ProgressStatus[];
}

/** Takes the picture. */
export function statusOf(state: RaftState): RaftStatus {
  return {
    id: state.id,
    term: state.term,
    vote: state.vote,
    role: state.role,
    leader: state.leader,
    commit: state.log.committed,
    applied: state.log.applied,
    firstIndex: state.log.firstIndex(),
    lastIndex: state.log.lastIndex(),
    conf: state.tracker.confState(),
    electionTicks: state.electionTicks,
    heartbeatTicks: state.heartbeatTicks,
    transferTarget: state.transferTarget,
    leaseMs: holdsLease(state) ? state.lease.remainingMs : 0,
    uncommittedBytes: state.uncommittedBytes,
    refusedMessages: state.refusedMessages,
    progress: state.role === 'leader' ? progressOf(state) : [],
  };
}

function progressOf(state: RaftState): readonly ProgressStatus[] {
  return state.tracker.members.map((member) => ({
    id: member.id,
    match: member.match,
    next: member.next,
    state: member.state,
    isLearner: member.isLearner,
    isWitness: member.isWitness,
    recentActive: member.recentActive,
    isPaused: member.isPaused,
    inflight: member.inflights.count,
    inflightFull: member.inflights.full,
    pendingSnapshot: member.pendingSnapshot,
  }));
}
