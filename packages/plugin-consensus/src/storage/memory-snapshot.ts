// Snapshots in memory, in the same chunks as those in files, so that both can be sent to each other's kind.

import { crc32 } from '@datawarehouse/sdk';
import { chunkRefused } from './errors.js';
import type { MemorySnapshot } from './memory-group-log.js';
import {
  CHUNK_HEADER_BYTES,
  MAX_CHUNK_BYTES,
  type SnapshotShape,
  checkedCrc,
  chunkCount,
  chunkLength,
  digestOf,
  encodeChunkHeader,
} from './snapshot-format.js';
import type { SnapshotSource } from './types.js';

/** A snapshot's body as it is sent. */
export function memorySource({ metadata, chunks }: MemorySnapshot): SnapshotSource {
  const whole = Buffer.concat(chunks);
  const parts = Array.from({ length: chunkCount(whole.length) }, (_, chunk) =>
    whole.subarray(chunk * MAX_CHUNK_BYTES, (chunk + 1) * MAX_CHUNK_BYTES),
  );
  const crcs = parts.map((part) => crc32(part));
  return {
    metadata,
    shape: { bytes: whole.length, digest: digestOf(crcs) },
    read: async (chunk) => {
      const part = parts[chunk] as Buffer;
      return Buffer.concat([encodeChunkHeader(part.length, crcs[chunk] as number), part]);
    },
    close: async () => undefined,
  };
}

/** A body that is being received. */
export class MemoryBody {
  readonly #chunks: Uint8Array[] = [];
  readonly #crcs: number[] = [];

  constructor(
    private readonly groupId: string,
    private readonly shape: SnapshotShape,
  ) {}

  /** The first chunk that is missing. */
  get next(): number {
    let next = 0;
    while (this.#chunks[next] !== undefined) next++;
    return next;
  }

  /** @throws DwError `raft-snapshot-chunk-refused`. */
  write(chunk: number, block: Uint8Array): void {
    const known = Number.isSafeInteger(chunk) && chunk >= 0 && chunk < chunkCount(this.shape.bytes);
    const crc = known ? checkedCrc(block, chunkLength(this.shape.bytes, chunk)) : undefined;
    if (crc === undefined) throw chunkRefused(this.groupId, chunk, 'its place, length or checksum is wrong');
    // A copy: the block is the caller's again afterwards, and `slice` of a Buffer is none.
    this.#chunks[chunk] = Buffer.from(block.subarray(CHUNK_HEADER_BYTES));
    this.#crcs[chunk] = crc;
  }

  /** The whole. @throws DwError `raft-snapshot-chunk-refused`. */
  finish(): readonly Uint8Array[] {
    if (this.next < chunkCount(this.shape.bytes))
      throw chunkRefused(this.groupId, this.next, 'it is missing');
    if (digestOf(this.#crcs) !== this.shape.digest) {
      throw chunkRefused(this.groupId, this.next, 'together the chunks are not what was announced');
    }
    return this.#chunks;
  }
}
