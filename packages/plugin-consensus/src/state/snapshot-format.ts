// The bytes of a snapshot of the key-value state: blocks of a length and whole records, so that it can be written and
// read piece by piece with little memory. Equal states give equal bytes. The last block holds the counts and the hash
// of the state, which the reader compares with what it has built.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { snapshotDamaged } from '../errors.js';
import type { Outcome } from './outcome.js';
import { MAX_KEY_BYTES } from './command.js';
import { readOutcome, writeOutcome } from './outcome.js';
import type { OrderedView } from './cow-ordered-map.js';
import type { RememberedRequest } from './idempotency-table.js';
import type { HashPair } from './state-hash.js';

const FORMAT_VERSION = 1;
const BLOCK_BYTES = 64 * 1_024;
/** No block that we write is larger: one record with the largest value that any limit allows. */
const MAX_BLOCK_BYTES = 256 * 1_024 * 1_024;
const LENGTH_BYTES = 4;

const HEADER = 1;
const REQUESTS = 2;
const RECORDS = 3;
const END = 4;

/** The chunks of a snapshot, made as they are pulled. */
export function* writeSnapshot(
  requests: readonly RememberedRequest[],
  records: OrderedView<{ readonly value: Uint8Array; readonly version: number }>,
  hash: HashPair,
): Generator<Uint8Array> {
  const header = new ByteWriter(16);
  header.u8(HEADER);
  header.u8(FORMAT_VERSION);
  yield* block(header);

  let writer = new ByteWriter(BLOCK_BYTES);
  writer.u8(REQUESTS);
  for (const request of requests) {
    writer.text(request.key);
    writer.text(request.fingerprint);
    writeOutcome(writer, request.outcome);
    if (writer.length < BLOCK_BYTES) continue;
    yield* block(writer);
    writer = new ByteWriter(BLOCK_BYTES);
    writer.u8(REQUESTS);
  }
  yield* block(writer);

  writer = new ByteWriter(BLOCK_BYTES);
  writer.u8(RECORDS);
  for (const [key, record] of records.entries()) {
    writer.text(key);
    writer.varint(record.version);
    writer.blob(record.value);
    if (writer.length < BLOCK_BYTES) continue;
    yield* block(writer);
    writer = new ByteWriter(BLOCK_BYTES);
    writer.u8(RECORDS);
  }
  yield* block(writer);

  const end = new ByteWriter(32);
  end.u8(END);
  end.varint(requests.length);
  end.varint(records.size);
  end.u32(hash.a);
  end.u32(hash.b);
  yield* block(end);
}

function* block(writer: ByteWriter): Generator<Uint8Array> {
  const body = writer.finish();
  const length = Buffer.allocUnsafe(LENGTH_BYTES);
  length.writeUInt32LE(body.length);
  yield length;
  yield body;
}

/** Reads a snapshot from chunks cut anywhere. All methods throw DwError `snapshot-damaged`. */
export class SnapshotRestorer {
  /** Bytes received that do not make a whole block yet. */
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  /** What the next block has, once its length was read. */
  private expected: number | undefined;
  private seenHeader = false;
  private end: { readonly requests: number; readonly records: number; readonly hash: HashPair } | undefined;

  constructor(
    private readonly addRequest: (key: string, fingerprint: string, outcome: Outcome) => void,
    /** Returns false when the key does not come after the one before. */
    private readonly addRecord: (key: string, value: Uint8Array, version: number) => boolean,
  ) {}

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.pendingBytes += chunk.length;
    for (;;) {
      if (this.expected === undefined) {
        if (this.pendingBytes < LENGTH_BYTES) return;
        this.expected = this.take(LENGTH_BYTES).readUInt32LE(0);
        if (this.expected === 0 || this.expected > MAX_BLOCK_BYTES) {
          throw snapshotDamaged(`a block claims ${this.expected} bytes`);
        }
      }
      if (this.pendingBytes < this.expected) return;
      const body = this.take(this.expected);
      this.expected = undefined;
      this.readBlock(body);
    }
  }

  /** Compares what was read with what the writer counted. */
  finish(requests: number, records: number, hash: HashPair): void {
    if (this.end === undefined || this.pendingBytes > 0) throw snapshotDamaged('it ends early');
    const same =
      this.end.requests === requests &&
      this.end.records === records &&
      this.end.hash.a === hash.a &&
      this.end.hash.b === hash.b;
    if (!same) {
      throw snapshotDamaged(
        `it should hold ${this.end.records} keys and ${this.end.requests} requests of another hash`,
      );
    }
  }

  private take(bytes: number): Buffer {
    const joined = this.pending.length === 1 ? (this.pending[0] as Buffer) : Buffer.concat(this.pending);
    const rest = joined.subarray(bytes);
    this.pending = rest.length === 0 ? [] : [rest];
    this.pendingBytes = rest.length;
    return joined.subarray(0, bytes);
  }

  private readBlock(body: Buffer): void {
    try {
      const reader = new ByteReader(body, 'a snapshot block');
      const kind = reader.u8();
      if (this.end !== undefined) throw snapshotDamaged('it goes on after its end');
      if ((kind === HEADER) === this.seenHeader) throw snapshotDamaged('its header is missing or repeated');
      if (kind === HEADER) this.readHeader(reader);
      else if (kind === REQUESTS) this.readRequests(reader);
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

  private readRequests(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const key = reader.text(1_024);
      this.addRequest(key, reader.text(64), readOutcome(reader));
    }
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
    const requests = reader.varint();
    const records = reader.varint();
    this.end = { requests, records, hash: { a: reader.u32(), b: reader.u32() } };
    reader.end();
  }
}
