// Whom a simulated node takes for members of its cluster: what the cluster plugin knows in a real one. Who is no member
// on both sides is not connected.

import type { ClusterNode, ClusterMember, IClusterDirectory } from '@datawarehouse/sdk';
import type { SimNetwork } from './sim-network.js';

/** The address of a simulated node's peer listener. */
export function addressOf(id: string): string {
  return `127.0.0.1:${7_499 + Number(id.slice(1))}`;
}

/** The members as one life of a node knows them. */
export class SimMembers implements IClusterDirectory {
  private readonly members: Map<string, string>;

  constructor(
    readonly localId: string,
    private readonly network: SimNetwork,
    first: readonly string[],
  ) {
    this.members = new Map([localId, ...first].map((id) => [id, addressOf(id)]));
  }

  /** Whether a node is a member, as far as this one knows. */
  has(id: string): boolean {
    return this.members.has(id);
  }

  nodes(): readonly ClusterNode[] {
    return [...this.members.keys()].sort().flatMap((id) => this.node(id) ?? []);
  }

  node(id: string): ClusterNode | undefined {
    const peer = this.members.get(id);
    if (peer === undefined) return undefined;
    const alive = id === this.localId || this.network.isConnected(this.localId, id);
    const state = alive ? 'alive' : 'unreachable';
    return { id, peer, state, http: undefined, version: undefined, pid: undefined };
  }

  admit({ id, peer }: ClusterMember): void {
    const known = this.members.has(id);
    this.members.set(id, peer);
    if (!known) this.network.reset(this.localId, id);
  }

  dismiss(id: string): boolean {
    if (id === this.localId || !this.members.delete(id)) return false;
    this.network.reset(this.localId, id);
    return true;
  }

  onChanged(): Disposable {
    return { [Symbol.dispose]: () => {} };
  }
}
