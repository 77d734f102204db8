// What a group needs of the node that it runs on, and how its core is set up.

import type { Clock, DwError, Logger } from '@datawarehouse/sdk';
import type { Message, StorageAppend } from '../raft/types.js';
import type { StateFactory } from '../state/replicated-state.js';
import type { EngineLimits } from './engine-limits.js';
import type { TickCounter } from './group-ticks.js';
import type { ProposalBudget } from './proposal.js';
import type { RaftGroup } from './raft-group.js';

/** What a group needs of its node. */
export interface GroupHost extends TickCounter {
  readonly nodeId: string;
  /** Unlike that of any earlier life of the node. */
  readonly incarnation: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly budget: ProposalBudget;
  readonly limits: EngineLimits;
  /** Why no work is taken now; undefined when it is. */
  readonly refusal: DwError | undefined;
  /** Whether the disk has as much to do as it should: no further proposals are appended until it has less. */
  readonly diskBusy: boolean;
  /** Whether more bytes from peers wait for the disk than may. */
  readonly diskFull: boolean;
  /** The present election timeout. */
  readonly electionTimeoutMs: number;
  nextProposalId(): number;
  /** Asks for a turn of this group. */
  wake(group: RaftGroup): void;
  send(group: RaftGroup, message: Message): void;
  write(group: RaftGroup, append: StorageAppend): void;
  /** Index of the oldest of the group's snapshots that are on their way to followers. */
  lowestSnapshotSent(group: RaftGroup): number | undefined;
  /** The group has other members from the last applied entry on. */
  membersChanged(group: RaftGroup): void;
  /** Leader or role changed. */
  leaderChanged(group: RaftGroup): void;
  /** The group stands still from now on. */
  groupFailed(group: RaftGroup, error: unknown): void;
}

/** How a group's core is set up. */
export interface GroupOptions {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly random: () => number;
  readonly maxUncommittedBytes: number;
  /** The index that the replica's log must reach before it votes. */
  readonly voteFloor: number;
  /** The state machine that the group runs. */
  readonly machine: { readonly name: string; readonly create: StateFactory };
}
