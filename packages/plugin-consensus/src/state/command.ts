// The commands of the key-value state machine, and the same as bytes: what a log entry of a key-value group carries.

import { createHash } from 'node:crypto';
import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';

/** Longest key in UTF-8 bytes. */
export const MAX_KEY_BYTES = 1_024;
/** Longest idempotency key in characters. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 128;
/** Characters are at most three UTF-8 bytes for each UTF-16 code unit. */
const MAX_IDEMPOTENCY_KEY_BYTES = MAX_IDEMPOTENCY_KEY_LENGTH * 3;
const FINGERPRINT_BYTES = 16;

const OP_PUT = 1;
const OP_DELETE = 2;
const IF_VERSION = 1;
const IF_ABSENT = 2;
const IDEMPOTENT = 4;

/** Under which condition a write takes place. */
export type WriteCondition = number | 'absent' | undefined;

/** Ties the retries of one request together. */
export interface Idempotency {
  readonly key: string;
  /** Hexadecimal hash of the request: the same key with another fingerprint is a mistake of the client. */
  readonly fingerprint: string;
}

/** A write to the key-value state. */
export type KeyValueCommand = {
  readonly key: string;
  readonly condition: WriteCondition;
  readonly idempotency: Idempotency | undefined;
} & ({ readonly op: 'put'; readonly value: Uint8Array } | { readonly op: 'delete' });

/** A command as bytes. A fingerprint is computed from the rest when there is an idempotency key. */
export function encodeCommand(
  op: 'put' | 'delete',
  key: string,
  value: Uint8Array | undefined,
  condition: WriteCondition,
  idempotencyKey: string | undefined,
): Buffer {
  const writer = new ByteWriter(key.length + (value?.length ?? 0) + 64);
  writer.u8(op === 'put' ? OP_PUT : OP_DELETE);
  writer.u8(
    (typeof condition === 'number' ? IF_VERSION : 0) |
      (condition === 'absent' ? IF_ABSENT : 0) |
      (idempotencyKey === undefined ? 0 : IDEMPOTENT),
  );
  writer.text(key);
  if (typeof condition === 'number') writer.varint(condition);
  if (idempotencyKey !== undefined) {
    writer.text(idempotencyKey);
    writer.raw(fingerprint(op, key, value, condition));
  }
  if (value !== undefined) writer.raw(value);
  return writer.finish();
}

function fingerprint(
  op: string,
  key: string,
  value: Uint8Array | undefined,
  condition: WriteCondition,
): Uint8Array {
  const hash = createHash('sha256').update(JSON.stringify([op, key, condition ?? null]));
  if (value !== undefined) hash.update(value);
  return hash.digest().subarray(0, FINGERPRINT_BYTES);
}

/** The key a command is about, without decoding the rest. @throws DwError `frame-malformed`. */
export function commandKey(bytes: Uint8Array): string {
  const reader = new ByteReader(bytes, 'a key-value command');
  reader.raw(2);
  return reader.text(MAX_KEY_BYTES);
}

/** Bytes as a command. The value is a view of them. @throws DwError `frame-malformed`. */
export function decodeCommand(bytes: Uint8Array): KeyValueCommand {
  const reader = new ByteReader(bytes, 'a key-value command');
  const op = reader.u8();
  const flags = reader.u8();
  const key = reader.text(MAX_KEY_BYTES);
  if (key.length === 0) throw malformed('a key-value command', 'its key is empty');
  const condition = flags & IF_VERSION ? reader.varint() : flags & IF_ABSENT ? 'absent' : undefined;
  const idempotency =
    flags & IDEMPOTENT
      ? {
          key: reader.text(MAX_IDEMPOTENCY_KEY_BYTES),
          fingerprint: reader.raw(FINGERPRINT_BYTES).toString('hex'),
        }
      : undefined;
  if (op === OP_PUT) return { op: 'put', key, condition, idempotency, value: reader.rest() };
  if (op !== OP_DELETE) throw malformed('a key-value command', `there is no operation ${op}`);
  reader.end();
  return { op: 'delete', key, condition, idempotency };
}
