// From one membership to the next: what each kind of change does, and which changes are refused. Pure: a change makes a
// new membership, or throws and leaves the old one as it was.
//
// A simple change adds, removes, promotes or demotes at most one voter, so that any majority before and any majority
// after it have a node in common. Anything larger goes through a joint membership, in which both majorities decide.

import { confChangeInvalid } from '../errors.js';
import { JointConfig } from '../quorum/joint.js';
import type { Progress } from '../tracker/progress.js';
import type { ProgressMap, TrackerConfig } from '../tracker/tracker.js';
import type { ConfChangeSingle, ConfChangeType, NodeId } from '../types.js';
import { checkMembership } from './membership-check.js';

/** Members, and what is known of each one's log. */
export interface Membership {
  readonly config: TrackerConfig;
  readonly progress: ProgressMap;
}

/** Makes the progress of a member that was not there before. */
export type NewProgress = (id: NodeId, isLearner: boolean) => Progress;

/** A member of a draft: its progress so far (none when it is new), and the part it is to have. */
interface DraftMember {
  readonly known: Progress | undefined;
  readonly isLearner: boolean;
}

/** A membership while it is being changed. */
interface Draft {
  readonly incoming: Set<NodeId>;
  readonly outgoing: ReadonlySet<NodeId>;
  readonly learners: Set<NodeId>;
  readonly learnersNext: Set<NodeId>;
  readonly witnesses: Set<NodeId>;
  /** Who was a witness before the change. */
  readonly witnessesBefore: ReadonlySet<NodeId>;
  readonly members: Map<NodeId, DraftMember>;
}

/**
 * A change of at most one voter, and of any number of learners.
 * @throws DwError `conf-change-invalid`.
 */
export function changeSimply(
  from: Membership,
  changes: readonly ConfChangeSingle[],
  newProgress: NewProgress,
): Membership {
  checkMembership(from);
  if (from.config.voters.isJoint) {
    throw confChangeInvalid("can't apply simple config change in joint config");
  }
  const draft = draftOf(from, from.config.voters.outgoing.ids);
  applyAll(draft, changes);
  if (votersChanged(from.config, draft) > 1) {
    throw confChangeInvalid('more than one voter changed without entering joint config');
  }
  return finish(draft, from, false, newProgress);
}

/**
 * The present voters become the outgoing half, and the changes are made to the incoming one.
 * @throws DwError `conf-change-invalid`.
 */
export function enterJoint(
  from: Membership,
  autoLeave: boolean,
  changes: readonly ConfChangeSingle[],
  newProgress: NewProgress,
): Membership {
  checkMembership(from);
  const { voters } = from.config;
  if (voters.isJoint) throw confChangeInvalid('config is already joint');
  if (voters.incoming.size === 0) throw confChangeInvalid("can't make a zero-voter config joint");
  const draft = draftOf(from, voters.incoming.ids);
  applyAll(draft, changes);
  return finish(draft, from, autoLeave, newProgress);
}

/**
 * The incoming half decides alone from here on; who is only in the outgoing one is gone, or learns from now on.
 * @throws DwError `conf-change-invalid`.
 */
export function leaveJoint(from: Membership, newProgress: NewProgress): Membership {
  checkMembership(from);
  if (!from.config.voters.isJoint) throw confChangeInvalid("can't leave a non-joint config");
  const draft = draftOf(from, []);
  for (const id of draft.learnersNext) {
    draft.learners.add(id);
    draft.members.set(id, { known: from.progress.get(id), isLearner: true });
  }
  draft.learnersNext.clear();
  for (const id of from.config.voters.outgoing.ids) {
    if (!draft.incoming.has(id) && !draft.learners.has(id)) forget(draft, id);
  }
  return finish(draft, from, false, newProgress);
}

function draftOf(from: Membership, outgoing: readonly NodeId[]): Draft {
  const { voters, learners, learnersNext, witnesses } = from.config;
  return {
    incoming: new Set(voters.incoming.ids),
    outgoing: new Set(outgoing),
    learners: new Set(learners),
    learnersNext: new Set(learnersNext),
    witnesses: new Set(witnesses),
    witnessesBefore: witnesses,
    members: new Map([...from.progress].map(([id, known]) => [id, { known, isLearner: known.isLearner }])),
  };
}

const applyOne: Readonly<Record<ConfChangeType, (draft: Draft, id: NodeId) => void>> = {
  'add-voter': (draft, id) => {
    draft.witnesses.delete(id);
    makeVoter(draft, id);
  },
  'add-witness': (draft, id) => {
    draft.witnesses.add(id);
    makeVoter(draft, id);
  },
  'add-learner': makeLearner,
  remove,
  // Says something about a node that only the application understands.
  update: () => {},
};

function applyAll(draft: Draft, changes: readonly ConfChangeSingle[]): void {
  for (const { type, nodeId } of changes) {
    // A change without a node was struck out by the application.
    if (nodeId !== '') applyOne[type](draft, nodeId);
  }
  if (draft.incoming.size === 0) throw confChangeInvalid('removed all voters');
}

function makeVoter(draft: Draft, id: NodeId): void {
  draft.members.set(id, { known: draft.members.get(id)?.known, isLearner: false });
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  draft.incoming.add(id);
}

/** A learner at once, or, if it still votes in the outgoing half, one from when that half is left. */
function makeLearner(draft: Draft, id: NodeId): void {
  const member = draft.members.get(id);
  if (member?.isLearner === true) return;
  remove(draft, id);
  const waits = draft.outgoing.has(id);
  draft.members.set(id, { known: member?.known, isLearner: !waits });
  (waits ? draft.learnersNext : draft.learners).add(id);
}

function remove(draft: Draft, id: NodeId): void {
  if (!draft.members.has(id)) return;
  draft.incoming.delete(id);
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  if (!draft.outgoing.has(id)) {
    forget(draft, id);
    return;
  }
  // It still votes in the outgoing half, as what it was.
  if (draft.witnessesBefore.has(id)) draft.witnesses.add(id);
  else draft.witnesses.delete(id);
}

function forget(draft: Draft, id: NodeId): void {
  draft.members.delete(id);
  draft.witnesses.delete(id);
}

/** How many voters the incoming half has more or less than before. */
function votersChanged(before: TrackerConfig, draft: Draft): number {
  const old = before.voters.incoming;
  const added = [...draft.incoming].filter((id) => !old.has(id)).length;
  const removed = old.ids.filter((id) => !draft.incoming.has(id)).length;
  return added + removed;
}

/**
 * A member holds data or is a witness for as long as it is one. Turned into a witness it would drop data that might be
 * nowhere else; turned into a plain member it would be trusted with data that it never had.
 */
function checkKinds(draft: Draft, before: Membership): void {
  for (const id of before.progress.keys()) {
    if (!draft.members.has(id) || before.config.witnesses.has(id) === draft.witnesses.has(id)) continue;
    throw confChangeInvalid(
      draft.witnesses.has(id)
        ? `${id} holds data and can't become a witness before it was removed`
        : `${id} is a witness and can't become another kind of member before it was removed`,
    );
  }
}

function finish(draft: Draft, before: Membership, autoLeave: boolean, newProgress: NewProgress): Membership {
  checkKinds(draft, before);
  const progress = new Map<NodeId, Progress>();
  for (const [id, { known, isLearner }] of draft.members) {
    progress.set(id, progressOf(id, known, isLearner, newProgress));
  }
  const config: TrackerConfig = {
    voters: new JointConfig(draft.incoming, draft.outgoing),
    learners: draft.learners,
    learnersNext: draft.learnersNext,
    witnesses: draft.witnesses,
    autoLeave,
  };
  return checkMembership({ config, progress });
}

function progressOf(
  id: NodeId,
  known: Progress | undefined,
  isLearner: boolean,
  newProgress: NewProgress,
): Progress {
  if (known === undefined) return newProgress(id, isLearner);
  return known.isLearner === isLearner ? known : known.asLearner(isLearner);
}
