// The errors of the Raft core, each with its code. `raft-invariant` is the only one that condemns a group: it says that
// something happened which the protocol rules out, so nothing that this replica holds may be trusted any more.

import { DwError } from '@datawarehouse/sdk';
import type { NodeId } from './types.js';

/** What must never be was found to be. The engine stops the group; restarting it on the same data would not help. */
export function raftInvariant(what: string, details: Readonly<Record<string, unknown>> = {}): DwError {
  return new DwError({
    code: 'raft-invariant',
    message: `A Raft invariant is broken: ${what}.`,
    hint: 'Keep the data directory for diagnosis, then replace this replica by one with an empty log.',
    details,
  });
}

/** Asked of a node that does not lead. `details.leader` names the leader, if one is known. */
export function notLeader(id: NodeId, leader: NodeId | undefined): DwError {
  return new DwError({
    code: 'not-leader',
    message: `Node ${id} does not lead this group; ${leader === undefined ? 'no leader is known' : `the leader is ${leader}`}.`,
    retryable: true,
    status: 503,
    hint: 'Ask the leader, or wait until one is elected.',
    details: { leader },
  });
}

/** A proposal that was not appended, and so will never be committed. */
export function proposalDropped(id: NodeId, reason: string): DwError {
  return new DwError({
    code: 'proposal-dropped',
    message: `Node ${id} dropped a proposal: ${reason}.`,
    retryable: true,
    status: 503,
    hint: 'Propose again after a short wait.',
    details: { reason },
  });
}

/** A linearizable read that was not taken on, because as many as allowed are waiting. */
export function readIndexDropped(id: NodeId, limit: number): DwError {
  return new DwError({
    code: 'read-index-dropped',
    message: `Node ${id} has ${limit} linearizable reads waiting for a quorum, which is the most it holds.`,
    retryable: true,
    status: 503,
    hint: 'Read again after a short wait, or let several reads share one read index.',
    details: { limit },
  });
}

/** Leadership cannot go to this node. */
export function transferRefused(id: NodeId, to: NodeId, reason: string): DwError {
  return new DwError({
    code: 'transfer-refused',
    message: `Node ${id} cannot hand leadership to ${to}: ${reason}.`,
    status: 409,
    hint: 'Name a voting member of the group.',
    details: { to },
  });
}

/** A membership change that does not lead from this membership to a sound one. The message says why, and only that. */
export function confChangeInvalid(why: string): DwError {
  return new DwError({
    code: 'conf-change-invalid',
    message: why,
    status: 409,
    hint: 'Look at the present membership, and propose a change that leads from it to a sound one.',
  });
}

/** Bytes that are no membership change. */
export function confChangeMalformed(what: string): DwError {
  return new DwError({
    code: 'conf-change-malformed',
    message: `These bytes are no membership change: ${what}.`,
    status: 422,
    hint: 'The entry was written by other software, or damaged; do not apply it.',
  });
}

/** A membership change that was not proposed, and so will never happen. */
export function confChangeRefused(id: NodeId, reason: string): DwError {
  return new DwError({
    code: 'conf-change-refused',
    message: `Node ${id} refused a membership change: ${reason}.`,
    status: 409,
    hint: 'Wait until the change before it is applied, look at the membership, and propose a change that fits it.',
    details: { reason },
  });
}

/** A core was set up with values that cannot work. */
export function raftConfigInvalid(what: string): DwError {
  return new DwError({
    code: 'raft-config-invalid',
    message: `The Raft configuration is invalid: ${what}.`,
    status: 422,
    hint: 'Correct the value that is named.',
  });
}
