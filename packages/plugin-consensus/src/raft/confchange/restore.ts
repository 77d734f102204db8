// A stored membership, brought back by the same changes that could have made it, so that nothing is taken on that the
// changer would have refused.

import { JointConfig } from '../quorum/joint.js';
import type { ConfChangeSingle, ConfChangeType, ConfState, NodeId } from '../types.js';
import { changeSimply, enterJoint, type Membership, type NewProgress } from './changer.js';

/** The membership of a group that does not exist yet. */
export function emptyMembership(): Membership {
  return {
    config: {
      voters: new JointConfig([]),
      learners: new Set(),
      learnersNext: new Set(),
      witnesses: new Set(),
      autoLeave: false,
    },
    progress: new Map(),
  };
}

/**
 * The membership that a ConfState describes, with new progress for every member.
 * @throws DwError `conf-change-invalid` when no changes could have led to it.
 */
export function restoreMembership(conf: ConfState, newProgress: NewProgress): Membership {
  const witnesses = new Set(conf.witnesses);
  const voting = (ids: readonly NodeId[]): ConfChangeSingle[] => [
    // Those with data first: witnesses alone would be no sound membership, not even on the way.
    ...each(
      'add-voter',
      ids.filter((id) => !witnesses.has(id)),
    ),
    ...each(
      'add-witness',
      ids.filter((id) => witnesses.has(id)),
    ),
  ];
  const incoming = [
    ...each('remove', conf.votersOutgoing),
    ...voting(conf.voters),
    ...each('add-learner', conf.learners),
    ...each('add-learner', conf.learnersNext),
  ];
  const first = conf.votersOutgoing.length === 0 ? incoming : voting(conf.votersOutgoing);
  let membership = emptyMembership();
  for (const change of first) membership = changeSimply(membership, [change], newProgress);
  if (conf.votersOutgoing.length === 0) return membership;
  return enterJoint(membership, conf.autoLeave, incoming, newProgress);
}

function each(type: ConfChangeType, ids: readonly NodeId[]): ConfChangeSingle[] {
  return ids.map((nodeId) => ({ type, nodeId }));
}
