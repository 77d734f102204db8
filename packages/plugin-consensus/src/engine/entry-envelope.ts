// What the engine wraps around the data of a log entry: who proposed it and when, so that `apply` needs no clock of its
// own, and an id that ties the entry to the promise that waits for it.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';
import type { EntryKind } from '../state/group-state.js';

export type { EntryKind };

const FORMAT_VERSION = 2;
const MAX_NODE_ID_BYTES = 256;

/** In the order of their codes. */
const KINDS: readonly EntryKind[] = [
  'command',
  'opaque',
  'session-command',
  'keyed-command',
  'open-session',
  'close-session',
];

/** Longest envelope around the data, in bytes. */
export const MAX_ENVELOPE_BYTES = 2 + 8 + 2 + MAX_NODE_ID_BYTES + 8;

/** An entry's data with what the engine adds. */
export interface EntryEnvelope {
  readonly kind: EntryKind;
  /** Unique among the proposals of `proposer` while it runs. */
  readonly proposalId: number;
  readonly proposer: string;
  /** Milliseconds since 1970 UTC at the proposer. */
  readonly time: number;
  readonly data: Uint8Array;
}

/** The envelope as bytes: one copy of the data. */
export function encodeEnvelope(envelope: EntryEnvelope): Buffer {
  const writer = new ByteWriter(envelope.data.length + envelope.proposer.length + 32);
  writer.u8(FORMAT_VERSION);
  writer.u8(KINDS.indexOf(envelope.kind));
  writer.varint(envelope.proposalId);
  writer.text(envelope.proposer);
  writer.f64(envelope.time);
  writer.raw(envelope.data);
  return writer.finish();
}

/** Bytes as an envelope, whose data is a view of them. @throws DwError `frame-malformed`. */
export function decodeEnvelope(bytes: Uint8Array): EntryEnvelope {
  const reader = new ByteReader(bytes, 'a log entry');
  const version = reader.u8();
  const kind = reader.u8();
  if (version !== FORMAT_VERSION || kind >= KINDS.length)
    throw malformed('a log entry', `format ${version}.${kind}`);
  return {
    kind: KINDS[kind] as EntryKind,
    proposalId: reader.varint(),
    proposer: reader.name(MAX_NODE_ID_BYTES),
    time: reader.f64(),
    data: reader.rest(),
  };
}
