// Who belongs to the cluster and who of them is there, as this node sees it. The first members come from the
// configuration, others are admitted and dismissed at run time; the transport tells who can be reached.
// Pure but for the clock: contacts go in, membership changes come out.
//
//   unknown ──contact──▶ alive ──lost──▶ suspected ──(unreachableAfterMs)──▶ unreachable
//      joined             ▲  suspected        │                                  │
//                         └──── contact: recovered ◀─────────────────────────────┘
//   goodbye: left, until the next contact, which is joined again
//   dismissed: removed, and nothing that is heard of it counts until it is admitted again

import type {
  Clock,
  ClusterChange,
  ClusterMember,
  ClusterNode,
  ClusterNodeState,
  IClusterDirectory,
  Logger,
} from '@datawarehouse/sdk';
import { MAX_CLUSTER_NODES } from '@datawarehouse/sdk';
import { clusterFull } from '../errors.js';
import type { NodeIdentity } from '../handshake/hello.js';

type Standing =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'alive'; readonly incarnation: string }
  | { readonly kind: 'lost'; readonly since: number }
  | { readonly kind: 'left' };

interface Member {
  peer: string;
  standing: Standing;
  http: string | undefined;
  version: string | undefined;
  pid: number | undefined;
}

/** What a directory is made of. */
export interface ClusterDirectoryOptions {
  readonly local: NodeIdentity;
  /** `host:port` by node id; this node may be among them. */
  readonly peers: Readonly<Record<string, string>>;
  /** `host:port` of this node's own peer listener. */
  readonly localAddress: string;
  readonly clock: Clock;
  /** Milliseconds after which a suspected member counts as unreachable. */
  readonly unreachableAfterMs: number;
  /** What is told who may be dialled and who may dial. */
  readonly transport: { admit(id: string, address: string): void; dismiss(id: string): boolean };
  readonly log: Logger;
}

/** The members of the cluster. */
export class ClusterDirectory implements IClusterDirectory {
  readonly localId: string;
  private readonly members = new Map<string, Member>();
  private readonly self: ClusterNode;
  private readonly listeners = new Set<(change: ClusterChange) => void>();

  constructor(private readonly options: ClusterDirectoryOptions) {
    const { nodeId: id, http, version, pid } = options.local;
    this.localId = id;
    this.self = { id, http, peer: options.localAddress, state: 'alive', version, pid };
    for (const [id, peer] of Object.entries(options.peers)) {
      if (id !== this.localId) this.members.set(id, stranger(peer, undefined));
    }
  }

  admit({ id, peer, http }: ClusterMember): void {
    if (id === this.localId) return;
    const known = this.members.get(id);
    if (known === undefined && this.members.size + 2 > MAX_CLUSTER_NODES)
      throw clusterFull(id, MAX_CLUSTER_NODES);
    this.options.transport.admit(id, peer);
    if (known === undefined) this.members.set(id, stranger(peer, http));
    else known.peer = peer;
  }

  dismiss(id: string): boolean {
    const member = this.members.get(id);
    if (member === undefined) return false;
    // First, so that its lost connections are not taken for those of a member.
    this.members.delete(id);
    this.options.transport.dismiss(id);
    this.changed('removed', id, member);
    return true;
  }

  onChanged(listener: (change: ClusterChange) => void): Disposable {
    const own = (change: ClusterChange): void => listener(change);
    this.listeners.add(own);
    return { [Symbol.dispose]: () => void this.listeners.delete(own) };
  }

  nodes(): readonly ClusterNode[] {
    const others = [...this.members].map(([id, member]) => this.shown(id, member));
    return [this.self, ...others].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  node(id: string): ClusterNode | undefined {
    if (id === this.localId) return this.self;
    const member = this.members.get(id);
    return member === undefined ? undefined : this.shown(id, member);
  }

  /** A member can be reached, and this is what it says of itself. */
  connected(peer: NodeIdentity): void {
    const member = this.members.get(peer.nodeId);
    if (member === undefined) return;
    const before = member.standing.kind;
    member.http = peer.http;
    member.version = peer.version;
    member.pid = peer.pid;
    member.standing = { kind: 'alive', incarnation: peer.incarnation };
    if (before === 'lost') this.changed('recovered', peer.nodeId, member);
    else if (before !== 'alive') this.changed('joined', peer.nodeId, member);
  }

  /** A member cannot be reached any more. */
  disconnected(id: string): void {
    const member = this.members.get(id);
    if (member?.standing.kind !== 'alive') return;
    member.standing = { kind: 'lost', since: this.options.clock.now() };
    this.changed('suspected', id, member);
  }

  /** A member said that it leaves. What a former incarnation says of a member that is back does not count. */
  goodbye(id: string, incarnation: string): void {
    const member = this.members.get(id);
    if (member === undefined || member.standing.kind === 'left' || member.standing.kind === 'unknown') return;
    if (member.standing.kind === 'alive' && member.standing.incarnation !== incarnation) return;
    member.standing = { kind: 'left' };
    this.changed('left', id, member);
  }

  private changed(action: ClusterChange['action'], nodeId: string, member: Member): void {
    for (const listener of this.listeners) {
      try {
        listener({ action, nodeId, endpoint: member.peer });
      } catch (err) {
        // One listener's failure is not another's, nor that of the connection which told.
        this.options.log.error({ err, action, peer: nodeId }, 'a listener of membership changes threw');
      }
    }
  }

  private shown(id: string, member: Member): ClusterNode {
    const { peer, http, version, pid } = member;
    return { id, http, peer, state: this.stateOf(member.standing), version, pid };
  }

  private stateOf(standing: Standing): ClusterNodeState {
    switch (standing.kind) {
      case 'alive':
        return 'alive';
      case 'left':
        return 'left';
      case 'unknown':
        return 'unreachable';
      case 'lost': {
        const silentMs = this.options.clock.now() - standing.since;
        return silentMs >= this.options.unreachableAfterMs ? 'unreachable' : 'suspected';
      }
    }
  }
}

function stranger(peer: string, http: string | undefined): Member {
  return { peer, standing: { kind: 'unknown' }, http, version: undefined, pid: undefined };
}
