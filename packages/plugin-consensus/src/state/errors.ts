// What can go wrong between a group and the state machine that it runs, and with the sessions of its clients: code,
// sentence, status, what to do.

import { DwError, errorMessage } from '@datawarehouse/sdk';
import type { Entry } from '../raft/types.js';

/** A state machine threw while an entry was applied: the group stands still at the entry before it. */
export function applyFailed(groupId: string, entry: Entry, proposer: string, cause: unknown): DwError {
  const { index, term } = entry;
  return new DwError({
    code: 'apply-failed',
    message: `The state machine of group ${groupId} failed at entry ${index} of term ${term}, proposed by ${proposer || 'an unknown node'}: ${errorMessage(cause)}`,
    hint: 'repair the state machine and restart the node: it will be given the same entry again',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
    details: { groupId, index, term, proposer },
    cause,
  });
}

/** A state machine does what its contract forbids. */
export function stateMachineMisbehaved(name: string, what: string): DwError {
  return new DwError({
    code: 'state-machine-misbehaved',
    message: `The state machine ${name} breaks its contract: ${what}`,
    hint: 'run stateMachineContract of @datawarehouse/sdk/testing against it',
    status: 500,
  });
}

/** The group runs another state machine than the one that the operation is for. */
export function machineMismatch(groupId: string, wanted: string): DwError {
  return new DwError({
    code: 'machine-mismatch',
    message: `Group ${groupId} does not run the state machine ${wanted}`,
    hint: 'GET /v1/groups names the machine of each group',
    status: 422,
  });
}

/** Nobody registered the state machine of a group on this node. */
export function machineUnknown(name: string): DwError {
  return new DwError({
    code: 'machine-unknown',
    message: `No plugin of this node registered the state machine ${JSON.stringify(name.slice(0, 64))}`,
    hint: 'load the plugin that registers it on every node',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}
