// Commands of sessions as entries carry them: made as the product makes them, and put in words.

import { decodeEnvelope, encodeEnvelope, type EntryKind } from '#consensus/engine/entry-envelope.js';
import { decodeCommand, encodeCommand } from '#consensus/state/command.js';
import {
  decodeSessionCommand,
  decodeSessionId,
  encodeSessionCommand,
  encodeSessionId,
} from '#consensus/state/sessions/command-header.js';
import type { SessionCommand } from '#consensus/state/sessions/session-table.js';

const noBytes = new Uint8Array(0);
/** The first byte of every envelope of this format; no text that is proposed begins with it. */
const envelopeMark = encodeEnvelope({
  kind: 'opaque',
  proposalId: 0,
  proposer: '',
  time: 0,
  data: noBytes,
})[0];

function envelope(kind: EntryKind, proposer: string, data: Uint8Array): Uint8Array {
  return encodeEnvelope({ kind, proposalId: 1, proposer, time: 0, data });
}

/** Opens a session, whose id is the index that the entry gets. */
export function openSession(proposer: string): Uint8Array {
  return envelope('open-session', proposer, noBytes);
}

/** Closes a session. */
export function closeSession(proposer: string, session: number): Uint8Array {
  return envelope('close-session', proposer, encodeSessionId(session));
}

/** Writes a key, once in its session. */
export function putInSession(
  proposer: string,
  header: SessionCommand,
  key: string,
  value: string,
): Uint8Array {
  const command = encodeCommand('put', key, Buffer.from(value), undefined);
  return envelope('session-command', proposer, encodeSessionCommand(header, command));
}

/** An entry of a group with sessions in words; undefined for anything else. */
export function describeCommand(data: Uint8Array): string | undefined {
  if (data.length === 0 || data[0] !== envelopeMark) return undefined;
  const { kind, data: inner } = decodeEnvelope(data);
  if (kind === 'open-session') return 'open-session';
  if (kind === 'close-session') return `close-session ${decodeSessionId(inner)}`;
  if (kind !== 'session-command') return kind;
  const { session, sequence, command } = decodeSessionCommand(inner);
  const decoded = decodeCommand(command);
  const value = decoded.op === 'put' ? Buffer.from(decoded.value).toString('utf8') : '';
  return `session ${session}#${sequence} ${decoded.op} ${decoded.key}=${value}`;
}
