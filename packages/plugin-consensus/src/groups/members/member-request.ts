// What an operator asks of a group's members, checked whole against the members that there are, and turned into what is
// to be done. Pure. What is done already is not done again, so that a request can be repeated after any failure.

import type { ConfChangeSingle, ConfState, NodeId } from '../../raft/types.js';
import { isJoint } from '../../engine/group-conf.js';
import { membersInvalid } from './member-errors.js';

/** A request. A node stands in at most one of the lists. */
export interface MemberRequest {
  /** To vote. One that learns already is promoted. */
  readonly add: readonly NodeId[];
  /** To get the log and not to vote. */
  readonly addLearners: readonly NodeId[];
  /** To vote without having the data. */
  readonly addWitnesses: readonly NodeId[];
  readonly remove: readonly NodeId[];
}

/** The members of a group as clients see them. */
export interface MemberView {
  readonly id: string;
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly witnesses: readonly NodeId[];
}

/** What is to be done, in this order. */
export interface MemberPlan {
  /** Nodes that have no replica yet and are to get an empty one. */
  readonly open: readonly NodeId[];
  /** Nodes that become learners first. */
  readonly learn: readonly NodeId[];
  /** Learners that are to vote once they have caught up. */
  readonly promote: readonly NodeId[];
  /** The change of those who vote, made as one. The leader's own removal is not part of it. */
  readonly change: readonly ConfChangeSingle[];
  /** Whether the leader is to go: it hands over first, and the next one removes it. */
  readonly removesLeader: boolean;
  /** Nodes whose replicas are to go. */
  readonly removed: readonly NodeId[];
}

const MAX_NODES = 64;

/** The members of a group as clients see them. */
export function viewOf(id: string, conf: ConfState): MemberView {
  return {
    id,
    voters: conf.voters.toSorted(),
    learners: [...conf.learners, ...conf.learnersNext].toSorted(),
    witnesses: conf.witnesses.filter((node) => conf.voters.includes(node)).toSorted(),
  };
}

/**
 * Checks a request and works out what is to be done.
 * @param conf The present members; not joint.
 * @param known The nodes of the cluster.
 * @throws DwError `members-invalid`.
 */
export function planMembers(
  groupId: string,
  conf: ConfState,
  request: MemberRequest,
  known: ReadonlySet<NodeId>,
  leader: NodeId,
): MemberPlan {
  const { add, addLearners, addWitnesses, remove } = request;
  const refuse = (why: string): Error => membersInvalid(groupId, why);
  if (isJoint(conf)) throw refuse('another change is not completed yet');
  const named = [...add, ...addLearners, ...addWitnesses, ...remove];
  if (named.length === 0) throw refuse('no node is named');
  if (named.length > MAX_NODES) throw refuse(`more than ${MAX_NODES} nodes are named`);
  const twice = named.find((node, at) => named.indexOf(node) !== at);
  if (twice !== undefined) throw refuse(`${twice} is named twice`);
  const stranger = [...add, ...addLearners, ...addWitnesses].find((node) => !known.has(node));
  if (stranger !== undefined) throw refuse(`${stranger} is no node of the cluster`);

  const votes = new Set(conf.voters);
  const witnesses = new Set(conf.witnesses.filter((node) => votes.has(node)));
  const learns = new Set(conf.learners);
  const isWitness = [...add, ...addLearners].find((node) => witnesses.has(node));
  if (isWitness !== undefined) throw refuse(`${isWitness} is a witness and has no data; remove it first`);
  const demoted = addLearners.find((node) => votes.has(node));
  if (demoted !== undefined) throw refuse(`${demoted} votes; remove it before it is to learn only`);
  const hasData = addWitnesses.find((node) => learns.has(node) || (votes.has(node) && !witnesses.has(node)));
  if (hasData !== undefined) throw refuse(`${hasData} has the data; remove it before it is to be a witness`);

  const gone = remove.filter((node) => votes.has(node) || learns.has(node));
  const after = new Set([...votes, ...add].filter((node) => !gone.includes(node)));
  const holders = [...after].filter((node) => !witnesses.has(node));
  if (holders.length === 0) throw refuse('nobody who votes and has the data would be left');
  const hollow = new Set([...witnesses, ...addWitnesses].filter((node) => !gone.includes(node)));
  // The core would refuse it too, but as something that may be possible later, and be asked again and again.
  if (hollow.size >= holders.length) throw refuse('those who vote and have the data would not be a majority');

  const promote = add.filter((node) => !votes.has(node));
  const newLearners = addLearners.filter((node) => !learns.has(node));
  const newWitnesses = addWitnesses.filter((node) => !votes.has(node));
  const learn = [...promote.filter((node) => !learns.has(node)), ...newLearners];
  const change: ConfChangeSingle[] = [
    ...promote.map((nodeId) => ({ type: 'add-voter' as const, nodeId })),
    ...newWitnesses.map((nodeId) => ({ type: 'add-witness' as const, nodeId })),
    ...gone.filter((node) => node !== leader).map((nodeId) => ({ type: 'remove' as const, nodeId })),
  ];
  return {
    open: [...learn, ...newWitnesses],
    learn,
    promote,
    change,
    removesLeader: gone.includes(leader),
    removed: gone,
  };
}
