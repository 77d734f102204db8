// What the two sides of a snapshot transfer say to each other: begin (answered with the first chunk that is wanted),
// chunks, end. Requests over the bulk lane, so that nothing of a transfer delays Raft's own messages.

import { ByteReader } from '../codec/byte-reader.js';
import { ByteWriter } from '../codec/byte-writer.js';
import { malformed } from '../errors.js';
import type { SnapshotMetadata } from '../raft/types.js';
import { DIGEST_BYTES, type SnapshotShape } from '../storage/snapshot-format.js';
import { readSnapshotMetadata, writeSnapshotMetadata } from './message-codec.js';

/** Channel of snapshot transfers. */
export const SNAPSHOT_CHANNEL = 'dw.raft.snapshot';

const WHAT = 'a snapshot transfer';
const BEGIN = 1;
const CHUNK = 2;
const END = 3;
const MAX_ID_BYTES = 256;

/** A snapshot is on its way. */
export interface TransferBegin {
  readonly kind: 'begin';
  /** Unlike that of any other transfer of this sender's life. */
  readonly transfer: number;
  readonly groupId: string;
  /** Term of the leader that sends. */
  readonly term: number;
  readonly metadata: SnapshotMetadata;
  readonly shape: SnapshotShape;
}

/** One request of a transfer. */
export type TransferRequest =
  | TransferBegin
  | {
      readonly kind: 'chunk';
      readonly transfer: number;
      readonly chunk: number;
      /** With its header. */
      readonly block: Uint8Array;
    }
  | { readonly kind: 'end'; readonly transfer: number };

/** A request as the parts of one payload. */
export function encodeTransfer(request: TransferRequest): readonly Uint8Array[] {
  const writer = new ByteWriter(request.kind === 'begin' ? 256 : 16);
  writer.u8(request.kind === 'begin' ? BEGIN : request.kind === 'chunk' ? CHUNK : END);
  writer.varint(request.transfer);
  if (request.kind === 'chunk') {
    writer.varint(request.chunk);
    return [writer.finish(), request.block];
  }
  if (request.kind === 'begin') {
    writer.text(request.groupId);
    writer.varint(request.term);
    writeSnapshotMetadata(writer, request.metadata);
    writer.varint(request.shape.bytes);
    writer.raw(Buffer.from(request.shape.digest, 'hex'));
  }
  return [writer.finish()];
}

/** A payload as a request. A chunk's block is a view of it. @throws DwError `frame-malformed`. */
export function decodeTransfer(payload: Uint8Array): TransferRequest {
  const reader = new ByteReader(payload, WHAT);
  const kind = reader.u8();
  const transfer = reader.varint();
  if (kind === CHUNK) return { kind: 'chunk', transfer, chunk: reader.varint(), block: reader.rest() };
  if (kind === BEGIN) {
    const groupId = reader.text(MAX_ID_BYTES);
    const term = reader.varint();
    const metadata = readSnapshotMetadata(reader);
    const shape = { bytes: reader.varint(), digest: reader.raw(DIGEST_BYTES).toString('hex') };
    reader.end();
    return { kind: 'begin', transfer, groupId, term, metadata, shape };
  }
  if (kind !== END) throw malformed(WHAT, `there is no request of kind ${kind}`);
  reader.end();
  return { kind: 'end', transfer };
}

/** The answer to a begin. */
export function encodeWanted(chunk: number): Uint8Array {
  const writer = new ByteWriter(8);
  writer.varint(chunk);
  return writer.finish();
}

/** The first chunk that the other side wants. @throws DwError `frame-malformed`. */
export function decodeWanted(answer: Uint8Array): number {
  const reader = new ByteReader(answer, WHAT);
  const chunk = reader.varint();
  reader.end();
  return chunk;
}
