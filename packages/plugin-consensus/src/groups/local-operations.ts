// What this node's own replicas can do for a client or for another node that asks on a client's behalf.

import type { Clock, DwError, RaftGroupStatus } from '@datawarehouse/sdk';
import {
  groupMismatch,
  noLeader,
  noReplica,
  notLeader,
  transferFailed,
  transferTargetInvalid,
} from '../errors.js';
import { PluginState } from '../machines/plugin-state.js';
import { machineMismatch, replicaNotHere } from '../state/errors.js';
import type { EntryKind } from '../engine/entry-envelope.js';
import { membersOf } from '../engine/group-conf.js';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { Proposal } from '../engine/proposal.js';
import type { RaftGroup } from '../engine/raft-group.js';
import type { Outcome } from '../state/outcome.js';
import { commandKey } from '../state/command.js';
import type { KeyValueRecord } from '../state/key-value-state.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';
import {
  decodeKeyedCommand,
  decodeSessionCommand,
  decodeSessionId,
} from '../state/sessions/command-header.js';
import { keyValuesOf } from './group-key-values.js';

/** What a committed proposal answers. */
export interface Committed {
  readonly index: number;
  readonly outcome: Outcome;
}

const POLL_MS = 10;

/** Operations on the replicas of this node. Each throws `no-replica` when the group has none here. */
export class LocalOperations {
  constructor(
    private readonly engine: MultiRaftEngine,
    private readonly clock: Clock,
    /** The group that owns a key. */
    private readonly groupOf: (key: string) => string,
    /** Who was said to lead a group that has no replica here. */
    private readonly leaderHint: (groupId: string) => string | undefined,
  ) {}

  /** Whether the group has a replica here that runs and has its data. */
  serves(groupId: string): boolean {
    return (
      this.engine.refusal === undefined &&
      this.holds(groupId) &&
      this.engine.group(groupId)?.failed === undefined
    );
  }

  /**
   * Whether the group's data, however old, is here: it is also when the disk has failed. Who is no member may have been a
   * witness, or is to be one.
   */
  holds(groupId: string): boolean {
    const { engine } = this;
    const conf = engine.group(groupId)?.conf;
    if (conf === undefined) return false;
    return membersOf(conf).includes(engine.nodeId) && !conf.witnesses.includes(engine.nodeId);
  }

  /** Whether the group's leader is here. */
  leads(groupId: string): boolean {
    return this.engine.group(groupId)?.isLeader === true;
  }

  /** Proposes at the leader. @throws as {@link RaftGroup.submit}, and what became of the proposal. */
  propose(
    groupId: string,
    kind: EntryKind,
    data: Uint8Array,
    deadline: number,
    signal?: AbortSignal,
  ): Promise<Committed> {
    return new Promise((resolve, reject) => {
      const group = this.find(groupId);
      this.check(group, kind, data);
      const abandon = (): void => group.abandon(proposal);
      const proposal: Proposal = group.submit(kind, data, deadline, (result) => {
        signal?.removeEventListener('abort', abandon);
        if (!result.ok) {
          reject(result.error);
          return;
        }
        this.engine.commitLatency.record(this.clock.now() - proposal.submittedAt);
        resolve(result);
      });
      signal?.addEventListener('abort', abandon, { once: true });
    });
  }

  /** Resolves when the group's state here may be read linearizably. @throws DwError `no-replica` when it has no data. */
  confirm(groupId: string, deadline: number): Promise<RaftGroup> {
    return new Promise((resolve, reject) => {
      const group = this.find(groupId);
      group.read(deadline, (error: DwError | undefined) => {
        // What this node is in the group it may have learned only on the way to what is to be read.
        if (error === undefined && this.holds(groupId)) resolve(group);
        else if (error === undefined) reject(noReplica(groupId, this.engine.nodeId, group.leader));
        else reject(group.leader === undefined ? noLeader(groupId) : error);
      });
    });
  }

  /** The replica of a group here. @throws DwError `replica-not-here`. */
  replica(groupId: string, what: string): RaftGroup {
    const group = this.engine.group(groupId);
    if (group === undefined) throw replicaNotHere(groupId, what);
    return group;
  }

  /** Asks the state machine of a replica here. @throws DwError `replica-not-here`, `machine-mismatch`, `query-…`. */
  query(groupId: string, request: Uint8Array): Uint8Array {
    const { machine } = this.replica(groupId, 'a query').state;
    if (!(machine instanceof PluginState)) throw machineMismatch(groupId, 'of a plugin');
    return machine.query(request);
  }

  /** A key as this node has it. */
  peek(groupId: string, key: string): KeyValueRecord | undefined {
    return keyValuesOf(this.find(groupId)).get(key);
  }

  /** Keys as this node has them. */
  peekList(groupId: string, prefix: string, after: string | undefined, limit: number) {
    return keyValuesOf(this.find(groupId)).list(prefix, after, limit);
  }

  status(groupId: string): RaftGroupStatus {
    return this.find(groupId).status();
  }

  /** Hands leadership over and resolves when this node has heard of the new leader. */
  async transfer(groupId: string, to: string, deadline: number): Promise<void> {
    const group = this.find(groupId);
    if (!group.isLeader) throw notLeader(groupId, group.leader);
    const { voters } = group.raft.conf;
    if (!voters.includes(to)) throw transferTargetInvalid(groupId, to, voters);
    if (group.leader === to) return;
    group.transfer(to);
    while (group.leader !== to) {
      if (this.clock.now() >= deadline) throw transferFailed(groupId, to);
      await new Promise<void>((resolve) => {
        this.clock.setTimeout(resolve, POLL_MS);
      });
    }
  }

  /** Takes a snapshot of this node's replica and lets the log go that it covers. */
  async snapshot(groupId: string): Promise<number> {
    return this.find(groupId).snapshots.take(0);
  }

  /** Refuses what would change nothing when it is applied, and keys of other groups. */
  private check(group: RaftGroup, kind: EntryKind, data: Uint8Array): void {
    const command = commandOf(kind, data);
    if (command === undefined || group.machine !== KEY_VALUE_MACHINE) return;
    const owner = this.groupOf(commandKey(command));
    if (owner !== group.id) throw groupMismatch(group.id, owner);
  }

  private find(groupId: string): RaftGroup {
    const group = this.engine.group(groupId);
    if (group === undefined) throw noReplica(groupId, this.engine.nodeId, this.leaderHint(groupId));
    return group;
  }
}

/** The command in an entry's data, if there is one. @throws DwError `frame-malformed`. */
function commandOf(kind: EntryKind, data: Uint8Array): Uint8Array | undefined {
  if (kind === 'command') return data;
  if (kind === 'session-command') return decodeSessionCommand(data).command;
  if (kind === 'keyed-command') return decodeKeyedCommand(data).command;
  if (kind === 'close-session') decodeSessionId(data);
  return undefined;
}
