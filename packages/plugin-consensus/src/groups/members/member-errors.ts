// What can go wrong when the members of a group are changed.

import { DwError } from '@datawarehouse/sdk';

/** The request contradicts itself, the group, or the cluster. Nothing was done. */
export function membersInvalid(groupId: string, why: string): DwError {
  return new DwError({
    code: 'members-invalid',
    message: `The members of group ${groupId} cannot be changed like this: ${why}. Nothing was done`,
    hint: 'look at the group with GET /v1/groups and at the nodes with GET /v1/cluster',
    status: 422,
  });
}

/** A node that is about to leave the cluster, or has left, gets no replica. What was done for the request was undone. */
export function memberRetiring(groupId: string, node: string): DwError {
  return new DwError({
    code: 'member-retiring',
    message: `${node} was not added to group ${groupId}: it is being retired, and a group that counts on it could not go on without it`,
    hint: 'name another node; look at the nodes with GET /v1/cluster',
    status: 409,
  });
}

/** Nobody said how a change ended. @param why What came between. */
export function memberChangeUnknown(groupId: string, why: string): DwError {
  return new DwError({
    code: 'outcome-unknown',
    message: `The members of group ${groupId} may have been changed, as a whole or in part, or may yet be: ${why}`,
    hint: 'look at the group, and ask again for what is missing: what is so already is left as it is',
    status: 503,
  });
}

/** Another change of this group's members is under way. */
export function membersBusy(groupId: string): DwError {
  return new DwError({
    code: 'members-busy',
    message: `The members of group ${groupId} are being changed already; this request did nothing`,
    hint: 'wait until the other change is done, then look at the group and ask again',
    retryable: true,
    retryAfterMs: 2_000,
    status: 409,
  });
}

/** A node that was to vote did not get the log in time. It was taken out again. */
export function memberNotCaughtUp(groupId: string, nodeIds: readonly string[], why: string): DwError {
  return new DwError({
    code: 'member-not-caught-up',
    message: `${nodeIds.join(', ')} did not catch up with group ${groupId}: ${why}. Whoever was added for this request was taken out again`,
    hint: 'see that the node runs, is reachable and fast enough, then ask again',
    retryable: true,
    retryAfterMs: 5_000,
    status: 503,
  });
}

/** The change did not commit in its time. It may yet. */
export function membersUndecided(groupId: string, doing: string): DwError {
  return new DwError({
    code: 'outcome-unknown',
    message: `The change of the members of group ${groupId} was not decided in time (${doing}); it may have happened or may yet`,
    hint: 'ask again: what is done already is not done twice',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}

/** A request about a replica comes from somebody who may not ask for it, or too late. */
export function replicaRequestRefused(groupId: string, why: string): DwError {
  return new DwError({
    code: 'replica-request-refused',
    message: `A request about the replica of group ${groupId} on this node was refused: ${why}`,
    status: 409,
  });
}

/** Two nodes that have just connected do not know each other yet. Nothing was done. */
export function peerNotIntroduced(peer: string): DwError {
  return new DwError({
    code: 'peer-not-introduced',
    message: `A request of node ${peer} was refused: it has not introduced itself since it connected`,
    hint: 'ask again in a moment; if that does not help, see the health of both nodes for storage that is not its own',
    retryable: true,
    retryAfterMs: 500,
    status: 503,
  });
}
