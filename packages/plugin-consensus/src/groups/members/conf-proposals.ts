// Proposes membership changes at the leader and waits for what becomes of each.

import type { Clock } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import { isJoint } from '../../engine/group-conf.js';
import type { RaftGroup } from '../../engine/raft-group.js';
import { notLeader } from '../../errors.js';
import type { ConfChangeSingle } from '../../raft/types.js';
import { membersUndecided } from './member-errors.js';

/** How long one step may take to be committed. */
const STEP_MS = 15_000;
const POLL_MS = 10;
const NO_CONTEXT = new Uint8Array(0);

/** A pause of the clock. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms);
  });
}

/**
 * Makes a change and resolves when it is applied here and no joint membership is left. One change is made as such;
 * several pass through a joint membership that is left by itself.
 * @throws DwError `not-leader` and others that say that it did not happen; `outcome-unknown`.
 */
export async function commitChange(
  group: RaftGroup,
  clock: Clock,
  changes: readonly ConfChangeSingle[],
): Promise<void> {
  const deadline = clock.now() + STEP_MS;
  await untilSimple(group, clock, deadline);
  const transition = changes.length === 1 ? 'auto' : 'joint-implicit';
  for (;;) {
    try {
      await propose(group, deadline, { transition, changes, context: NO_CONTEXT });
      break;
    } catch (error) {
      // Something is under way that this leader has not applied yet, or leadership is being handed over.
      const waits = isDwError(error, 'conf-change-refused') || isDwError(error, 'proposal-dropped');
      if (!waits || clock.now() >= deadline) throw error;
    }
    await pause(clock, POLL_MS);
  }
  await untilSimple(group, clock, deadline);
}

/** Waits until the group is between no two memberships. */
export async function untilSimple(group: RaftGroup, clock: Clock, deadline: number): Promise<void> {
  while (isJoint(group.conf)) {
    if (!group.isLeader) throw notLeader(group.id, group.leader);
    if (clock.now() >= deadline) throw membersUndecided(group.id, 'a joint membership is not left yet');
    await pause(clock, POLL_MS);
  }
}

function propose(
  group: RaftGroup,
  deadline: number,
  change: Parameters<RaftGroup['changeMembers']>[0],
): Promise<void> {
  return new Promise((resolve, reject) => {
    group.changeMembers(change, deadline, (result) => {
      if (result.ok) resolve();
      else reject(result.error);
    });
  });
}
