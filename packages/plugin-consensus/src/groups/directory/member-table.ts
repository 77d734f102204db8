// Makes the members of the directory those of the transport: who is in it may dial and is dialled, who is in it no more
// is a stranger. What the configuration says of a node's address holds until the directory tells of a change, since an
// operator who has moved all nodes at once could not be told otherwise.

import type { Clock, IClusterDirectory, Logger, TimerHandle } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { DirectoryNode, DirectoryView } from './directory-types.js';

/** A node that was removed may ask once more for the directory, which tells it so, before it is a stranger. */
const FAREWELL_MS = 2_000;

/** Keeps the transport's members those of the directory. */
export class MemberTable {
  private readonly farewells = new Map<string, TimerHandle>();

  constructor(
    private readonly cluster: IClusterDirectory,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Follows a directory that took the place of another; at the start, of an empty one. */
  follow(view: DirectoryView, before: DirectoryView): void {
    const former = new Map(before.nodes.map((node) => [node.id, node]));
    for (const node of view.nodes) {
      this.farewells.get(node.id)?.cancel();
      this.farewells.delete(node.id);
      this.followNode(node, former.get(node.id));
    }
    // A directory that nobody has made yet says who is meant to be there, not who is not.
    if (view.version === 0) return;
    const members = new Set(view.nodes.map(({ id }) => id));
    for (const { id, state } of this.cluster.nodes()) {
      if (members.has(id) || id === this.cluster.localId || this.farewells.has(id)) continue;
      if (state === 'alive' && former.has(id)) this.dismissLater(id);
      else this.dismiss(id, former.has(id));
    }
  }

  /** Makes everybody a stranger: this node is a member no more. */
  dismissAll(): void {
    for (const { id } of this.cluster.nodes()) this.cluster.dismiss(id);
  }

  stop(): void {
    for (const farewell of this.farewells.values()) farewell.cancel();
    this.farewells.clear();
  }

  private followNode(node: DirectoryNode, former: DirectoryNode | undefined): void {
    const known = this.cluster.node(node.id);
    // What a node tells of itself for the first time is no move: others may well reach it by another way.
    const told = former !== undefined && former.storageId !== null;
    const moved = told && former.peer !== node.peer && known?.peer !== node.peer;
    if (node.id === this.cluster.localId || (known !== undefined && !moved)) return;
    try {
      const { id, peer, http } = node;
      this.cluster.admit({ id, peer, ...(http === null ? {} : { http }) });
      this.log.info(
        { peer: id, endpoint: peer },
        known === undefined ? 'a node joined the cluster' : 'a node moved',
      );
    } catch (err) {
      if (!isDwError(err)) throw err;
      this.log.error({ err, peer: node.id }, 'a member of the cluster cannot be reached from here');
    }
  }

  private dismissLater(id: string): void {
    const timer = this.clock.setTimeout(() => {
      this.farewells.delete(id);
      this.dismiss(id, true);
    }, FAREWELL_MS);
    this.farewells.set(id, timer);
  }

  private dismiss(id: string, wasMember: boolean): void {
    if (!this.cluster.dismiss(id)) return;
    if (wasMember) this.log.info({ peer: id }, 'a node was removed from the cluster');
    else
      this.log.warn(
        { peer: id },
        'a configured node is no member of the cluster: it joins with dw start --join',
      );
  }
}
