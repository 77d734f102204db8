// The bytes of a snapshot of the key-value state. Equal states give equal bytes. The last block holds the count and the
// hash of the state, which the reader compares with what it has built.

import { ByteReader } from '../codec/byte-reader.js';
import { snapshotDamaged } from '../errors.js';
import { MAX_KEY_BYTES } from './command.js';
import type { OrderedView } from './cow-ordered-map.js';
import {
  BlockReader,
  type ChunkMemory,
  MAX_BLOCK_BYTES,
  block,
  blockWriter,
  blocksOf,
} from './snapshot-blocks.js';
import type { HashPair } from './state-hash.js';
import { sameHash } from './state-hash.js';

const FORMAT_VERSION = 2;

const HEADER = 1;
const RECORDS = 3;
const END = 4;

/** The chunks of a snapshot, made as they are pulled. */
export function* writeSnapshot(
  records: OrderedView<{ readonly value: Uint8Array; readonly version: number }>,
  hash: HashPair,
  memory: ChunkMemory,
): Generator<Uint8Array> {
  const header = blockWriter(HEADER, 16);
  header.u8(FORMAT_VERSION);
  yield block(header);
  yield* blocksOf(
    RECORDS,
    records.entries(),
    (writer, [key, record]) => {
      writer.text(key);
      writer.varint(record.version);
      writer.blob(record.value);
    },
    memory,
  );
  const end = blockWriter(END, 32);
  end.varint(records.size);
  end.u32(hash.a);
  end.u32(hash.b);
  yield block(end);
}

/** Reads a snapshot from chunks cut anywhere. All methods throw DwError `snapshot-damaged`. */
export class SnapshotRestorer {
  private readonly blocks = new BlockReader();
  private seenHeader = false;
  private end: { readonly records: number; readonly hash: HashPair } | undefined;

  constructor(
    /** Returns false when the key does not come after the one before. */
    private readonly addRecord: (key: string, value: Uint8Array, version: number) => boolean,
  ) {}

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    this.blocks.push(chunk);
    for (let body = this.blocks.next(); body !== undefined; body = this.blocks.next()) this.readBlock(body);
  }

  /** Compares what was read with what the writer counted. */
  finish(records: number, hash: HashPair): void {
    if (this.end === undefined || this.blocks.partial) throw snapshotDamaged('it ends early');
    const { end } = this;
    if (end.records === records && sameHash(end.hash, hash)) return;
    throw snapshotDamaged(`it should hold ${end.records} keys of another hash`);
  }

  private readBlock(body: Buffer): void {
    try {
      const reader = new ByteReader(body, 'a snapshot block');
      const kind = reader.u8();
      if (this.end !== undefined) throw snapshotDamaged('it goes on after its end');
      if ((kind === HEADER) === this.seenHeader) throw snapshotDamaged('its header is missing or repeated');
      if (kind === HEADER) this.readHeader(reader);
      else if (kind === RECORDS) this.readRecords(reader);
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
    this.seenHeader = true;
  }

  private readRecords(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const key = reader.text(MAX_KEY_BYTES);
      const version = reader.varint();
      if (!this.addRecord(key, reader.blob(MAX_BLOCK_BYTES), version)) {
        throw snapshotDamaged('its keys are out of order');
      }
    }
  }

  private readEnd(reader: ByteReader): void {
    const records = reader.varint();
    this.end = { records, hash: { a: reader.u32(), b: reader.u32() } };
    reader.end();
  }
}
