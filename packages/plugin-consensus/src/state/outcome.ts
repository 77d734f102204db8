// What became of a command, and the same as bytes: what the proposer is told, and what a retry is told again. One union
// for all state machines, so that answers travel between nodes and lie in snapshots without anybody knowing whose they are.

import type { ByteReader } from '../codec/byte-reader.js';
import type { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';

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
  /** A plugin's state machine applied the command and answered with these bytes. */
  | { readonly status: 'result'; readonly data: Uint8Array };

const STATUS_CODES = {
  written: 1,
  deleted: 2,
  'version-mismatch': 3,
  'idempotency-key-reused': 4,
  'store-full': 5,
  committed: 6,
  result: 7,
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
    case 'idempotency-key-reused':
    case 'store-full':
    case 'committed':
      return;
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
    default:
      throw malformed('an outcome', `there is no status ${code}`);
  }
}
