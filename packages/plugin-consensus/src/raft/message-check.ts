// What a message from another node must look like before the core believes a word of it. A peer may run other code, or
// be hostile: numbers may be anything, entries may have gaps.

import { isLocalType } from './message.js';
import type { ConfState, Entry, Message, MessageType, NodeId } from './types.js';

const knownTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  'propose',
  'append',
  'append-response',
  'vote',
  'vote-response',
  'pre-vote',
  'pre-vote-response',
  'snapshot',
  'heartbeat',
  'heartbeat-response',
  'transfer-leader',
  'timeout-now',
  'read-index',
  'read-index-response',
]);

/** Kinds that carry no term. */
const termless: ReadonlySet<MessageType> = new Set<MessageType>(['propose', 'read-index']);

/** Longest context that is taken from a peer, in UTF-16 units. */
export const maxContextLength = 1_024;

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isIdList(value: unknown): value is readonly NodeId[] {
  return (
    Array.isArray(value) &&
    value.every((id) => typeof id === 'string') &&
    new Set(value).size === value.length
  );
}

function faultOfConf(conf: ConfState | undefined): string | undefined {
  if (conf === undefined || !isIdList(conf.voters) || conf.voters.length === 0)
    return 'a snapshot without voters';
  if (!isIdList(conf.votersOutgoing) || !isIdList(conf.learners) || !isIdList(conf.learnersNext)) {
    return 'a snapshot with broken members';
  }
  if (!isIdList(conf.witnesses)) return 'a snapshot with broken members';
  const voters = new Set([...conf.voters, ...conf.votersOutgoing]);
  if (!conf.witnesses.every((id) => voters.has(id))) return 'a snapshot with a witness that has no vote';
  if (conf.learners.some((id) => voters.has(id))) return 'a snapshot with a member that votes and learns';
  const outgoing = new Set(conf.votersOutgoing);
  if (!conf.learnersNext.every((id) => outgoing.has(id))) return 'a snapshot with misplaced next learners';
  if (typeof conf.autoLeave !== 'boolean') return 'a snapshot with broken members';
  return undefined;
}

function faultOfSnapshot(message: Message): string | undefined {
  const { snapshot } = message;
  if (snapshot === undefined || !(snapshot.data instanceof Uint8Array))
    return 'a snapshot message without one';
  const { index, term, conf } = snapshot.metadata;
  if (!isIndex(index) || index === 0 || !isIndex(term) || term > message.term)
    return 'a snapshot of the future';
  return faultOfConf(conf);
}

function faultOfEntries(message: Message): string | undefined {
  let { index } = message;
  let term = message.logTerm;
  for (const entry of message.entries as readonly (Entry | undefined)[]) {
    if (entry === undefined || entry.index !== index + 1) return 'entries with a gap';
    if (!isIndex(entry.term) || entry.term < term || entry.term > message.term)
      return 'entries with broken terms';
    if (!(entry.data instanceof Uint8Array)) return 'an entry without data';
    if (entry.type !== 'normal' && entry.type !== 'conf-change') return 'an entry of an unknown type';
    index = entry.index;
    term = entry.term;
  }
  return undefined;
}

function faultOfProposal(message: Message): string | undefined {
  if (message.entries.length === 0) return 'a proposal of nothing';
  const whole = message.entries.every(
    (entry) => entry.data instanceof Uint8Array && (entry.type === 'normal' || entry.type === 'conf-change'),
  );
  return whole ? undefined : 'a proposal without data';
}

/** What is wrong with a message from another node, or undefined when it may be handled. */
export function faultOf(message: Message, self: NodeId): string | undefined {
  if (message.to !== self) return 'a message for another node';
  if (isLocalType(message.type)) return 'a kind that only the node itself may send';
  if (!knownTypes.has(message.type)) return 'an unknown kind';
  if (!isIndex(message.term) || !isIndex(message.index) || !isIndex(message.logTerm)) return 'broken numbers';
  if (!isIndex(message.commit) || !isIndex(message.rejectHint)) return 'broken numbers';
  if (typeof message.context !== 'string' || message.context.length > maxContextLength)
    return 'a broken context';
  // A term of zero would pass for a local message and skip the check of terms.
  // A request to hand leadership over has one only if a follower has passed it on.
  const anyTerm = message.type === 'transfer-leader';
  if (!anyTerm && (message.term === 0) !== termless.has(message.type))
    return 'a term where none belongs, or none';
  if (!Array.isArray(message.entries)) return 'broken entries';
  if (message.type === 'append') return faultOfEntries(message);
  if (message.type === 'snapshot') return faultOfSnapshot(message);
  if (message.type === 'propose') return faultOfProposal(message);
  return undefined;
}
