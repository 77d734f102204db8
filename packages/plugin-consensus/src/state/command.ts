// The commands of the key-value state machine, and the same as bytes: what a log entry of a key-value group carries.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';

/** Longest key in UTF-8 bytes. */
export const MAX_KEY_BYTES = 1_024;

/** Bytes of a command besides its key and value, and some more for a key that is not ASCII. */
export const COMMAND_ROOM = 64;

const OP_PUT = 1;
const OP_DELETE = 2;
const IF_VERSION = 1;
const IF_ABSENT = 2;

/** Under which condition a write takes place. */
export type WriteCondition = number | 'absent' | undefined;

/** A write to the key-value state. */
export type KeyValueCommand = {
  readonly key: string;
  readonly condition: WriteCondition;
} & ({ readonly op: 'put'; readonly value: Uint8Array } | { readonly op: 'delete' });

/** A command as bytes: equal commands give equal bytes. */
export function encodeCommand(
  op: 'put' | 'delete',
  key: string,
  value: Uint8Array | undefined,
  condition: WriteCondition,
): Buffer {
  const writer = new ByteWriter(key.length + (value?.length ?? 0) + COMMAND_ROOM);
  writeCommand(writer, op, key, value, condition);
  return writer.finish();
}

/** Writes what {@link encodeCommand} gives behind what is there already. */
export function writeCommand(
  writer: ByteWriter,
  op: 'put' | 'delete',
  key: string,
  value: Uint8Array | undefined,
  condition: WriteCondition,
): void {
  writer.u8(op === 'put' ? OP_PUT : OP_DELETE);
  writer.u8(typeof condition === 'number' ? IF_VERSION : condition === 'absent' ? IF_ABSENT : 0);
  writer.text(key);
  if (typeof condition === 'number') writer.varint(condition);
  if (value !== undefined) writer.raw(value);
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
  if ((flags & ~(IF_VERSION | IF_ABSENT)) !== 0)
    throw malformed('a key-value command', `its flags are ${flags}`);
  const condition = flags & IF_VERSION ? reader.varint() : flags & IF_ABSENT ? 'absent' : undefined;
  if (op === OP_PUT) return { op: 'put', key, condition, value: reader.restView() };
  if (op !== OP_DELETE) throw malformed('a key-value command', `there is no operation ${op}`);
  reader.end();
  return { op: 'delete', key, condition };
}
