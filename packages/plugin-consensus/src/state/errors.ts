// What can go wrong between a group and the state machine that it runs, and with the sessions of its clients: code,
// sentence, status, what to do.

import { DwError, errorMessage } from '@datawarehouse/sdk';
import type { Entry } from '../raft/types.js';
import type { SessionCommand } from './sessions/session-table.js';

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

/** The session of a command was forgotten, closed, or never opened. */
export function sessionExpired(groupId: string, session: number): DwError {
  return new DwError({
    code: 'session-expired',
    message: `Group ${groupId} has no session ${session}; this request did nothing. Whether an earlier try of the same command was applied is not known any more`,
    hint: 'open another session, and look at the state before the command is sent under it again',
    status: 410,
    details: { groupId, session },
  });
}

/** The client said before that it has the outcomes of this sequence and all lower ones. */
export function sequenceAcknowledged(groupId: string, { session, sequence }: SessionCommand): DwError {
  return new DwError({
    code: 'sequence-acknowledged',
    message: `Session ${session} of group ${groupId} acknowledged sequence ${sequence} before, so its outcome is forgotten; this request did nothing`,
    hint: 'use a new, higher sequence for each new command',
    status: 409,
    details: { groupId, session, sequence },
  });
}

/** Two different commands came under one sequence. */
export function sequenceReused(groupId: string, { session, sequence }: SessionCommand): DwError {
  return new DwError({
    code: 'sequence-reused',
    message: `Sequence ${sequence} of session ${session} of group ${groupId} was used before for another command; nothing was applied`,
    hint: 'use a new, higher sequence for each new command, and repeat one only to retry that command',
    status: 422,
    details: { groupId, session, sequence },
  });
}

/** The session keeps as many outcomes as it may. */
export function sessionFull(groupId: string, session: number): DwError {
  return new DwError({
    code: 'session-full',
    message: `Session ${session} of group ${groupId} keeps as many outcomes as a session may; the command was not applied`,
    hint: 'acknowledge outcomes by sending the lowest sequence that is still wanted, then send the command again',
    retryable: true,
    retryAfterMs: 100,
    status: 429,
    details: { groupId, session },
  });
}

/** The command is for another group than the one that the session belongs to. */
export function sessionOfOtherGroup(groupId: string, sessionGroup: string): DwError {
  return new DwError({
    code: 'session-of-other-group',
    message: `The key belongs to group ${groupId} and the session to group ${sessionGroup}; nothing was applied`,
    hint: 'open a session for each group: POST /v1/sessions with the key',
    status: 409,
    details: { groupId, sessionGroup },
  });
}

/** A watcher wants changes that this replica does not keep any more. */
export function versionCompacted(groupId: string, version: number, oldest: number): DwError {
  return new DwError({
    code: 'version-compacted',
    message: `Group ${groupId} keeps the changes after version ${oldest} on this node, and those after ${version} were asked for`,
    hint: 'list the keys, and watch from the version of the list',
    status: 410,
    details: { groupId, version, oldest },
  });
}

/** The group has no replica on this node, and what was asked for needs one. */
export function replicaNotHere(groupId: string, what: string): DwError {
  return new DwError({
    code: 'replica-not-here',
    message: `Group ${groupId} has no replica on this node, and ${what} needs one`,
    hint: 'ask one of its voters, which GET /v1/groups names',
    retryable: true,
    retryAfterMs: 250,
    status: 503,
    details: { groupId },
  });
}

/** A state machine cannot be registered under this name. */
export function machineNameInvalid(name: string, most?: number): DwError {
  return new DwError({
    code: 'machine-name-invalid',
    message:
      most === undefined
        ? `${JSON.stringify(name.slice(0, 64))} cannot be the name of a state machine`
        : `The state machine ${name} cannot be registered: ${most} are, the most on one node`,
    hint: 'use 1 to 40 letters, digits, ".", "-" and "_", beginning with a letter or digit',
    status: 422,
  });
}

/** The name is taken on this node. */
export function machineRegistered(name: string): DwError {
  return new DwError({
    code: 'machine-registered',
    message: `A state machine ${name} is registered already on this node`,
    hint: 'register each name once, and dispose of the machine when its plugin ends',
    status: 409,
  });
}

/** The state machine answers no queries. */
export function queryUnsupported(name: string): DwError {
  return new DwError({
    code: 'query-unsupported',
    message: `The state machine ${name} answers no queries`,
    hint: 'give it a query method, or read it where it has a replica',
    status: 422,
  });
}

/** A query of a state machine threw. */
export function queryFailed(name: string, cause: unknown): DwError {
  return new DwError({
    code: 'query-failed',
    message: `A query of the state machine ${name} failed: ${errorMessage(cause)}`,
    status: 500,
    cause,
  });
}

/** A state machine with its own storage has less on disk than the node's snapshot says. */
export function machineBehind(index: number, held: number): DwError {
  return new DwError({
    code: 'state-machine-behind',
    message: `The node's snapshot is that of entry ${index}, and the state machine has on its own disk what came up to entry ${held}: its files were lost or set back`,
    hint: 'remove the replica from this node, so that its leader sends it a whole copy',
    status: 500,
  });
}
