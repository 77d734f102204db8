// Every error of the consensus plugin outside its log storage, on one screen: code, sentence, status, what to do.
//
// The rule behind the codes: a write that ends in any error other than `outcome-unknown` did not happen and never will.

import { DwError, errorMessage } from '@datawarehouse/sdk';

/** Bytes from a peer, a log or a client do not follow their format. */
export function malformed(what: string, why: string): DwError {
  return new DwError({ code: 'frame-malformed', message: `${what} is malformed: ${why}`, status: 400 });
}

/** A key is empty, too long, or not text. */
export function keyInvalid(why: string): DwError {
  return new DwError({
    code: 'key-invalid',
    message: `The key ${why}`,
    hint: 'use 1 to 1024 bytes of well-formed UTF-8',
    status: 400,
  });
}

/** A condition, a limit or another part of a request makes no sense. */
export function requestInvalid(what: string, hint: string): DwError {
  return new DwError({ code: 'request-invalid', message: what, hint, status: 400 });
}

/** The replica of a group on this node was closed or removed. */
export function groupClosed(groupId: string): DwError {
  return new DwError({
    code: 'group-closed',
    message: `The replica of group ${groupId} on this node was closed; nothing was done`,
    retryable: true,
    retryAfterMs: 100,
    status: 503,
  });
}

/** No such key (HTTP only; the service answers undefined). */
export function keyNotFound(key: string): DwError {
  return new DwError({
    code: 'key-not-found',
    message: `There is no key ${JSON.stringify(key)}`,
    status: 404,
  });
}

/** A conditional write met another version. `currentVersion` is undefined when the key does not exist. */
export function versionMismatch(key: string, currentVersion: number | undefined): DwError {
  const now = currentVersion === undefined ? 'does not exist' : `has version ${currentVersion}`;
  return new DwError({
    code: 'version-mismatch',
    message: `The key ${JSON.stringify(key)} ${now}, so the condition of the write does not hold; nothing was written`,
    hint: 'read the key again and decide with its current version',
    status: 412,
    details: { currentVersion: currentVersion ?? null },
  });
}

/** A value is larger than the limit. */
export function valueTooLarge(bytes: number, maxBytes: number): DwError {
  return new DwError({
    code: 'value-too-large',
    message: `The value has ${bytes} bytes; at most ${maxBytes} are allowed (limit maxValueBytes)`,
    hint: 'split the value, or raise consensus.maxValueBytes on every node',
    status: 413,
  });
}

/** The same idempotency key came with another request. */
export function idempotencyKeyReused(idempotencyKey: string): DwError {
  return new DwError({
    code: 'idempotency-key-reused',
    message: `The idempotency key ${JSON.stringify(idempotencyKey)} was used before for another request; nothing was written`,
    hint: 'make a new key for each new request, and reuse it only to retry that request',
    status: 422,
  });
}

/** The group holds as many keys as a group can. */
export function storeFull(groupId: string, maxKeys: number): DwError {
  return new DwError({
    code: 'store-full',
    message: `Group ${groupId} holds ${maxKeys} keys, the most a group can hold; nothing was written`,
    hint: 'delete keys, or run with more groups',
    status: 507,
  });
}

/** The node has as much waiting as its limits allow. */
export function overloaded(what: string, limit: string, retryAfterMs: number): DwError {
  return new DwError({
    code: 'overloaded',
    message: `This node has as many ${what} waiting as ${limit} allows; the request was refused and did nothing`,
    hint: `retry after the time given, or raise consensus.${limit}`,
    retryable: true,
    retryAfterMs,
    status: 429,
  });
}

/** Nobody is known to lead the group. */
export function noLeader(groupId: string): DwError {
  return new DwError({
    code: 'no-leader',
    message: `Group ${groupId} has no leader that this node can reach; the request did nothing`,
    hint: 'a majority of the group must run and reach each other; see GET /v1/groups',
    retryable: true,
    retryAfterMs: 250,
    status: 503,
  });
}

/** This node does not lead the group, and another might. */
export function notLeader(groupId: string, leaderId: string | undefined): DwError {
  return new DwError({
    code: 'not-leader',
    message: `This node does not lead group ${groupId}${leaderId === undefined ? '' : `; ${leaderId} does`}`,
    retryable: true,
    retryAfterMs: 50,
    status: 503,
    ...(leaderId === undefined ? {} : { details: { leaderId } }),
  });
}

/** The leader changed, and another entry was committed in this one's place. */
export function proposalSuperseded(groupId: string, index: number): DwError {
  return new DwError({
    code: 'leadership-lost',
    message: `Group ${groupId} changed its leader and committed another entry at index ${index}; this write did not happen`,
    hint: 'send it again',
    retryable: true,
    retryAfterMs: 50,
    status: 503,
  });
}

/** The proposal waited too long to be put in the log, and was taken back. */
export function proposalExpired(groupId: string): DwError {
  return new DwError({
    code: 'proposal-expired',
    message: `The write waited for group ${groupId} until its time was up, and was taken back before it began`,
    retryable: true,
    retryAfterMs: 500,
    status: 503,
  });
}

/** The caller gave up before the work began. */
export function requestAborted(): DwError {
  return new DwError({
    code: 'aborted',
    message: 'The caller gave up before the request began; it did nothing',
    status: 499,
  });
}

/** It may have happened or may yet. */
export function outcomeUnknown(groupId: string, why: string): DwError {
  return new DwError({
    code: 'outcome-unknown',
    message: `The write to group ${groupId} may have happened or may yet: ${why}`,
    hint: 'read the key to see, or retry with the same Idempotency-Key, which applies it once',
    retryable: false,
    retryAfterMs: 500,
    status: 503,
  });
}

/** A read could not be confirmed in time. */
export function readTimedOut(groupId: string): DwError {
  return new DwError({
    code: 'read-timeout',
    message: `Group ${groupId} could not confirm the read with a majority in time`,
    hint: 'retry, or read with consistency=stale',
    retryable: true,
    retryAfterMs: 250,
    status: 503,
  });
}

/** The node is stopping and takes no new work. */
export function draining(): DwError {
  return new DwError({
    code: 'draining',
    message: 'This node is stopping and takes no new work; the request did nothing',
    hint: 'ask another node',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}

/** The node's storage failed. */
export function storageUnusable(cause: unknown): DwError {
  return new DwError({
    code: 'storage-failed',
    message: 'The storage of this node failed, so it takes no writes and leads nothing until it is restarted',
    hint: 'look at the disk, then restart the node',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
    cause,
  });
}

/** One group of this node failed and stands still. */
export function groupFailed(groupId: string, cause: unknown): DwError {
  return new DwError({
    code: 'group-failed',
    message: `Group ${groupId} failed on this node and stands still there: ${errorMessage(cause)}`,
    hint: 'read the log line that names the cause, then restart the node',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
    cause,
  });
}

/** The node that was asked has no replica of the group, or none any more. */
export function noReplica(groupId: string, nodeId: string, leaderId: string | undefined): DwError {
  return new DwError({
    code: 'no-replica',
    message: `Node ${nodeId} has no replica of group ${groupId}; nothing was done`,
    retryable: true,
    retryAfterMs: 100,
    status: 503,
    details: { leaderId },
  });
}

/** This node was taken out of the cluster. */
export function nodeRetired(nodeId: string): DwError {
  return new DwError({
    code: 'node-retired',
    message: `${nodeId} was retired: it is no member of the cluster any more and serves nothing; nothing was done`,
    hint: 'ask another node; to bring this one back, stop it and let it join with a fresh data directory',
    status: 503,
  });
}

/** A node that joins has not been told the groups yet. */
export function groupsUnknown(): DwError {
  return new DwError({
    code: 'groups-unknown',
    message: 'This node has just joined and has not learned the groups of the cluster yet',
    hint: 'ask again in a moment; if it stays so, check that this node can reach its peers',
    retryable: true,
    retryAfterMs: 250,
    status: 503,
  });
}

/** There is no such group. */
export function groupUnknown(groupId: string): DwError {
  return new DwError({
    code: 'group-unknown',
    message: `There is no Raft group ${JSON.stringify(groupId.slice(0, 64))}`,
    hint: 'GET /v1/groups names the groups',
    status: 404,
  });
}

/** The two nodes do not agree on which group a key belongs to. */
export function groupMismatch(groupId: string, owner: string): DwError {
  return new DwError({
    code: 'group-mismatch',
    message: `A peer sent a key of group ${owner} to group ${groupId}: the two nodes are configured with different groups`,
    hint: 'give every node the same number of groups',
    status: 500,
  });
}

/** Leadership cannot go to that node. */
export function transferTargetInvalid(groupId: string, to: string, voters: readonly string[]): DwError {
  return new DwError({
    code: 'transfer-target-invalid',
    message: `${JSON.stringify(to.slice(0, 64))} cannot lead group ${groupId}; its voters are ${voters.join(', ')}`,
    hint: 'name one of the voters',
    status: 422,
  });
}

/** The leader did not change in time. */
export function transferFailed(groupId: string, to: string): DwError {
  return new DwError({
    code: 'transfer-failed',
    message: `Leadership of group ${groupId} did not reach ${to} in time; the group goes on under its present leader`,
    hint: 'see whether that node is up and has caught up, then try again',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}

/** A snapshot of the group cannot be taken now. */
export function snapshotUnavailable(groupId: string, why: string): DwError {
  return new DwError({
    code: 'snapshot-unavailable',
    message: `No snapshot of group ${groupId} can be taken now: ${why}`,
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}

/** A snapshot's bytes are not what they were when it was taken. */
export function snapshotDamaged(why: string): DwError {
  return new DwError({
    code: 'snapshot-damaged',
    message: `A snapshot of the key-value state is damaged: ${why}`,
    hint: 'remove the snapshot of this node, so that it is sent again by the leader',
  });
}

/** The peer does not answer a transfer of a snapshot as it should. */
export function snapshotTransferFailed(why: string): DwError {
  return new DwError({
    code: 'snapshot-transfer-failed',
    message: `A snapshot transfer failed: ${why}`,
    retryable: true,
    status: 503,
  });
}

/** The plugin was asked before it was activated or after it was stopped. */
export function engineNotRunning(): DwError {
  return new DwError({
    code: 'consensus-not-running',
    message: 'The consensus engine of this node is not running',
    retryable: true,
    retryAfterMs: 1_000,
    status: 503,
  });
}
