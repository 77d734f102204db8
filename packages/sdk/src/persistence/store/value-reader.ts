// Puts a value together from its extents.

import { isDwError } from '../../errors/index.js';
import { storeDamaged } from '../errors.js';
import type { StoreJournal } from './store-journal.js';
import type { Extent } from './value-index.js';

/**
 * The bytes of extents that follow one another, as an array of their own; undefined when cleaning has moved one of
 * them meanwhile.
 * @throws DwError `log-damaged`, `log-read-failed`, `store-closed`, `store-failed`.
 */
export async function readExtents(
  journal: StoreJournal,
  extents: readonly Extent[],
  length: number,
): Promise<Uint8Array | undefined> {
  const value = new Uint8Array(length);
  const first = extents[0]?.start ?? 0;
  let record: { readonly position: number; readonly data: Uint8Array } | undefined;
  for (const extent of extents) {
    if (record?.position !== extent.position) {
      const data = await readRecord(journal, extent.position);
      if (data === null) return undefined;
      record = { position: extent.position, data };
    }
    const bytes = record.data.subarray(extent.offset, extent.offset + extent.length);
    if (bytes.byteLength !== extent.length) {
      throw storeDamaged(`the record at log position ${extent.position} is shorter than its value`);
    }
    value.set(bytes, extent.start - first);
  }
  return value;
}

async function readRecord(journal: StoreJournal, position: number): Promise<Uint8Array | null> {
  try {
    // Moved parts may be on their way to the disk; the log shows only what is there.
    if (position >= journal.log.durablePosition) await journal.allSettled();
    return await journal.log.read(position);
  } catch (error) {
    journal.check();
    if (isDwError(error, 'log-failed')) throw journal.fail(error);
    throw error;
  }
}
