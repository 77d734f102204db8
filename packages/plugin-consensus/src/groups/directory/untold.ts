// What a node knows and the directory does not: found by comparing, so that nothing depends on an event that got lost.
// Pure: what both know in, commands out.

import type { ConfState } from '../../raft/types.js';
import type { DirectoryCommand } from './directory-command.js';
import type { DirectoryNode, DirectoryView, NodeAddresses } from './directory-types.js';

/** Groups whose voters are told at once; the rest is told afterwards. */
const MAX_TOLD = 64;

/** A group that this node leads. */
export interface LedGroup {
  readonly conf: Pick<ConfState, 'voters' | 'votersOutgoing'>;
  readonly lastApplied: number;
}

/** What a node knows. */
export interface OwnKnowledge {
  readonly nodeId: string;
  readonly addresses: NodeAddresses;
  /** Undefined while it is not sure that its storage is its own. */
  readonly storageId: string | undefined;
  /** Whether this node leads the directory's group, and that holds no directory. */
  readonly leadsNothing: boolean;
  /** A group that this node leads; undefined for every other. */
  readonly led: (groupId: string) => LedGroup | undefined;
}

/** The commands that tell the directory what it does not know. */
export function untold(view: DirectoryView, own: OwnKnowledge): readonly DirectoryCommand[] {
  const commands: DirectoryCommand[] = [];
  if (own.leadsNothing) {
    const { version, votersPerGroup, nodes, groups, retired } = view;
    commands.push({ op: 'create', after: version, votersPerGroup, nodes, groups, retired });
  }
  if (view.version === 0) return commands;
  const announcement = announcementOf(
    view.nodes.find(({ id }) => id === own.nodeId),
    own,
  );
  if (announcement !== undefined) commands.push(announcement);
  return [...commands, ...changedVoters(view, own)];
}

function announcementOf(
  known: DirectoryNode | undefined,
  { nodeId: id, addresses: { peer, http, client }, storageId }: OwnKnowledge,
): DirectoryCommand | undefined {
  if (known === undefined || known.state === 'retiring' || storageId === undefined) return undefined;
  const same = known.peer === peer && known.http === http && known.client === client;
  if (same && known.storageId === storageId) return undefined;
  return { op: 'announce', id, peer, http, client, storageId, replaces: known.storageId };
}

function changedVoters({ groups }: DirectoryView, { led }: OwnKnowledge): readonly DirectoryCommand[] {
  const commands: DirectoryCommand[] = [];
  for (const { id, voters: known } of groups) {
    const group = commands.length < MAX_TOLD ? led(id) : undefined;
    // Between two memberships both count; the one that comes out of it is told then.
    if (group === undefined || group.conf.votersOutgoing.length > 0) continue;
    const voters = group.conf.voters.toSorted();
    if (voters.join() === known.join()) continue;
    commands.push({ op: 'voters', id, voters, index: Math.max(1, group.lastApplied) });
  }
  return commands;
}
