// Reads a snapshot file back, checking each chunk before it is handed out and the whole at the end.

import { crc32 } from '@datawarehouse/sdk';
import type { SnapshotMetadata } from '../raft/types.js';
import type { SnapshotFiles } from './bulk-files.js';
import { logDamaged, snapshotGone } from './errors.js';
import {
  CHUNK_HEADER_BYTES,
  END_MARK,
  MAX_CHUNK_BYTES,
  SNAPSHOT_END_BYTES,
  SNAPSHOT_HEAD_BYTES,
  checkedCrc,
  chunkLength,
  chunkOffset,
  decodeEnd,
  decodeMetadata,
  digestOf,
  metadataBytes,
  snapshotName,
} from './snapshot-format.js';
import type { StorageFile } from './storage-files.js';
import type { SnapshotSource } from './types.js';

/**
 * The chunks of a snapshot. Its file may be removed while it is read; what was opened stays readable.
 * @throws DwError `raft-snapshot-gone` when it was replaced before the first chunk was asked for, `raft-log-damaged`.
 */
export async function* readSnapshotChunks(
  files: SnapshotFiles,
  groupId: string,
  metadata: SnapshotMetadata,
): AsyncGenerator<Uint8Array, void> {
  const name = snapshotName(groupId, metadata);
  const path = `${files.directory}/${name}`;
  const file = await openOrGone(files, name, groupId);
  try {
    let offset = await checkHead(file, path, groupId, metadata);
    const crcs: number[] = [];
    let bytes = 0;
    for (;;) {
      const header = await readAt(file, path, offset, CHUNK_HEADER_BYTES);
      const length = header.readUInt32LE(0);
      if (length === END_MARK) break;
      if (length > MAX_CHUNK_BYTES) throw logDamaged(path, offset, `a chunk of ${length} bytes cannot be`);
      const chunk = await readAt(file, path, offset + CHUNK_HEADER_BYTES, length);
      const crc = header.readUInt32LE(4);
      if (crc32(chunk) !== crc) throw logDamaged(path, offset, 'the checksum of a chunk fails');
      crcs.push(crc);
      bytes += length;
      offset += CHUNK_HEADER_BYTES + length;
      yield chunk;
    }
    const end = decodeEnd(await readAt(file, path, offset, SNAPSHOT_END_BYTES));
    if (end === undefined) throw logDamaged(path, offset, 'the end of the snapshot is not sound');
    if (end.bytes !== bytes || end.digest !== digestOf(crcs)) {
      throw logDamaged(path, offset, 'the checksum of the whole snapshot fails');
    }
  } finally {
    await file.close();
  }
}

/** Checks that a snapshot's file is there, finished, and what it should be. @throws DwError `raft-log-damaged`. */
export async function checkSnapshot(
  files: SnapshotFiles,
  groupId: string,
  metadata: SnapshotMetadata,
): Promise<void> {
  const name = snapshotName(groupId, metadata);
  const path = `${files.directory}/${name}`;
  const file = await openOrGone(files, name, groupId).catch((error: unknown) => {
    throw logDamaged(path, 0, 'the newest snapshot cannot be opened', error);
  });
  try {
    await checkHead(file, path, groupId, metadata);
    const endAt = (await file.size()) - SNAPSHOT_END_BYTES;
    if (endAt < 0 || decodeEnd(await readAt(file, path, endAt, SNAPSHOT_END_BYTES)) === undefined) {
      throw logDamaged(path, Math.max(0, endAt), 'the end of the snapshot is not sound');
    }
  } finally {
    await file.close();
  }
}

/**
 * Opens a snapshot for copying its chunks elsewhere, in any order. Its file may be removed meanwhile.
 * @throws DwError `raft-snapshot-gone`, `raft-log-damaged`.
 */
export async function openSnapshotSource(
  files: SnapshotFiles,
  groupId: string,
  metadata: SnapshotMetadata,
): Promise<SnapshotSource> {
  const name = snapshotName(groupId, metadata);
  const path = `${files.directory}/${name}`;
  const file = await openOrGone(files, name, groupId);
  try {
    const start = await checkHead(file, path, groupId, metadata);
    const endAt = (await file.size()) - SNAPSHOT_END_BYTES;
    const shape = endAt < 0 ? undefined : decodeEnd(await readAt(file, path, endAt, SNAPSHOT_END_BYTES));
    if (shape === undefined)
      throw logDamaged(path, Math.max(0, endAt), 'the end of the snapshot is not sound');
    return {
      metadata,
      shape,
      read: async (chunk, into) => {
        const offset = start + chunkOffset(chunk);
        const length = chunkLength(shape.bytes, chunk);
        const block = await readAt(file, path, offset, CHUNK_HEADER_BYTES + length, into);
        if (checkedCrc(block, length) === undefined)
          throw logDamaged(path, offset, 'the checksum of a chunk fails');
        return block;
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** @returns the offset of the first chunk. */
async function checkHead(
  file: StorageFile,
  path: string,
  groupId: string,
  metadata: SnapshotMetadata,
): Promise<number> {
  const fixed = await readAt(file, path, 0, SNAPSHOT_HEAD_BYTES);
  const jsonBytes = metadataBytes(fixed);
  if (jsonBytes === undefined) throw logDamaged(path, 0, 'this is no snapshot');
  const found = decodeMetadata(fixed, await readAt(file, path, SNAPSHOT_HEAD_BYTES, jsonBytes), groupId);
  if (found === undefined || found.index !== metadata.index || found.term !== metadata.term) {
    throw logDamaged(path, 0, `the head is not that of the snapshot at ${metadata.term}/${metadata.index}`);
  }
  return SNAPSHOT_HEAD_BYTES + jsonBytes;
}

async function readAt(
  file: StorageFile,
  path: string,
  offset: number,
  length: number,
  into: Buffer = Buffer.allocUnsafe(length),
): Promise<Buffer> {
  const bytes = into.subarray(0, length);
  const count = await file.read(bytes, offset);
  if (count < length) throw logDamaged(path, offset + count, 'the snapshot ends early');
  return bytes;
}

async function openOrGone(files: SnapshotFiles, name: string, groupId: string): Promise<StorageFile> {
  try {
    return await files.openForReading(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw snapshotGone(groupId);
    throw error;
  }
}
