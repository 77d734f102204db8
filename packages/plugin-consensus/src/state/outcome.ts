// What became of a command, and the same as bytes: what the proposer is told, and what a retry is told again. One union
// for all state machines, so that answers travel between nodes and lie in snapshots without anybody knowing whose they are.

import { crc32 } from '@datawarehouse/sdk';
import type { ByteReader } from '../codec/byte-reader.js';
import type { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';
import { mix } from './state-hash.js';

/** Longest result of a command of a plugin's state machine, in bytes. */
export const MAX_RESULT_BYTES = 1_024 * 1_024;

/** What became of a command. Everything but `written`, `deleted`, `result` and `committed` changed nothing. */
export type Outcome =
  | { readonly status: 'written'; readonly version: number }
  | { readonly status: 'deleted'; readonly version: number; readonly existed: boolean }
  | { readonly status: 'version-mismatch'; readonly currentVersion: number | undefined }
  | { readonly status: 'idempotency-key-reused' }
  | { readonly status: 'store-full' }
  /** An opaque entry, or one that is not a command: it is in the log and changed nothing. */
  | { readonly status: 'committed' }
  | { readonly status: 'session-opened'; readonly session: number }
  | { readonly status: 'session-closed' }
  /** There is no session of that id: it was forgotten, closed, or never there. */
  | { readonly status: 'session-expired' }
  /** The session said before that it wants no outcome of this sequence or lower ones. */
  | { readonly status: 'sequence-acknowledged' }
  /** The sequence was used for another command. */
  | { readonly status: 'sequence-reused' }
  /** The session keeps as many outcomes as it may: some must be acknowledged first. */
  | { readonly status: 'session-full' }
  /** A plugin's state machine applied the command and answered with these bytes. */
  | { readonly status: 'result'; readonly data: Uint8Array }
  /** The same of a machine with its own storage, told to a retry: it was applied, and its answer is not kept. */
  | { readonly status: 'result-not-kept' };

const STATUS_CODES = {
  written: 1,
  deleted: 2,
  'version-mismatch': 3,
  'idempotency-key-reused': 4,
  'store-full': 5,
  committed: 6,
  result: 7,
  'session-opened': 8,
  'session-closed': 9,
  'session-expired': 10,
  'sequence-acknowledged': 11,
  'sequence-reused': 12,
  'session-full': 13,
  'result-not-kept': 14,
} as const;

/** Writes an outcome: a code, and what that status carries. */
export function writeOutcome(writer: ByteWriter, outcome: Outcome): void {
  writer.u8(STATUS_CODES[outcome.status]);
  switch (outcome.status) {
    case 'written':
      writer.varint(outcome.version);
      return;
    case 'deleted':
      writer.varint(outcome.version);
      writer.u8(outcome.existed ? 1 : 0);
      return;
    case 'version-mismatch':
      // Versions start at 1, so 0 says that the key does not exist.
      writer.varint(outcome.currentVersion ?? 0);
      return;
    case 'result':
      writer.blob(outcome.data);
      return;
    case 'session-opened':
      writer.varint(outcome.session);
      return;
    case 'idempotency-key-reused':
    case 'store-full':
    case 'committed':
    case 'session-closed':
    case 'session-expired':
    case 'sequence-acknowledged':
    case 'sequence-reused':
    case 'session-full':
    case 'result-not-kept':
      return;
  }
}

/** Bytes of the result that an outcome carries. */
export function resultBytes(outcome: Outcome): number {
  return outcome.status === 'result' ? outcome.data.length : 0;
}

/** A 32-bit hash of an outcome. */
export function outcomeHash(outcome: Outcome): number {
  const code = STATUS_CODES[outcome.status];
  switch (outcome.status) {
    case 'written':
      return mix(code ^ mix(outcome.version));
    case 'deleted':
      return mix(code ^ mix(outcome.version * 2 + (outcome.existed ? 1 : 0)));
    case 'version-mismatch':
      return mix(code ^ mix(outcome.currentVersion ?? 0));
    case 'session-opened':
      return mix(code ^ mix(outcome.session));
    case 'result':
      return mix(code ^ crc32(outcome.data));
    case 'idempotency-key-reused':
    case 'store-full':
    case 'committed':
    case 'session-closed':
    case 'session-expired':
    case 'sequence-acknowledged':
    case 'sequence-reused':
    case 'session-full':
    case 'result-not-kept':
      return mix(code);
  }
}

/** Reads an outcome. Its bytes are a copy. @throws DwError `frame-malformed`. */
export function readOutcome(reader: ByteReader): Outcome {
  const code = reader.u8();
  switch (code) {
    case STATUS_CODES.written:
      return { status: 'written', version: reader.varint() };
    case STATUS_CODES.deleted:
      return { status: 'deleted', version: reader.varint(), existed: reader.u8() === 1 };
    case STATUS_CODES['version-mismatch']:
      return { status: 'version-mismatch', currentVersion: reader.varint() || undefined };
    case STATUS_CODES['idempotency-key-reused']:
      return { status: 'idempotency-key-reused' };
    case STATUS_CODES['store-full']:
      return { status: 'store-full' };
    case STATUS_CODES.committed:
      return { status: 'committed' };
    case STATUS_CODES.result:
      return { status: 'result', data: Uint8Array.from(reader.blob(MAX_RESULT_BYTES)) };
    case STATUS_CODES['session-opened']:
      return { status: 'session-opened', session: reader.varint() };
    case STATUS_CODES['session-closed']:
      return { status: 'session-closed' };
    case STATUS_CODES['session-expired']:
      return { status: 'session-expired' };
    case STATUS_CODES['sequence-acknowledged']:
      return { status: 'sequence-acknowledged' };
    case STATUS_CODES['sequence-reused']:
      return { status: 'sequence-reused' };
    case STATUS_CODES['session-full']:
      return { status: 'session-full' };
    case STATUS_CODES['result-not-kept']:
      return { status: 'result-not-kept' };
    default:
      throw malformed('an outcome', `there is no status ${code}`);
  }
}
