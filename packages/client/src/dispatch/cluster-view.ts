// What the client knows of the cluster: which groups there are, who leads them, and where the nodes are. News may come
// from several nodes and be out of order; of two leaders the one of the higher term counts.

import type { ClusterTopology } from '@datawarehouse/sdk/client-protocol';
import { HashRing } from '@datawarehouse/sdk/client-protocol';

interface KnownGroup {
  term: number;
  leader: string | undefined;
}

/** The cluster as the nodes have told of it. */
export class ClusterView {
  private readonly groups = new Map<string, KnownGroup>();
  private readonly addresses = new Map<string, string>();
  private ring: HashRing | undefined;
  private ids: readonly string[] = [];

  /** The groups, sorted. */
  get groupIds(): readonly string[] {
    return this.ids;
  }

  /** The group that owns a key; undefined before anything is known. */
  groupOf(key: string): string | undefined {
    return this.ring?.groupOf(key);
  }

  /** Who leads a group, as far as is known. */
  leader(group: string): string | undefined {
    return this.groups.get(group)?.leader;
  }

  /** `host:port` of a node's client port. */
  address(node: string): string | undefined {
    return this.addresses.get(node);
  }

  /** Takes news in. @returns whether anything has changed. */
  learn({ groups, clients }: ClusterTopology): boolean {
    let changed = false;
    for (const { id, term, leader } of groups) {
      const known = this.groups.get(id);
      if (known === undefined) {
        this.groups.set(id, { term, leader });
        changed = true;
      } else if (term > known.term || (term === known.term && leader !== undefined)) {
        changed ||= known.leader !== leader;
        known.term = term;
        known.leader = leader;
      }
    }
    for (const [node, address] of Object.entries(clients)) {
      if (this.addresses.get(node) === address) continue;
      this.addresses.set(node, address);
      changed = true;
    }
    if (this.ids.length !== this.groups.size) {
      this.ids = [...this.groups.keys()].toSorted();
      this.ring = new HashRing(this.ids);
    }
    return changed;
  }

  /** A node said that it does not lead the group, and perhaps who does. */
  refuted(group: string, node: string, hint: string | undefined): void {
    const known = this.groups.get(group);
    if (known === undefined || (known.leader !== node && hint === undefined)) return;
    known.leader = hint === node ? undefined : hint;
  }
}
