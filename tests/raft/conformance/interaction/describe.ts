// How entries, messages and Readies are printed: exactly as upstream's test harness prints them. Upstream knows storage
// work as messages to two threads; our core hands it out as values, which are shown here as those messages.

import { confChangeFormat, decodeConfChange } from '#consensus/raft/confchange/encoding.js';
import type {
  Entry,
  HardState,
  Message,
  MessageType,
  ReadState,
  Role,
  Snapshot,
  SoftState,
  StorageAppend,
  StorageApply,
} from '#consensus/raft/types.js';
import { textOfError } from '../suite.js';
import { describeChanges } from './changes.js';
import { describeCommand } from './session-commands.js';
import { describeConfState } from './describe-members.js';

/** Upstream's names of the kinds of messages. */
export const messageNames: Readonly<Record<MessageType, string>> = {
  hup: 'MsgHup',
  beat: 'MsgBeat',
  'check-quorum': 'MsgCheckQuorum',
  propose: 'MsgProp',
  append: 'MsgApp',
  'append-response': 'MsgAppResp',
  vote: 'MsgVote',
  'vote-response': 'MsgVoteResp',
  'pre-vote': 'MsgPreVote',
  'pre-vote-response': 'MsgPreVoteResp',
  snapshot: 'MsgSnap',
  'snapshot-status': 'MsgSnapStatus',
  heartbeat: 'MsgHeartbeat',
  'heartbeat-response': 'MsgHeartbeatResp',
  unreachable: 'MsgUnreachable',
  'transfer-leader': 'MsgTransferLeader',
  'timeout-now': 'MsgTimeoutNow',
  'read-index': 'MsgReadIndex',
  'read-index-response': 'MsgReadIndexResp',
  'forget-leader': 'MsgForgetLeader',
  'storage-append-response': 'MsgStorageAppendResp',
  'storage-apply-response': 'MsgStorageApplyResp',
};

/** Upstream's names of the roles. */
export const roleNames: Readonly<Record<Role, string>> = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
};

/** What is printed of a message. */
interface ShownMessage {
  readonly from: string;
  readonly to: string;
  readonly kind: string;
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly commit: number;
  readonly vote: string | undefined;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly responses: readonly Message[];
}

const escapes: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
};

/** Bytes as a quoted string of Go. */
export function quoted(data: Uint8Array): string {
  const text = Buffer.from(data).toString('utf8');
  const whole = Buffer.from(text, 'utf8').equals(data);
  const chars = Array.from(whole ? text : Buffer.from(data).toString('latin1'));
  const inner = chars.map((char) => {
    const known = escapes[char];
    if (known !== undefined) return known;
    const code = char.codePointAt(0) as number;
    if (code < 0x20 || code === 0x7f || (!whole && code > 0x7f))
      return `\\x${code.toString(16).padStart(2, '0')}`;
    return char;
  });
  return `"${inner.join('')}"`;
}

function describeConfChange(data: Uint8Array): string {
  try {
    return describeChanges(decodeConfChange(data).changes);
  } catch (error) {
    return textOfError(error);
  }
}

/** Text as upstream has it; a command of a session, which no text looks like, in words. */
function describeData(data: Uint8Array): string {
  return describeCommand(data) ?? quoted(data);
}

/** One entry. */
export function describeEntry(entry: Entry): string {
  const at = `${entry.term}/${entry.index}`;
  if (entry.type === 'normal') return `${at} EntryNormal ${describeData(entry.data)}`;
  const name = confChangeFormat(entry.data) === 'v1' ? 'EntryConfChange' : 'EntryConfChangeV2';
  return `${at} ${name} ${describeConfChange(entry.data)}`.trimEnd();
}

/** A place that messages come from and go to. */
function place(id: string): string {
  return /^\d+$/.test(id) ? Number(id).toString(16) : id;
}

function describeSnapshot({ metadata }: Snapshot): string {
  return `Index:${metadata.index} Term:${metadata.term} ConfState:${describeConfState(metadata.conf)}`;
}

function shown(message: Message): ShownMessage {
  const threads: Readonly<Partial<Record<MessageType, string>>> = {
    'storage-append-response': 'AppendThread',
    'storage-apply-response': 'ApplyThread',
  };
  return {
    ...message,
    from: threads[message.type] ?? message.from,
    kind: messageNames[message.type],
    responses: [],
  };
}

/** A message, over several lines if it carries several things. */
export function describeMessage(message: Message): string {
  return describe(shown(message), '');
}

function describe(message: ShownMessage, indent: string): string {
  const { entries, responses, snapshot } = message;
  let text = `${indent}${place(message.from)}->${place(message.to)} ${message.kind}`;
  text += ` Term:${message.term} Log:${message.logTerm}/${message.index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== undefined) text += ` Vote:${message.vote}`;
  if (entries.length === 1) text += ` Entries:[${describeEntry(entries[0] as Entry)}]`;
  else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
    text += ` Entries:[${lines.join('')}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.metadata.index !== 0) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  }
  if (responses.length > 0) {
    const lines = responses.map((response) => `\n${describe(shown(response), `${indent}  `)}`);
    text += ` Responses:[${lines.join('')}\n${indent}]`;
  }
  return text;
}

const noFields = {
  logTerm: 0,
  index: 0,
  reject: false,
  rejectHint: 0,
  commit: 0,
  vote: undefined,
  snapshot: undefined,
  responses: [],
} as const;

/** What is to be written, as a message to the thread that writes. */
export function describeAppend(id: string, append: StorageAppend): string {
  const { hardState, entries, snapshot, responses } = append;
  const { term, commit, vote } = hardState ?? { term: 0, commit: 0, vote: undefined };
  const head = { ...noFields, from: id, to: 'AppendThread', kind: 'MsgStorageAppend' };
  return describe({ ...head, term, commit, vote, entries, snapshot, responses }, '');
}

/** What is to be applied, as a message to the thread that applies. */
export function describeApply(id: string, { entries, responses }: StorageApply): string {
  const head = { ...noFields, from: id, to: 'ApplyThread', kind: 'MsgStorageApply' };
  return describe({ ...head, term: 0, entries, responses }, '');
}

/** What a Ready holds, in the words of upstream. */
export interface ShownReady {
  readonly mustSync: boolean;
  readonly soft: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly reads: readonly ReadState[];
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly committed: readonly Entry[];
  /** One text for each message. */
  readonly messages: readonly string[];
}

/** A Ready; a line for each thing in it. */
export function describeReady(ready: ShownReady): string {
  const lines: string[] = [];
  const { soft, hardState, reads, entries, snapshot, committed, messages } = ready;
  if (soft !== undefined) lines.push(`Lead:${soft.leader ?? 0} State:${roleNames[soft.role]}`);
  if (hardState !== undefined) lines.push(`HardState ${describeHardState(hardState)}`);
  if (reads.length > 0)
    lines.push(`ReadStates [${reads.map(({ index, context }) => `{${index} ${context}}`).join(' ')}]`);
  if (entries.length > 0) lines.push('Entries:', ...entries.map(describeEntry));
  if (snapshot !== undefined) lines.push(`Snapshot ${describeSnapshot(snapshot)}`);
  if (committed.length > 0) lines.push('CommittedEntries:', ...committed.map(describeEntry));
  if (messages.length > 0) lines.push('Messages:', ...messages);
  if (lines.length === 0) return '<empty Ready>';
  return `Ready MustSync=${ready.mustSync}:\n${lines.join('\n')}\n`;
}

function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === undefined ? '' : ` Vote:${vote}`} Commit:${commit}`;
}
