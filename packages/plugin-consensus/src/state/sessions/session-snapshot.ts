// The group's own part of a snapshot, which comes before that of its state machine: the sessions, the idempotency keys,
// and their counts and hash, which the reader compares with what it has built.

import { ByteReader } from '../../codec/byte-reader.js';
import { snapshotDamaged } from '../../errors.js';
import { readOutcome, writeOutcome } from '../outcome.js';
import { BlockReader, block, blockWriter, blocksOf } from '../snapshot-blocks.js';
import type { HashPair } from '../state-hash.js';
import { addHash } from '../state-hash.js';
import { MAX_IDEMPOTENCY_KEY_BYTES } from './command-header.js';
import type { KeyedRecord, TableView } from './idempotency-table.js';
import { IdempotencyTable } from './idempotency-table.js';
import type { RememberedCommand, SessionBounds, SessionRecord } from './session-table.js';
import { SessionTable } from './session-table.js';

const FORMAT_VERSION = 1;
const MAX_FINGERPRINT_BYTES = 64;
/** Kinds of blocks; unlike those of the key-value state, so that one is not taken for the other. */
const HEADER = 65;
const SESSIONS = 66;
const KEYS = 67;
const END = 68;

/** The tables of a group. */
export interface SessionTables {
  readonly sessions: SessionTable;
  readonly keys: IdempotencyTable;
}

/** Where the state of the machine is: in the bytes that follow, or on the disk of the machine itself. */
export type MachinePart = 'follows' | 'kept';

const MACHINE_PARTS: readonly MachinePart[] = ['follows', 'kept'];

/** The chunks of the tables as they are at the time of the call. */
export function sessionSnapshot(
  { sessions, keys }: SessionTables,
  machine: MachinePart,
): Iterable<Uint8Array> {
  return write(sessions.view(), keys.view(), addHash(sessions.hash, keys.hash), machine);
}

function* write(
  sessions: TableView<SessionRecord>,
  keys: TableView<KeyedRecord>,
  hash: HashPair,
  machine: MachinePart,
): Generator<Uint8Array> {
  const header = blockWriter(HEADER, 16);
  header.u8(FORMAT_VERSION);
  header.u8(MACHINE_PARTS.indexOf(machine));
  yield block(header);
  yield* blocksOf(SESSIONS, sessions.records(), (writer, session) => {
    writer.varint(session.id);
    writer.varint(session.lastUsed);
    writer.varint(session.lowestWanted);
    writer.varint(session.commands.length);
    for (const { sequence, fingerprint, outcome } of session.commands) {
      writer.varint(sequence);
      writer.u32(fingerprint);
      writeOutcome(writer, outcome);
    }
  });
  yield* blocksOf(KEYS, keys.records(), (writer, { key, fingerprint, lastUsed, outcome }) => {
    writer.text(key);
    writer.text(fingerprint);
    writer.varint(lastUsed);
    writeOutcome(writer, outcome);
  });
  const end = blockWriter(END, 32);
  end.varint(sessions.size);
  end.varint(keys.size);
  end.u32(hash.a);
  end.u32(hash.b);
  yield block(end);
}

/** Reads the group's part from chunks cut anywhere. All methods throw DwError `snapshot-damaged`. */
export class SessionRestorer {
  /** What was read so far. */
  readonly tables: SessionTables;
  private readonly blocks = new BlockReader();
  private seenHeader = false;
  private ended = false;
  private machinePart: MachinePart = 'follows';

  constructor(bounds: SessionBounds) {
    this.tables = { sessions: new SessionTable(bounds), keys: new IdempotencyTable() };
  }

  /** Where the state of the machine is, once the group's part is whole. */
  get machine(): MachinePart {
    return this.machinePart;
  }

  /** Whether the group's part is whole. */
  get done(): boolean {
    return this.ended;
  }

  /** Takes the next chunk. @returns what in it comes after the group's part; undefined when nothing does. */
  push(chunk: Uint8Array): Uint8Array | undefined {
    if (this.ended) return chunk;
    this.blocks.push(chunk);
    for (let body = this.blocks.next(); body !== undefined; body = this.blocks.next()) {
      this.readBlock(body);
      if (this.ended) return this.blocks.rest();
    }
    return undefined;
  }

  private readBlock(body: Buffer): void {
    try {
      const reader = new ByteReader(body, 'a snapshot block');
      const kind = reader.u8();
      if ((kind === HEADER) === this.seenHeader) throw snapshotDamaged('its header is missing or repeated');
      if (kind === HEADER) this.readHeader(reader);
      else if (kind === SESSIONS) this.readSessions(reader);
      else if (kind === KEYS) this.readKeys(reader);
      else if (kind === END) this.readEnd(reader);
      else throw snapshotDamaged(`there is no block of kind ${kind}`);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'snapshot-damaged') throw error;
      throw snapshotDamaged((error as Error).message);
    }
  }

  private readHeader(reader: ByteReader): void {
    const version = reader.u8();
    if (version !== FORMAT_VERSION) throw snapshotDamaged(`its format ${version} is not known`);
    const machine = MACHINE_PARTS[reader.u8()];
    if (machine === undefined) throw snapshotDamaged('its header does not say where the state is');
    reader.end();
    this.machinePart = machine;
    this.seenHeader = true;
  }

  private readSessions(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const id = reader.varint();
      const lastUsed = reader.varint();
      const lowestWanted = reader.varint();
      const commands: RememberedCommand[] = [];
      for (let left = reader.varint(); left > 0; left--) {
        const sequence = reader.varint();
        const fingerprint = reader.u32() | 0;
        commands.push({ sequence, fingerprint, outcome: readOutcome(reader) });
      }
      if (!this.tables.sessions.restore({ id, lastUsed, lowestWanted, commands })) {
        throw snapshotDamaged('its sessions are out of order');
      }
    }
  }

  private readKeys(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const key = reader.text(MAX_IDEMPOTENCY_KEY_BYTES);
      const fingerprint = reader.text(MAX_FINGERPRINT_BYTES);
      const lastUsed = reader.varint();
      this.tables.keys.remember({ key, fingerprint, lastUsed, outcome: readOutcome(reader) });
    }
  }

  private readEnd(reader: ByteReader): void {
    const { sessions, keys } = this.tables;
    const found = addHash(sessions.hash, keys.hash);
    const same =
      reader.varint() === sessions.size &&
      reader.varint() === keys.size &&
      reader.u32() === found.a &&
      reader.u32() === found.b;
    if (!same) throw snapshotDamaged('its sessions are not those that were counted');
    reader.end();
    this.ended = true;
  }
}
