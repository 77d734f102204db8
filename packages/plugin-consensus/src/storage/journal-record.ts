// What the node's journal says, one record a turn. Numbers are variable-length; large data is handed to the log as
// parts of its own, so that it is not copied here.
//
//   created  0, text id: the first record of every journal, so that an emptied one is told from a new one
//   turn     1, count, changes
//   kept     3, text id, position: whatever is below may have been dropped; then count, hard states of idle groups (as
//            changes). It repeats the id, since the record that had it may be dropped. Once it was 2, without the id.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { entryBytes } from '../raft/entry-size.js';
import type { Entry, EntryType, HardState, SnapshotMetadata } from '../raft/types.js';
import { readConfState } from './conf-state-codec.js';
import type { LogChange } from './log-change.js';
import { takeMemory } from './record-memory.js';

/** A record of the journal. */
export type JournalRecord =
  | { readonly kind: 'created'; readonly id: string }
  | { readonly kind: 'turn'; readonly changes: readonly LogChange[] }
  | {
      readonly kind: 'kept';
      /** The storage's id; empty in records of old. */
      readonly id: string;
      readonly from: number;
      readonly changes: readonly LogChange[];
    };

/** Data of this length and more is not copied into the record's buffer. */
const OWN_PART_BYTES = 4096;
const MAX_TEXT_BYTES = 1024;
const MAX_BLOB_BYTES = 64 * 1024 * 1024;
const EMPTY = new Uint8Array(0);

const KIND_CODES = { created: 0, turn: 1, kept: 3 } as const;
const KINDS = ['created', 'turn', 'kept', 'kept'] as const;
const KEPT_WITHOUT_ID = 2;
const HAS_HARD_STATE = 1;
const HAS_VOTE = 2;
const HAS_SNAPSHOT = 4;
const HAS_TRUNCATION = 8;
const HAS_ENTRIES = 16;
const ENTRY_TYPES: readonly EntryType[] = ['normal', 'conf-change'];

/** The parts of a record, to be appended as one. The first may be given back with `giveMemory` once nobody reads it. */
export function encodeJournalRecord(record: JournalRecord): readonly [Buffer, ...Uint8Array[]] {
  const parts = new PartsWriter(record.kind === 'created' ? 64 : sizeOfChanges(record.changes));
  parts.writer.u8(KIND_CODES[record.kind]);
  if (record.kind === 'created') {
    parts.writer.text(record.id);
  } else {
    if (record.kind === 'kept') {
      parts.writer.text(record.id);
      parts.writer.varint(record.from);
    }
    parts.writer.varint(record.changes.length);
    for (const change of record.changes) encodeChange(parts, change);
  }
  return parts.finish();
}

/** Decodes a record. Data are views of `bytes`. @throws DwError `frame-malformed`. */
export function decodeJournalRecord(bytes: Uint8Array): JournalRecord {
  const reader = new ByteReader(bytes, 'a record of the Raft journal');
  const code = reader.u8();
  const kind = KINDS[code];
  if (kind === undefined) throw new Error('a record of the Raft journal has an unknown kind');
  if (kind === 'created') {
    const id = reader.text(MAX_TEXT_BYTES);
    reader.end();
    return { kind, id };
  }
  const keptId = kind === 'kept' && code !== KEPT_WITHOUT_ID ? reader.text(MAX_TEXT_BYTES) : '';
  const from = kind === 'kept' ? reader.varint() : 0;
  const count = reader.varint();
  const changes: LogChange[] = [];
  for (let done = 0; done < count; done++) changes.push(decodeChange(reader));
  reader.end();
  return kind === 'turn' ? { kind, changes } : { kind, id: keptId, from, changes };
}

/** About how many bytes a change takes in the journal, never fewer. */
export function changeBytes(change: LogChange): number {
  let bytes = 256 + (change.hardState?.vote?.length ?? 0) * 3;
  if (change.snapshot !== undefined) bytes += JSON.stringify(change.snapshot.metadata.conf).length * 3;
  for (const entry of change.entries) bytes += entryBytes(entry);
  return bytes;
}

function sizeOfChanges(changes: readonly LogChange[]): number {
  let bytes = 64;
  for (const { entries } of changes) {
    bytes += 128 + entries.length * 16;
    for (const { data } of entries) if (data.length < OWN_PART_BYTES) bytes += data.length;
  }
  return bytes;
}

function encodeChange(parts: PartsWriter, change: LogChange): void {
  const { groupId, hardState, snapshot, truncateFrom, entries } = change;
  const { writer } = parts;
  writer.text(groupId);
  writer.u8(
    (hardState === undefined ? 0 : HAS_HARD_STATE) |
      (hardState?.vote === undefined ? 0 : HAS_VOTE) |
      (snapshot === undefined ? 0 : HAS_SNAPSHOT) |
      (truncateFrom === undefined ? 0 : HAS_TRUNCATION) |
      (entries.length === 0 ? 0 : HAS_ENTRIES),
  );
  if (hardState !== undefined) {
    writer.varint(hardState.term);
    writer.varint(hardState.commit);
    if (hardState.vote !== undefined) writer.text(hardState.vote);
  }
  if (snapshot !== undefined) {
    writer.varint(snapshot.metadata.index);
    writer.varint(snapshot.metadata.term);
    writer.blob(Buffer.from(JSON.stringify(snapshot.metadata.conf)));
  }
  if (truncateFrom !== undefined) writer.varint(truncateFrom);
  if (entries.length > 0) encodeEntries(parts, entries);
}

function encodeEntries(parts: PartsWriter, entries: readonly Entry[]): void {
  parts.writer.varint((entries[0] as Entry).index);
  parts.writer.varint(entries.length);
  for (const { type, term, data } of entries) {
    const { writer } = parts;
    writer.u8(ENTRY_TYPES.indexOf(type));
    writer.varint(term);
    writer.varint(data.length);
    if (data.length < OWN_PART_BYTES) writer.raw(data);
    else parts.own(data);
  }
}

function decodeChange(reader: ByteReader): LogChange {
  const groupId = reader.text(MAX_TEXT_BYTES);
  const flags = reader.u8();
  let hardState: HardState | undefined;
  if (flags & HAS_HARD_STATE) {
    const term = reader.varint();
    const commit = reader.varint();
    hardState = { term, commit, vote: flags & HAS_VOTE ? reader.text(MAX_TEXT_BYTES) : undefined };
  }
  const metadata = flags & HAS_SNAPSHOT ? decodeMetadata(reader) : undefined;
  const truncation = flags & HAS_TRUNCATION ? { truncateFrom: reader.varint() } : {};
  const entries = flags & HAS_ENTRIES ? decodeEntries(reader) : [];
  const snapshot = metadata === undefined ? undefined : { metadata, data: EMPTY };
  return { groupId, hardState, snapshot, entries, ...truncation };
}

function decodeMetadata(reader: ByteReader): SnapshotMetadata {
  const index = reader.varint();
  const term = reader.varint();
  const conf = readConfState(JSON.parse(reader.blob(MAX_BLOB_BYTES).toString('utf8')) as unknown);
  if (conf === undefined) throw new Error('a record of the Raft journal has a malformed configuration');
  return { index, term, conf };
}

function decodeEntries(reader: ByteReader): Entry[] {
  const first = reader.varint();
  const count = reader.varint();
  const entries: Entry[] = [];
  for (let at = 0; at < count; at++) {
    const type = ENTRY_TYPES[reader.u8()];
    if (type === undefined) throw new Error('a record of the Raft journal has an entry of unknown type');
    const term = reader.varint();
    entries.push({ index: first + at, term, type, data: reader.blob(MAX_BLOB_BYTES) });
  }
  return entries;
}

/** Gathers small pieces in buffers and leaves large ones where they are. */
class PartsWriter {
  writer: ByteWriter;
  #first: Buffer | undefined;
  readonly #others: Uint8Array[] = [];

  constructor(capacity: number) {
    this.writer = new ByteWriter(takeMemory(capacity));
  }

  own(data: Uint8Array): void {
    const before = this.writer.finish();
    if (this.#first === undefined) this.#first = before;
    else if (before.length > 0) this.#others.push(before);
    this.#others.push(data);
    this.writer = new ByteWriter();
  }

  finish(): readonly [Buffer, ...Uint8Array[]] {
    const rest = this.writer.finish();
    if (this.#first === undefined) return [rest];
    if (rest.length > 0) this.#others.push(rest);
    return [this.#first, ...this.#others];
  }
}
