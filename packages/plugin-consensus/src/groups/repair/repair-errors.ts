// What can go wrong when a group is recovered by hand.

import { DwError } from '@datawarehouse/sdk';

/** A majority of the group can be reached, or was a moment ago: it recovers by itself. */
export function groupNotLost(groupId: string, why: string): DwError {
  return new DwError({
    code: 'group-not-lost',
    message: `Group ${groupId} is not lost: ${why}. Recovering it by hand could lose what they acknowledged, so nothing was done`,
    hint: 'wait until they elect a leader; replace a single lost node with POST /v1/groups/{id}/members',
    status: 409,
  });
}

/** Nothing is left to go on with. */
export function recoveryImpossible(groupId: string, why: string): DwError {
  return new DwError({
    code: 'recovery-impossible',
    message: `Group ${groupId} cannot be recovered from here: ${why}`,
    hint: 'start a node that has a replica of it, or restore the disk of one',
    status: 409,
  });
}

/** What a plan was made from has changed since. */
export function recoveryPlanStale(groupId: string): DwError {
  return new DwError({
    code: 'recovery-plan-stale',
    message: `The plan to recover group ${groupId} was made from another state than there is now; nothing was done`,
    hint: 'ask for a new plan, read it, and confirm that one',
    status: 409,
  });
}
