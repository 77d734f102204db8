// Membership changes as the core sees them: whether one may be proposed, and what follows when one is applied. What
// a change does to a membership stands in confchange/.
//
// A membership holds from when its entry is applied, and the next change is proposed only after the one before it is
// applied here. An append that carries a change therefore also says that the change before it is committed, so that any
// two nodes are at most one membership apart, and quorums of neighbouring memberships meet.

import { isDwError } from '@datawarehouse/sdk';
import {
  changeSimply,
  enterJoint,
  leaveJoint,
  type Membership,
  type NewProgress,
} from './confchange/changer.js';
import { decodeConfChange } from './confchange/encoding.js';
import type { RaftState } from './raft-state.js';
import { releasePendingReads } from './reads.js';
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.js';
import type { ConfChange } from './types.js';

/** Whether a change asks to leave a joint membership. */
function leaves(change: ConfChange): boolean {
  return change.changes.length === 0 && change.transition === 'auto';
}

/**
 * The membership that follows from the present one.
 * @throws DwError `conf-change-invalid`.
 */
function membershipAfter(state: RaftState, change: ConfChange): Membership {
  const { tracker } = state;
  const from = { config: tracker.config, progress: tracker.progress };
  const lastIndex = state.log.lastIndex();
  const newProgress: NewProgress = (id, isLearner) => tracker.newProgress(id, lastIndex, isLearner);
  if (leaves(change)) return leaveJoint(from, newProgress);
  if (change.transition !== 'auto' || change.changes.length > 1) {
    return enterJoint(from, change.transition !== 'joint-explicit', change.changes, newProgress);
  }
  return changeSimply(from, change.changes, newProgress);
}

/** Why this change may not be proposed now; undefined when it may. */
export function confChangeObstacle(state: RaftState, change: ConfChange): string | undefined {
  if (state.config.disableConfChangeValidation === true) return undefined;
  const { log, tracker } = state;
  const wantsToLeave = change.changes.length === 0;
  if (state.pendingConfIndex > log.applied) {
    return `a change may be under way at entry ${state.pendingConfIndex}, and only ${log.applied} is applied`;
  }
  if (tracker.config.voters.isJoint && !wantsToLeave) return 'the joint membership must be left first';
  if (!tracker.config.voters.isJoint && wantsToLeave) return 'there is no joint membership to leave';
  try {
    membershipAfter(state, change);
    return undefined;
  } catch (error) {
    if (isDwError(error, 'conf-change-invalid')) return error.message;
    throw error;
  }
}

/** As {@link confChangeObstacle}, for a change that came as bytes. */
export function confChangeDataObstacle(state: RaftState, data: Uint8Array): string | undefined {
  try {
    return confChangeObstacle(state, decodeConfChange(data));
  } catch (error) {
    if (isDwError(error, 'conf-change-malformed')) return error.message;
    throw error;
  }
}

/**
 * Takes on the membership that a committed entry asks for. One that makes no sense changes nothing, on every replica
 * alike: all of them apply the same changes to the same memberships.
 */
export function applyConfChange(state: RaftState, change: ConfChange, index = Infinity): void {
  if (index <= state.membershipIndex) {
    state.note('membership-change-overtaken', { index, by: state.membershipIndex });
    return;
  }
  let membership: Membership;
  try {
    membership = membershipAfter(state, change);
  } catch (error) {
    if (!isDwError(error, 'conf-change-invalid')) throw error;
    state.note('membership-change-void', { reason: error.message });
    return;
  }
  switchMembership(state, membership);
}

function switchMembership(state: RaftState, membership: Membership): void {
  const { tracker } = state;
  tracker.switchTo(membership.config, membership.progress);
  state.note('membership-changed', { voters: tracker.config.voters.toString() });
  if (state.role !== 'leader') return;
  const self = tracker.progress.get(state.id);
  if (self === undefined || self.isLearner) {
    if (state.config.stepDownOnRemoval === true) state.becomeFollower(state.term, undefined);
    return;
  }
  if (maybeCommit(state)) {
    // The new quorum has more than the old one had.
    releasePendingReads(state);
    broadcastAppend(state);
  } else {
    // Whoever was added need not wait for a heartbeat.
    for (const member of tracker.members) {
      if (member.id !== state.id) maybeSendAppend(state, member, false);
    }
  }
  if (state.transferTarget !== undefined && !tracker.config.voters.has(state.transferTarget)) {
    state.note('transfer-abandoned', { to: state.transferTarget, reason: 'it is no voter any more' });
    state.transferTarget = undefined;
  }
}
