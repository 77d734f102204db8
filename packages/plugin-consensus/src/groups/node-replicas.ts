// All that decides which replicas a node has: who it is, what is on its disk, and what leaders and operators ask of it.
// The plugin and the tests build a node from it in the same way.

import type { Clock, DwError, IPeerTransport, IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { PeerGate } from '../engine/peer-gate.js';
import { engineNotRunning } from '../errors.js';
import type { GroupDamage, NodeStorage } from '../storage/types.js';
import type { GroupRouter } from './group-router.js';
import { Acquaintances } from './identity/acquaintances.js';
import { IdentityRecord } from './identity/identity-record.js';
import { NodeStart } from './identity/node-start.js';
import { MemberChanges } from './members/member-changes.js';
import { MemberService } from './members/member-service.js';
import type { GroupPlacement } from './placement.js';
import { GroupRecovery } from './repair/group-recovery.js';
import { RepairLeader } from './repair/repair-leader.js';
import { RepairWatch } from './repair/repair-watch.js';
import { GroupTurns } from './replicas/group-turns.js';
import { ReplicaClient } from './replicas/replica-client.js';
import type { RecoveryNote } from './replicas/replica-messages.js';
import { ReplicaRecords } from './replicas/replica-records.js';
import { ReplicaRemoval } from './replicas/replica-removal.js';
import { ReplicaServer } from './replicas/replica-server.js';

/** What a node's replicas stand on. */
export interface NodeReplicasOptions {
  readonly nodeId: string;
  readonly transport: IPeerTransport;
  readonly storage: NodeStorage;
  /** Where the node notes who it is; it must lie on the same disk as the storage, apart from it. */
  readonly store: IPersistentBackingStore;
  readonly storePath: (name: string) => string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The groups of the configuration. */
  readonly placements: readonly GroupPlacement[];
  /** Whether a node is being retired, or was. Default: nobody is. */
  readonly isLeaving?: (node: string) => boolean;
}

/** What runs once there is an engine. */
interface Parts {
  readonly start: NodeStart;
  readonly members: MemberService;
  readonly recovery: GroupRecovery;
  readonly repairs: RepairLeader;
  readonly watch: RepairWatch;
  readonly removal: ReplicaRemoval;
  readonly server: ReplicaServer;
}

/** The replicas of one node. Made before the engine, which needs its gate; then `attach`, then `start`. */
export class NodeReplicas {
  private parts: Parts | undefined;

  private constructor(
    private readonly options: NodeReplicasOptions,
    private readonly record: IdentityRecord | undefined,
    private readonly records: ReplicaRecords,
    private readonly acquaintances: Acquaintances | undefined,
    private readonly swapped: DwError | undefined,
  ) {}

  /** Reads who this node is. @throws DwError of the store, or when its record cannot be read. */
  static async open(options: NodeReplicasOptions): Promise<NodeReplicas> {
    const { store, storePath, nodeId, storage, transport, clock, log } = options;
    const damaged = storage.damagedGroups().map(({ groupId }) => groupId);
    const identity = {
      storageId: storage.storageId,
      fresh: storage.fresh,
      groupIds: [...storage.groupIds, ...damaged],
    };
    const records = await ReplicaRecords.open(store, storePath('replicas'));
    let record: IdentityRecord;
    try {
      record = await IdentityRecord.open(store, storePath('identity'), nodeId, identity);
    } catch (error) {
      if (!isDwError(error, 'storage-swapped')) throw error;
      log.error({ reason: error.message }, 'the storage of this node is not its own');
      return new NodeReplicas(options, undefined, records, undefined, error);
    }
    const self: { replicas?: NodeReplicas } = {};
    const acquaintances = new Acquaintances({
      transport,
      record,
      clock,
      log,
      onAgreed: () => self.replicas?.parts?.start.agreed(),
      onDenied: (peer, error) => self.replicas?.parts?.start.denied(peer, error),
    });
    self.replicas = new NodeReplicas(options, record, records, acquaintances, undefined);
    return self.replicas;
  }

  /** Whose Raft messages the engine may take. */
  get gate(): PeerGate {
    return this.acquaintances ?? { accepts: () => false, agrees: () => false };
  }

  /**
   * The index that the log of a group's replica must reach before it votes: what the leader that asked for it had
   * applied, which is all that an earlier replica here, removed since, can have helped to commit.
   */
  voteFloor(groupId: string): number {
    return this.records.of(groupId).openedAt;
  }

  /** Why this node takes part in nothing; undefined when it does. */
  get refusal(): DwError | undefined {
    return this.swapped ?? this.parts?.start.refusal;
  }

  /** How far this node's start has come; undefined when its storage is not its own. */
  get startState(): IdentityRecord['start'] | undefined {
    return this.record?.start;
  }

  /** What keeps this node from serving, in words for an operator; undefined when nothing does. */
  get obstacle(): string | undefined {
    if (this.refusal !== undefined) return this.refusal.message;
    const silent = this.parts?.start.waitingFor ?? [];
    if (silent.length > 0) {
      return `the storage is new: waiting to hear from ${silent.join(', ')} that none of them knows another storage of this node`;
    }
    const { missing } = this;
    if (missing.length > 0)
      return `replicas are damaged or lost and wait to be brought back: ${missing.join(', ')}`;
    return undefined;
  }

  /** Groups of which this node should have a replica and has none that is whole, as far as it has been told. */
  get missing(): readonly string[] {
    return this.parts?.watch.missing ?? [];
  }

  /** Groups whose files here are damaged. */
  get damaged(): readonly GroupDamage[] {
    return this.options.storage.damagedGroups();
  }

  /** Member changes. @throws DwError when the storage of this node is not its own. */
  get members(): MemberService {
    return this.running().members;
  }

  /** The last resort. @throws DwError when the storage of this node is not its own. */
  get recovery(): GroupRecovery {
    return this.running().recovery;
  }

  /** Recoveries that a group went through, as this node has been told. */
  recoveries(groupId: string): readonly RecoveryNote[] {
    return this.records.of(groupId).recovered;
  }

  /** Gives it the engine that it drives, and the router that finds leaders. Call it once. */
  attach(engine: MultiRaftEngine, router: GroupRouter): void {
    const { record, records, acquaintances } = this;
    if (record === undefined || acquaintances === undefined) return;
    const { placements, log, clock, transport, storage } = this.options;
    const client = new ReplicaClient(transport);
    const common = { engine, client, records, clock, log, turns: new GroupTurns() };
    const { isLeaving = () => false } = this.options;
    const changes = new MemberChanges({ ...common, isLeaving });
    const removal = new ReplicaRemoval({
      ...common,
      local: router.local,
      joins: (groupId, node) => changes.joins(groupId, node),
    });
    const repairs = new RepairLeader({ ...common, changes, isLeaving });
    const recovery = new GroupRecovery({ ...common, storage });
    const gate = this.gate;
    this.parts = {
      start: new NodeStart({ engine, record, acquaintances, placements, log }),
      members: new MemberService(router, changes, client, clock),
      recovery,
      repairs,
      watch: new RepairWatch({ ...common, storage, returning: () => record.start === 'returning' }),
      removal,
      server: new ReplicaServer({ ...common, transport, gate, removal, changes, repairs, recovery }),
    };
    storage.onGroupDamaged((damage) => {
      log.error(
        { ...damage },
        'a replica is damaged: it leads nothing and votes for nothing until it is repaired',
      );
      engine.closeGroup(damage.groupId).catch((error: unknown) => {
        log.error(
          { group: damage.groupId, reason: errorMessage(error) },
          'could not close a damaged replica',
        );
      });
    });
  }

  /** Opens what is on the disk, and makes what is to be made. @throws DwError of the storage. */
  async start(engine: MultiRaftEngine): Promise<void> {
    const { parts } = this;
    if (parts === undefined) {
      await engine.start([]);
      return;
    }
    await parts.start.start(this.onDisk());
    for (const damage of this.damaged) {
      this.options.log.error({ ...damage }, 'a replica is damaged: it is left closed until it is repaired');
    }
    parts.server.start();
    parts.removal.start();
    parts.watch.start();
  }

  /** Forgets the storage of a node that was removed from the cluster. */
  async forgetPeer(id: string): Promise<void> {
    await this.record?.forget(id);
  }

  stop(): void {
    const { parts } = this;
    if (parts === undefined) return;
    parts.watch.stop();
    parts.removal.stop();
    parts.server.stop();
    parts.start.stop();
  }

  private running(): Parts {
    if (this.parts === undefined) throw this.swapped ?? engineNotRunning();
    return this.parts;
  }

  private onDisk(): readonly GroupPlacement[] {
    const { placements, storage } = this.options;
    const configured = new Map(placements.map((placement) => [placement.id, placement]));
    return storage.groupIds.map((id) => {
      const { machine } = this.records.of(id);
      const unknown = { id, voters: [], preferredLeader: '', ...(machine === undefined ? {} : { machine }) };
      return configured.get(id) ?? unknown;
    });
  }
}
