// The bytes of a store's log records. One record is one atomic batch: a head, then a head and a path for each
// operation, then the data of all operations.
//
//   0   u8 version of this format, u8 0, u16 number of operations, u32 0
//   8   u64 the last version number given out when this was written, for a counter that survives deletes
//   16  for each operation: u8 type, u8 0, u16 bytes of the path, u32 bytes of data, u64 version, u64 generation,
//       u64 where in the value the data starts; then the path
//
// A value's generation is the version of the write that made it. It ties appended and moved parts to their value,
// also when the record of that write has been let go of, because what it held was moved.

import { getPosition, setPosition, viewOf } from '../log/log-format.js';
import { storeDamaged } from '../errors.js';

/** What an operation in a record does. `move`: these bytes of the value are here from now on. */
export type RecordedType = 'write' | 'delete' | 'append' | 'move';

/** One operation in a record. */
export interface RecordedOperation {
  readonly type: RecordedType;
  readonly path: string;
  readonly version: number;
  readonly generation: number;
  /** Where in the value the data starts. */
  readonly start: number;
  /** Bytes of data. */
  readonly length: number;
  /** Where in the record the data starts. */
  readonly offset: number;
}

/** A record read back. */
export interface StoreRecord {
  readonly lastVersion: number;
  readonly operations: readonly RecordedOperation[];
}

/** Most operations in one record. */
export const MAX_OPERATIONS = 10_000;
/** Bytes a record needs beside data, at most. */
export const MAX_HEAD_BYTES = 16 + MAX_OPERATIONS * (32 + 1024);

const FORMAT = 1;
const HEAD_BYTES = 16;
const OPERATION_BYTES = 32;
const TYPES: readonly RecordedType[] = ['write', 'delete', 'append', 'move'];

/** Makes the head of a record, and the operations with the offsets that their data gets behind it. */
export function encodeStoreRecord(
  lastVersion: number,
  operations: readonly Omit<RecordedOperation, 'offset'>[],
): { readonly head: Buffer; readonly operations: readonly RecordedOperation[] } {
  const headBytes = operations.reduce((sum, { path }) => sum + OPERATION_BYTES + path.length, HEAD_BYTES);
  const head = Buffer.alloc(headBytes);
  const view = viewOf(head);
  view.setUint8(0, FORMAT);
  view.setUint16(2, operations.length, true);
  setPosition(view, 8, lastVersion);
  let at = HEAD_BYTES;
  let offset = headBytes;
  const placed: RecordedOperation[] = [];
  for (const operation of operations) {
    view.setUint8(at, TYPES.indexOf(operation.type) + 1);
    view.setUint16(at + 2, operation.path.length, true);
    view.setUint32(at + 4, operation.length, true);
    setPosition(view, at + 8, operation.version);
    setPosition(view, at + 16, operation.generation);
    setPosition(view, at + 24, operation.start);
    // Paths are ASCII by rule, so a character is a byte.
    head.write(operation.path, at + OPERATION_BYTES, 'latin1');
    at += OPERATION_BYTES + operation.path.length;
    placed.push({ ...operation, offset });
    offset += operation.length;
  }
  return { head, operations: placed };
}

/** Reads a record. Its bytes were verified by the log. @throws DwError `store-damaged` when they are no store's record. */
export function decodeStoreRecord(position: number, bytes: Uint8Array): StoreRecord {
  const fail = (): never => {
    throw storeDamaged(`the record at log position ${position} is not one of a store`);
  };
  if (bytes.byteLength < HEAD_BYTES || bytes[0] !== FORMAT) return fail();
  const view = viewOf(bytes);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint16(2, true);
  const read: Omit<RecordedOperation, 'offset'>[] = [];
  let at = HEAD_BYTES;
  for (let index = 0; index < count; index++) {
    if (at + OPERATION_BYTES > bytes.byteLength) return fail();
    const type = TYPES[view.getUint8(at) - 1];
    const pathEnd = at + OPERATION_BYTES + view.getUint16(at + 2, true);
    if (type === undefined || pathEnd > bytes.byteLength) return fail();
    read.push({
      type,
      path: text.toString('latin1', at + OPERATION_BYTES, pathEnd),
      length: view.getUint32(at + 4, true),
      version: getPosition(view, at + 8),
      generation: getPosition(view, at + 16),
      start: getPosition(view, at + 24),
    });
    at = pathEnd;
  }
  const operations: RecordedOperation[] = [];
  for (const operation of read) {
    operations.push({ ...operation, offset: at });
    at += operation.length;
  }
  if (at !== bytes.byteLength) return fail();
  return { lastVersion: getPosition(view, 8), operations };
}
