// What goes before a command in an entry when it is to be applied once: its place in a session, or an idempotency key.

import { createHash } from 'node:crypto';
import { ByteReader } from '../../codec/byte-reader.js';
import { ByteWriter } from '../../codec/byte-writer.js';
import { malformed } from '../../errors.js';
import type { SessionCommand } from './session-table.js';

/** Longest idempotency key in characters. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 128;
/** Characters are at most three UTF-8 bytes for each UTF-16 code unit. */
export const MAX_IDEMPOTENCY_KEY_BYTES = MAX_IDEMPOTENCY_KEY_LENGTH * 3;
/** Longest place of a command in a session, in bytes. */
export const SESSION_PLACE_BYTES = 24;
const FINGERPRINT_BYTES = 16;
const SESSION_WHAT = 'a command of a session';
const KEYED_WHAT = 'a command with an idempotency key';

/** A command behind a header. The bytes are a view of the entry's. */
export interface HeadedCommand<H> {
  readonly header: H;
  readonly command: Buffer;
}

/** A command with its place in a session, as bytes. */
export function encodeSessionCommand(header: SessionCommand, command: Uint8Array): Buffer {
  const writer = new ByteWriter(command.length + SESSION_PLACE_BYTES);
  writeSessionPlace(writer, header);
  writer.raw(command);
  return writer.finish();
}

/** Writes what comes before a command in {@link encodeSessionCommand}. */
export function writeSessionPlace(writer: ByteWriter, header: SessionCommand): void {
  writer.varint(header.session);
  writer.varint(header.sequence);
  writer.varint(header.lowestWanted);
}

/** The same read back. @throws DwError `frame-malformed`. */
export function decodeSessionCommand(bytes: Uint8Array): SessionCommand & { readonly command: Buffer } {
  const reader = new ByteReader(bytes, SESSION_WHAT);
  return {
    session: reader.varint(),
    sequence: reader.varint(),
    lowestWanted: reader.varint(),
    command: reader.rest(),
  };
}

/** A command with an idempotency key and the fingerprint of the request, as bytes. */
export function encodeKeyedCommand(key: string, command: Uint8Array): Buffer {
  const writer = new ByteWriter(command.length + key.length + 24);
  writer.text(key);
  writer.raw(createHash('sha256').update(command).digest().subarray(0, FINGERPRINT_BYTES));
  writer.raw(command);
  return writer.finish();
}

/** The same read back. @throws DwError `frame-malformed`. */
export function decodeKeyedCommand(
  bytes: Uint8Array,
): HeadedCommand<{ readonly key: string; readonly fingerprint: string }> {
  const reader = new ByteReader(bytes, KEYED_WHAT);
  const key = reader.text(MAX_IDEMPOTENCY_KEY_BYTES);
  const fingerprint = reader.raw(FINGERPRINT_BYTES).toString('hex');
  return { header: { key, fingerprint }, command: reader.rest() };
}

/** The id of a session alone, as bytes: what closes one. */
export function encodeSessionId(session: number): Buffer {
  const writer = new ByteWriter(8);
  writer.varint(session);
  return writer.finish();
}

/** The same read back. @throws DwError `frame-malformed`. */
export function decodeSessionId(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, 'the id of a session');
  const session = reader.varint();
  if (reader.remaining > 0) throw malformed('the id of a session', 'it goes on after its end');
  return session;
}
