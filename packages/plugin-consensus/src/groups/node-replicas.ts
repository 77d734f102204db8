// All that decides which replicas a node has: who it is, what is on its disk, and what leaders and operators ask of it.
// The plugin and the tests build a node from it in the same way.

import type { Clock, DwError, IPeerTransport, IPersistentBackingStore, Logger } from '@datawarehouse/sdk';
import { isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import type { PeerGate } from '../engine/peer-gate.js';
import type { NodeStorage } from '../storage/types.js';
import { Acquaintances } from './identity/acquaintances.js';
import { IdentityRecord } from './identity/identity-record.js';
import { NodeStart } from './identity/node-start.js';
import type { GroupPlacement } from './placement.js';

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
}

/** The replicas of one node. Made before the engine, which needs its gate; then `attach`, then `start`. */
export class NodeReplicas {
  private nodeStart: NodeStart | undefined;

  private constructor(
    private readonly options: NodeReplicasOptions,
    private readonly record: IdentityRecord | undefined,
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
    let record: IdentityRecord;
    try {
      record = await IdentityRecord.open(store, storePath('identity'), nodeId, identity);
    } catch (error) {
      if (!isDwError(error, 'storage-swapped')) throw error;
      log.error({ reason: error.message }, 'the storage of this node is not its own');
      return new NodeReplicas(options, undefined, undefined, error);
    }
    const self: { replicas?: NodeReplicas } = {};
    const acquaintances = new Acquaintances({
      transport,
      record,
      clock,
      log,
      onAgreed: () => self.replicas?.nodeStart?.agreed(),
      onDenied: (peer, error) => self.replicas?.nodeStart?.denied(peer, error),
    });
    self.replicas = new NodeReplicas(options, record, acquaintances, undefined);
    return self.replicas;
  }

  /** Whose Raft messages the engine may take. */
  get gate(): PeerGate {
    return this.acquaintances ?? { accepts: () => false, agrees: () => false };
  }

  /** Why this node takes part in nothing; undefined when it does. */
  get refusal(): DwError | undefined {
    return this.swapped ?? this.nodeStart?.refusal;
  }

  /** How far this node's start has come; undefined when its storage is not its own. */
  get startState(): IdentityRecord['start'] | undefined {
    return this.record?.start;
  }

  /** What keeps this node from serving, in words for an operator; undefined when nothing does. */
  get obstacle(): string | undefined {
    if (this.refusal !== undefined) return this.refusal.message;
    const missing = this.nodeStart?.waitingFor ?? [];
    if (missing.length > 0) {
      return `the storage is new: waiting to hear from ${missing.join(', ')} that none of them knows another storage of this node`;
    }
    return undefined;
  }

  /** Gives it the engine that it drives. Call it once. */
  attach(engine: MultiRaftEngine): void {
    const { record, acquaintances } = this;
    if (record === undefined || acquaintances === undefined) return;
    const { placements, log } = this.options;
    this.nodeStart = new NodeStart({ engine, record, acquaintances, placements, log });
  }

  /** Opens what is on the disk, and makes what is to be made. @throws DwError of the storage. */
  async start(engine: MultiRaftEngine): Promise<void> {
    if (this.nodeStart === undefined) await engine.start([]);
    else await this.nodeStart.start(this.onDisk());
  }

  /** Forgets the storage of a node that was removed from the cluster. */
  async forgetPeer(id: string): Promise<void> {
    await this.record?.forget(id);
  }

  stop(): void {
    this.nodeStart?.stop();
  }

  private onDisk(): readonly GroupPlacement[] {
    const { placements, storage } = this.options;
    const configured = new Map(placements.map((placement) => [placement.id, placement]));
    return storage.groupIds.map((id) => configured.get(id) ?? { id, voters: [], preferredLeader: '' });
  }
}
