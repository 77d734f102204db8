// How messages are made. Each kind has one maker, so that a message always has every field (one object shape on the hot
// path) and nobody forgets one.

import type { Entry, Message, MessageType, NodeId, Snapshot } from './types.js';

const noEntries: readonly Entry[] = Object.freeze([]);

/** Context of a vote request that was asked for by the leader itself: check-quorum must not refuse it. */
export const transferContext = 'transfer';

/** Kinds that a node says to itself only; from anyone else they are refused. */
const localTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'hup',
  'beat',
  'check-quorum',
  'unreachable',
  'snapshot-status',
  'forget-leader',
  'storage-append-response',
  'storage-apply-response',
]);

/** Kinds that count only from a member: answers, and requests to the leader. */
const memberTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'append-response',
  'vote-response',
  'pre-vote-response',
  'heartbeat-response',
  'read-index-response',
  'propose',
  'read-index',
  'transfer-leader',
  'timeout-now',
]);

/** Whether a node says this to itself only. */
export function isLocalType(type: MessageType): boolean {
  return localTypes.has(type);
}

/** Whether this counts only from a member of the group. */
export function isMemberType(type: MessageType): boolean {
  return memberTypes.has(type);
}

/** A message with nothing but its head; the makers below fill in the rest. */
function bare(
  type: MessageType,
  to: NodeId,
  from: NodeId,
  term: number,
): { -readonly [K in keyof Message]: Message[K] } {
  return {
    type,
    to,
    from,
    term,
    logTerm: 0,
    index: 0,
    entries: noEntries,
    commit: 0,
    vote: undefined,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: '',
  };
}

/** Any message, from the fields that matter. Not for hot paths. */
export function makeMessage(fields: Pick<Message, 'type' | 'to' | 'from'> & Partial<Message>): Message {
  return { ...bare(fields.type, fields.to, fields.from, 0), ...fields };
}

/** Entries after (`index`, `logTerm`), and the leader's commit index. */
export function appendMessage(
  to: NodeId,
  from: NodeId,
  term: number,
  index: number,
  logTerm: number,
  entries: readonly Entry[],
  commit: number,
): Message {
  const message = bare('append', to, from, term);
  message.index = index;
  message.logTerm = logTerm;
  message.entries = entries;
  message.commit = commit;
  return message;
}

/** The log equals the leader's up to `index`, on disk. */
export function appendResponse(to: NodeId, from: NodeId, term: number, index: number): Message {
  const message = bare('append-response', to, from, term);
  message.index = index;
  return message;
}

/** The entry at `index` is not what the leader says; try from (`hint`, `hintTerm`). */
export function appendRejection(
  to: NodeId,
  from: NodeId,
  term: number,
  index: number,
  hint: number,
  hintTerm: number,
): Message {
  const message = bare('append-response', to, from, term);
  message.index = index;
  message.reject = true;
  message.rejectHint = hint;
  message.logTerm = hintTerm;
  return message;
}

/** The leader is alive, and this much of what the follower has is committed. */
export function heartbeatMessage(
  to: NodeId,
  from: NodeId,
  term: number,
  commit: number,
  context: string,
): Message {
  const message = bare('heartbeat', to, from, term);
  message.commit = commit;
  message.context = context;
  return message;
}

/** Asks for a vote, or whether one would be given. */
export function voteRequest(
  type: 'vote' | 'pre-vote',
  to: NodeId,
  from: NodeId,
  term: number,
  index: number,
  logTerm: number,
  context: string,
): Message {
  const message = bare(type, to, from, term);
  message.index = index;
  message.logTerm = logTerm;
  message.context = context;
  return message;
}

/** Grants a vote, or says that it would be granted. */
export function voteGrant(
  type: 'vote-response' | 'pre-vote-response',
  to: NodeId,
  from: NodeId,
  term: number,
): Message {
  return bare(type, to, from, term);
}

/** Refuses a vote; `hint` says how far the log is committed. */
export function voteRefusal(
  type: 'vote-response' | 'pre-vote-response',
  to: NodeId,
  from: NodeId,
  term: number,
  hint: string,
): Message {
  const message = bare(type, to, from, term);
  message.reject = true;
  message.context = hint;
  return message;
}

/** Replaces the follower's log and state. */
export function snapshotMessage(to: NodeId, from: NodeId, term: number, snapshot: Snapshot): Message {
  const message = bare('snapshot', to, from, term);
  message.snapshot = snapshot;
  return message;
}

/** A message that says all by its kind, index and context. */
export function plainMessage(
  type: 'heartbeat-response' | 'read-index' | 'read-index-response' | 'timeout-now',
  to: NodeId,
  from: NodeId,
  term: number,
  index = 0,
  context = '',
): Message {
  const message = bare(type, to, from, term);
  message.index = index;
  message.context = context;
  return message;
}

/**
 * What storage says once an append is durable. With an index, the unstable log up to that entry may be let go if it is
 * still that entry, and if the term is still the one in which the write was asked for.
 */
export function storageAppendResponse(
  id: NodeId,
  term: number,
  index: number,
  logTerm: number,
  snapshot: Snapshot | undefined,
): Message {
  const message = bare('storage-append-response', id, id, term);
  message.index = index;
  message.logTerm = logTerm;
  message.snapshot = snapshot;
  return message;
}

/** What the state machine says once entries are applied. Committed entries belong to no term. */
export function storageApplyResponse(id: NodeId, entries: readonly Entry[]): Message {
  const message = bare('storage-apply-response', id, id, 0);
  message.entries = entries;
  return message;
}
