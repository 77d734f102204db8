// Remembers on each node which groups its data was laid out for. The configuration makes the groups once; after that a
// different number would look for most keys in the wrong group, so what was made first counts.

import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import type { GroupPlacement } from './placement.js';
import { placeGroups } from './placement.js';

interface GroupRecord {
  readonly placements: readonly GroupPlacement[];
}

/** The groups: those that were made on this node before, else those of the configuration, which are remembered. */
export async function rememberGroups(
  store: IPersistentBackingStore,
  path: string,
  nodeIds: readonly string[],
  groups: number,
  votersPerGroup: number,
  log: Logger,
): Promise<readonly GroupPlacement[]> {
  const configured = placeGroups(nodeIds, groups, votersPerGroup);
  const known = await readRecord(store, path);
  if (known === undefined) {
    const record: GroupRecord = { placements: configured };
    await store.writeAsync(path, Buffer.from(JSON.stringify(record)));
    return configured;
  }
  if (JSON.stringify(known) !== JSON.stringify(configured)) {
    log.warn(
      {
        groups: known.map(({ id, voters }) => ({ id, voters })),
        configured: { groups, votersPerGroup, nodeIds },
      },
      'the groups on disk are not those of the configuration; those on disk count',
    );
  }
  return known;
}

async function readRecord(
  store: IPersistentBackingStore,
  path: string,
): Promise<readonly GroupPlacement[] | undefined> {
  const bytes = await store.readAsync(path);
  if (bytes === null || bytes === undefined) return undefined;
  return (JSON.parse(Buffer.from(bytes).toString()) as GroupRecord).placements;
}
