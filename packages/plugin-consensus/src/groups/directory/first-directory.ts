// The directory of a cluster that has none yet, as this node's configuration makes it: its nodes, the groups placed on
// them, and the group of the directory itself on the first of them. All nodes of a new cluster come to the same one.
// Its version is 0 until the directory's group has taken it.

import type { IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { errorMessage } from '@datawarehouse/sdk';
import { malformed } from '../../errors.js';
import type { GroupPlacement } from '../placement.js';
import { placeGroups } from '../placement.js';
import { byId } from './directory-codec.js';
import type { DirectoryGroup, DirectoryView } from './directory-types.js';
import { DIRECTORY_GROUP, DIRECTORY_MACHINE } from './directory-types.js';

/** What the configuration says of a new cluster. */
export interface ConfiguredCluster {
  /** `host:port` of the peer listeners by node id, this node's own among them. */
  readonly peers: Readonly<Record<string, string>>;
  readonly groups: number;
  readonly votersPerGroup: number;
}

const KEY_VALUE = 'key-value';

/** The directory that the configuration makes. */
export function firstDirectory(
  { peers, groups, votersPerGroup }: ConfiguredCluster,
  /** Groups that were placed before there was a directory; they win over the configuration. */
  placed?: readonly GroupPlacement[],
): DirectoryView {
  const ids = Object.keys(peers).sort();
  const voters = ids.slice(0, votersPerGroup);
  const directory = placement({ id: DIRECTORY_GROUP, voters, preferredLeader: voters[0] as string });
  return {
    version: 0,
    votersPerGroup,
    nodes: ids
      .map((id) => ({
        id,
        peer: peers[id] as string,
        http: null,
        client: null,
        state: 'member' as const,
        storageId: null,
      }))
      .sort(byId),
    groups: [
      { ...directory, machine: DIRECTORY_MACHINE },
      ...(placed ?? placeGroups(ids, groups, votersPerGroup)).map(placement),
    ],
    retired: [],
  };
}

function placement({ id, voters, preferredLeader }: GroupPlacement): DirectoryGroup {
  const sorted = voters.toSorted();
  return { id, machine: KEY_VALUE, bootstrap: sorted, preferredLeader, voters: sorted, votersAt: 0 };
}

/** The groups that an earlier version of this node remembered, before there was a directory; undefined if none did. */
export async function formerGroups(
  store: IPersistentBackingStore,
  path: string,
): Promise<readonly GroupPlacement[] | undefined> {
  const bytes = await store.readAsync(path);
  if (bytes === null) return undefined;
  const what = `the record of groups at ${path}`;
  let placements: unknown;
  try {
    ({ placements } = JSON.parse(Buffer.from(bytes).toString()) as { placements?: unknown });
  } catch (error) {
    throw malformed(what, errorMessage(error));
  }
  if (Array.isArray(placements) && placements.length > 0 && placements.every(isPlacement)) return placements;
  throw malformed(what, 'it names no groups');
}

function isPlacement(value: unknown): value is GroupPlacement {
  const { id, voters, preferredLeader } = (value ?? {}) as Partial<GroupPlacement>;
  return typeof id === 'string' && typeof preferredLeader === 'string' && Array.isArray(voters);
}

/** Says in the log when the configuration asks for other groups than there are. What was made first counts. */
export function compareWithConfiguration(
  view: DirectoryView,
  configured: ConfiguredCluster,
  log: Logger,
): void {
  const groups = view.groups.filter(({ machine }) => machine === KEY_VALUE);
  const { votersPerGroup } = view;
  if (groups.length === configured.groups && votersPerGroup === configured.votersPerGroup) return;
  log.warn(
    {
      groups: groups.map(({ id }) => id),
      votersPerGroup,
      configured: { groups: configured.groups, votersPerGroup: configured.votersPerGroup },
    },
    'the groups on disk are not those of the configuration; those on disk count',
  );
}

/** Where the groups of a directory open by themselves: on the nodes that voted when they were made. */
export function bootstrapPlacements({ groups }: DirectoryView): readonly (GroupPlacement & {
  readonly machine: string;
})[] {
  return groups.map(({ id, machine, bootstrap, preferredLeader }) => ({
    id,
    machine,
    voters: bootstrap,
    preferredLeader,
  }));
}

/** Where the groups of a directory can be found now. */
export function currentPlacements({ groups }: DirectoryView): readonly (GroupPlacement & {
  readonly machine: string;
})[] {
  return groups.map(({ id, machine, voters, preferredLeader }) => ({ id, machine, voters, preferredLeader }));
}
