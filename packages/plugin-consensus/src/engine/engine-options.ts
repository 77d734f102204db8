// What the engine of a node stands on: what it is given, and whom it tells.

import type { Clock, IPeerTransport, Logger } from '@datawarehouse/sdk';
import type { StateFactory } from '../state/replicated-state.js';
import type { NodeStorage } from '../storage/types.js';
import type { EngineLimits } from './engine-limits.js';
import type { PeerGate } from './peer-gate.js';
import type { RaftGroup } from './raft-group.js';

/** What an engine stands on. */
export interface EngineOptions {
  readonly nodeId: string;
  readonly transport: IPeerTransport;
  readonly storage: NodeStorage;
  readonly clock: Clock;
  readonly log: Logger;
  /** The limits in force; asked at each use. */
  readonly limits: () => EngineLimits;
  /** Names this life of the node; differs from that of any other life. Default: random. */
  readonly incarnation?: string;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
  /** The state machines that groups can run besides the key-value store, by name; asked when a group is opened. */
  readonly machines?: ReadonlyMap<string, StateFactory>;
  /** Whose Raft messages are taken. Default: everybody's. */
  readonly gate?: PeerGate;
  /** The index that the log of a group's replica must reach before it votes. Asked when it is opened. Default: 0. */
  readonly voteFloor?: (groupId: string) => number;
  /** Told when a group has another leader or none. */
  readonly onLeaderChanged?: (group: RaftGroup) => void;
  /** Told when a group has other members, as of what is applied here. */
  readonly onMembersChanged?: (group: RaftGroup) => void;
  /** Told when a group was opened or closed while the node runs. */
  readonly onReplicasChanged?: (group: RaftGroup, change: 'opened' | 'closed') => void;
}
