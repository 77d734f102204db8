// Who belongs to the cluster and who of them is there, as this node sees it. The members come from the configuration;
// the transport tells who can be reached. Pure but for the clock: contacts go in, membership changes come out.
//
//   unknown ──contact──▶ alive ──lost──▶ suspected ──(unreachableAfterMs)──▶ unreachable
//      joined             ▲  suspected        │                                  │
//                         └──── contact: recovered ◀─────────────────────────────┘
//   goodbye: left, until the next contact, which is joined again

import type { Clock, ClusterNode, ClusterNodeState, IClusterDirectory } from '@datawarehouse/sdk';
import type { MembershipChanged } from '@datawarehouse/sdk';
import type { NodeIdentity } from '../handshake/hello.js';

/** What became of a member: the payload of `dw.cluster.membership.changed`. */
export type MembershipChange = NonNullable<(typeof MembershipChanged)['__types']>['payload'];

type Standing =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'alive'; readonly incarnation: string }
  | { readonly kind: 'lost'; readonly since: number }
  | { readonly kind: 'left' };

interface Member {
  readonly peer: string;
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
  readonly onChanged: (change: MembershipChange) => void;
}

/** The members of the cluster. */
export class ClusterDirectory implements IClusterDirectory {
  readonly localId: string;
  private readonly members = new Map<string, Member>();
  private readonly self: ClusterNode;

  constructor(private readonly options: ClusterDirectoryOptions) {
    const { nodeId: id, http, version, pid } = options.local;
    this.localId = id;
    this.self = { id, http, peer: options.localAddress, state: 'alive', version, pid };
    for (const [id, peer] of Object.entries(options.peers)) {
      if (id === this.localId) continue;
      this.members.set(id, {
        peer,
        standing: { kind: 'unknown' },
        http: undefined,
        version: undefined,
        pid: undefined,
      });
    }
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

  private changed(action: MembershipChange['action'], nodeId: string, member: Member): void {
    this.options.onChanged({ action, nodeId, endpoint: member.peer });
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
