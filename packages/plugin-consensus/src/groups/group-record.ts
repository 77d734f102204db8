// Remembers on each node which groups its data was laid out for. The configuration makes the groups once; after that a
// different number would look for most keys in the wrong group, so what was made first counts.

import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { malformed } from '../errors.js';
import type { GroupPlacement } from './placement.js';
import { placeGroups } from './placement.js';

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
    await store.writeAsync(path, Buffer.from(JSON.stringify({ placements: configured })));
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
  if (bytes === null) return undefined;
  const what = `the record of groups at ${path}`;
  try {
    const { placements } = JSON.parse(Buffer.from(bytes).toString()) as { placements?: unknown };
    if (Array.isArray(placements) && placements.length > 0 && placements.every(isPlacement))
      return placements;
  } catch (error) {
    throw malformed(what, errorMessage(error));
  }
  throw malformed(what, 'it names no groups');
}

function isPlacement(value: unknown): value is GroupPlacement {
  const { id, voters, preferredLeader } = (value ?? {}) as Partial<GroupPlacement>;
  return typeof id === 'string' && typeof preferredLeader === 'string' && Array.isArray(voters);
}
