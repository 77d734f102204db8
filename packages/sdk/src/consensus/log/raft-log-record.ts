// What one record of a single-file Raft log says. Numbers are variable-length.
//
//   entry     0, type, term, index, data
//   state     1, term, 1 and the vote or 0
//   truncate  2, index: entries from it on are void
//   base      3, index and term of the last entry that was compacted away, then a state: what stood before it may go

import { ByteReader, ByteWriter } from '../../codec/index.js';
import type { RaftEntryType, RaftLogEntry, RaftPersistentState } from '../raft-log-store.js';

/** The last entry that is not kept. */
export interface RaftLogBase {
  readonly index: number;
  readonly term: number;
}

/** A record. */
export type RaftLogRecord =
  | { readonly kind: 'entry'; readonly entry: RaftLogEntry }
  | { readonly kind: 'state'; readonly state: RaftPersistentState }
  | { readonly kind: 'truncate'; readonly index: number }
  | { readonly kind: 'base'; readonly base: RaftLogBase; readonly state: RaftPersistentState };

const KINDS = ['entry', 'state', 'truncate', 'base'] as const;
const TYPES: readonly RaftEntryType[] = ['normal', 'conf-change'];
const MAX_TEXT_BYTES = 1024;

/** The parts of a record, to be appended as one. An entry's data are not copied. */
export function encodeRaftLogRecord(record: RaftLogRecord): readonly Uint8Array[] {
  const writer = new ByteWriter(64);
  writer.u8(KINDS.indexOf(record.kind));
  switch (record.kind) {
    case 'entry':
      writer.u8(TYPES.indexOf(record.entry.type));
      writer.varint(record.entry.term);
      writer.varint(record.entry.index);
      return [writer.finish(), record.entry.data];
    case 'state':
      writeState(writer, record.state);
      break;
    case 'truncate':
      writer.varint(record.index);
      break;
    case 'base':
      writer.varint(record.base.index);
      writer.varint(record.base.term);
      writeState(writer, record.state);
      break;
  }
  return [writer.finish()];
}

/** Decodes a record. An entry's data are a view of `bytes`. @throws DwError `frame-malformed`; Error for an unknown kind. */
export function decodeRaftLogRecord(bytes: Uint8Array): RaftLogRecord {
  const reader = new ByteReader(bytes, 'a record of a Raft log');
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new Error('it is of unknown kind');
  switch (kind) {
    case 'entry': {
      const type = TYPES[reader.u8()];
      if (type === undefined) throw new Error('it is an entry of unknown type');
      const term = reader.varint();
      const index = reader.varint();
      return { kind, entry: { index, term, type, data: reader.rest() } };
    }
    case 'state':
      return ended(reader, { kind, state: readState(reader) });
    case 'truncate':
      return ended(reader, { kind, index: reader.varint() });
    case 'base': {
      const base = { index: reader.varint(), term: reader.varint() };
      return ended(reader, { kind, base, state: readState(reader) });
    }
  }
}

function writeState(writer: ByteWriter, state: RaftPersistentState): void {
  writer.varint(state.term);
  writer.u8(state.votedFor === undefined ? 0 : 1);
  if (state.votedFor !== undefined) writer.text(state.votedFor);
}

function readState(reader: ByteReader): RaftPersistentState {
  const term = reader.varint();
  return { term, votedFor: reader.u8() === 1 ? reader.text(MAX_TEXT_BYTES) : undefined };
}

function ended(reader: ByteReader, record: RaftLogRecord): RaftLogRecord {
  reader.end();
  return record;
}
