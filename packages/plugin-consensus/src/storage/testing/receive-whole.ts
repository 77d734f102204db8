// Receives a snapshot whose body is at hand, as a transfer would: in checked chunks.

import type { Snapshot, SnapshotMetadata } from '../../raft/types.js';
import { memorySource } from '../memory-snapshot.js';
import { chunkCount } from '../snapshot-format.js';
import type { GroupStorage } from '../types.js';

/** Gives a group a leader's snapshot with this body. */
export async function receiveWhole(
  group: GroupStorage,
  metadata: SnapshotMetadata,
  body: readonly Uint8Array[],
): Promise<Snapshot> {
  const source = memorySource({ metadata, chunks: body });
  const sink = await group.receiveSnapshot(metadata, source.shape);
  for (let chunk = sink.next; chunk < chunkCount(source.shape.bytes); chunk++) {
    await sink.write(chunk, await source.read(chunk));
  }
  return sink.finish();
}
