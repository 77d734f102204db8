// Raft messages as bytes. Many messages of many groups travel in one frame: all that a turn has for one peer.
//
// A frame says neither who sent a message nor for whom it is: the transport knows the first (and a peer cannot claim
// to be another), and the second is this node. A snapshot's message does not travel here but with its data.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';
import type { ConfState, Entry, Message, MessageType, SnapshotMetadata } from '../raft/types.js';

const FORMAT_VERSION = 1;
const WHAT = 'a frame of Raft messages';
const MAX_ID_BYTES = 256;
const MAX_CONTEXT_BYTES = 512;
const MAX_MEMBERS = 1_024;
/** An entry takes at least a byte each for term, index, type and length. */
const MIN_ENTRY_BYTES = 4;

/** Entries at least this large are sent as they lie; smaller ones are copied into the frame. */
const COPY_BELOW_BYTES = 8 * 1_024;

const HAS_VOTE = 1;
const HAS_CONTEXT = 2;
const REJECT = 4;
const HAS_ENTRIES = 8;

/** The messages that cross the network. What is missing is local to a node, or has a way of its own (`snapshot`). */
const CODES: Partial<Record<MessageType, number>> = {
  append: 1,
  'append-response': 2,
  vote: 3,
  'vote-response': 4,
  'pre-vote': 5,
  'pre-vote-response': 6,
  heartbeat: 7,
  'heartbeat-response': 8,
  'timeout-now': 9,
  'read-index': 10,
  'read-index-response': 11,
  'transfer-leader': 12,
};
const TYPES = new Map<number, MessageType>(
  Object.entries(CODES).map(([type, code]) => [code, type as MessageType]),
);

/** Whether messages of this type travel in frames. */
export function travels(type: MessageType): boolean {
  return CODES[type] !== undefined;
}

/** A message and the group it is for. */
export interface GroupMessage {
  readonly groupId: string;
  readonly message: Message;
}

/** Bytes that a frame begins with room for. */
const FRAME_ROOM_BYTES = 1_024;
/** A frame that has become larger lets its memory go when it is begun anew. */
const MAX_KEPT_BYTES = 128 * 1_024;

/** Collects the messages for one peer into the parts of one frame. */
export class MessageFrame {
  private parts: Uint8Array[] = [];
  private writer = new ByteWriter(FRAME_ROOM_BYTES);
  private partBytes = 0;

  constructor() {
    this.writer.u8(FORMAT_VERSION);
  }

  /** Begins a new frame in the same memory: what {@link finish} gave is void. */
  restart(): void {
    if (this.parts.length > 1 || this.writer.length > MAX_KEPT_BYTES) {
      this.writer = new ByteWriter(FRAME_ROOM_BYTES);
    } else {
      this.writer.rewind();
    }
    this.parts = [];
    this.partBytes = 0;
    this.writer.u8(FORMAT_VERSION);
  }

  /** Bytes of the frame so far. */
  get bytes(): number {
    return this.partBytes + this.writer.length;
  }

  /** Adds a message whose type {@link travels}. */
  add(groupId: string, message: Message): void {
    const { writer } = this;
    writer.text(groupId);
    writer.u8(CODES[message.type] ?? 0);
    writer.u8(
      (message.vote === undefined ? 0 : HAS_VOTE) |
        (message.context === '' ? 0 : HAS_CONTEXT) |
        (message.reject ? REJECT : 0) |
        (message.entries.length === 0 ? 0 : HAS_ENTRIES),
    );
    writer.varint(message.term);
    writer.varint(message.logTerm);
    writer.varint(message.index);
    writer.varint(message.commit);
    writer.varint(message.rejectHint);
    if (message.vote !== undefined) writer.text(message.vote);
    if (message.context !== '') writer.text(message.context);
    if (message.entries.length > 0) this.addEntries(message.entries);
  }

  /** The frame. Add nothing after it. */
  finish(): readonly Uint8Array[] {
    if (this.writer.length > 0) this.parts.push(this.writer.finish());
    return this.parts;
  }

  private addEntries(entries: readonly Entry[]): void {
    this.writer.varint(entries.length);
    for (const entry of entries) {
      const { writer } = this;
      writer.varint(entry.term);
      writer.varint(entry.index);
      writer.u8(entry.type === 'normal' ? 0 : 1);
      writer.varint(entry.data.length);
      if (entry.data.length < COPY_BELOW_BYTES) {
        writer.raw(entry.data);
        continue;
      }
      this.cut();
      this.parts.push(entry.data);
      this.partBytes += entry.data.length;
    }
  }

  private cut(): void {
    if (this.writer.length === 0) return;
    this.parts.push(this.writer.finish());
    this.partBytes += this.writer.length;
    this.writer = new ByteWriter(512);
  }
}

/**
 * The messages of a frame. Entries are views of `bytes`: give a copy if the frame is only lent.
 * @throws DwError `frame-malformed`.
 */
export function decodeFrame(bytes: Uint8Array, from: string, to: string): GroupMessage[] {
  const reader = new ByteReader(bytes, WHAT);
  const version = reader.u8();
  if (version !== FORMAT_VERSION) throw malformed(WHAT, `its format ${version} is not known`);
  const messages: GroupMessage[] = [];
  while (reader.remaining > 0) messages.push(readMessage(reader, from, to));
  return messages;
}

function readMessage(reader: ByteReader, from: string, to: string): GroupMessage {
  const groupId = reader.name(MAX_ID_BYTES);
  const code = reader.u8();
  const type = TYPES.get(code);
  if (type === undefined) throw malformed(WHAT, `there is no message type ${code}`);
  const flags = reader.u8();
  return {
    groupId,
    message: {
      type,
      from,
      to,
      term: reader.varint(),
      logTerm: reader.varint(),
      index: reader.varint(),
      commit: reader.varint(),
      rejectHint: reader.varint(),
      vote: flags & HAS_VOTE ? reader.text(MAX_ID_BYTES) : undefined,
      context: flags & HAS_CONTEXT ? reader.text(MAX_CONTEXT_BYTES) : '',
      entries: flags & HAS_ENTRIES ? readEntries(reader) : [],
      snapshot: undefined,
      reject: (flags & REJECT) !== 0,
    },
  };
}

function readEntries(reader: ByteReader): Entry[] {
  const count = reader.varint();
  if (count * MIN_ENTRY_BYTES > reader.remaining) throw malformed(WHAT, `it claims ${count} entries`);
  const entries: Entry[] = [];
  for (let n = 0; n < count; n++) {
    const term = reader.varint();
    const index = reader.varint();
    const type = reader.u8() === 0 ? 'normal' : 'conf-change';
    entries.push({ term, index, type, data: reader.blob(Number.MAX_SAFE_INTEGER) });
  }
  return entries;
}

/** Writes which entries a snapshot stands for. */
export function writeSnapshotMetadata(writer: ByteWriter, metadata: SnapshotMetadata): void {
  writer.varint(metadata.index);
  writer.varint(metadata.term);
  const { conf } = metadata;
  for (const ids of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.witnesses]) {
    writer.varint(ids.length);
    for (const id of ids) writer.text(id);
  }
  writer.u8(conf.autoLeave ? 1 : 0);
}

/** Reads what {@link writeSnapshotMetadata} wrote. @throws DwError `frame-malformed`. */
export function readSnapshotMetadata(reader: ByteReader): SnapshotMetadata {
  const index = reader.varint();
  const term = reader.varint();
  const conf: ConfState = {
    voters: readIds(reader),
    votersOutgoing: readIds(reader),
    learners: readIds(reader),
    learnersNext: readIds(reader),
    witnesses: readIds(reader),
    autoLeave: reader.u8() === 1,
  };
  return { index, term, conf };
}

function readIds(reader: ByteReader): string[] {
  const count = reader.varint();
  if (count > MAX_MEMBERS) throw malformed('snapshot metadata', `it names ${count} members`);
  return Array.from({ length: count }, () => reader.text(MAX_ID_BYTES));
}
