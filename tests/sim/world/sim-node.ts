// One node of a simulation: its machine (disk and quartz), which stays, and its process, which comes and goes. What runs
// in the process is the product's own code, put together as its plugin does it.

import { FileAppendLog, FileBackingStore, type Logger } from '@datawarehouse/sdk';
import { MultiRaftEngine } from '../../../packages/plugin-consensus/src/engine/multi-raft-engine.js';
import type { RaftGroup } from '../../../packages/plugin-consensus/src/engine/raft-group.js';
import {
  ClusterService,
  type ClusterServiceOptions,
} from '../../../packages/plugin-consensus/src/groups/directory/cluster-service.js';
import {
  DIRECTORY_MACHINE,
  type NodeAddresses,
} from '../../../packages/plugin-consensus/src/groups/directory/directory-types.js';
import type { GroupTable } from '../../../packages/plugin-consensus/src/groups/group-table.js';
import { GroupRouter } from '../../../packages/plugin-consensus/src/groups/group-router.js';
import { KeyValueService } from '../../../packages/plugin-consensus/src/groups/key-value-service.js';
import { NodeReplicas } from '../../../packages/plugin-consensus/src/groups/node-replicas.js';
import type { GroupPlacement } from '../../../packages/plugin-consensus/src/groups/placement.js';
import type { ConsensusLimits } from '../../../packages/plugin-consensus/src/scaling/consensus-limits.js';
import { FileNodeStorage } from '../../../packages/plugin-consensus/src/storage/index.js';
import type { Checks } from '../checks/checks.js';
import type { PowerLoss } from './inode.js';
import type { Prng } from './prng.js';
import type { Owner, Scheduler } from './scheduler.js';
import { type Quartz, SimClock } from './sim-clock.js';
import { SimDisk } from './sim-disk.js';
import { SimLogFiles, SimStorageFiles } from './sim-files.js';
import type { SimNetwork } from './sim-network.js';
import { SimMembers, addressOf } from './sim-members.js';
import type { HostilePolicies } from './sim-policies.js';
import { SimTransport } from './sim-transport.js';
import type { Trace } from './trace.js';

/** Sizes of a node's storage, small enough that a short run sees every kind of turnover. */
export interface StorageSizes {
  readonly entriesPerSegment: number;
  readonly maxSegmentBytes: number;
  readonly checkpointBytes: number;
  readonly maxLagBytes: number;
  readonly flushBytes: number;
  readonly cacheBytesPerGroup: number;
}

/** What all nodes of a simulation have in common. */
export interface Setting {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly prng: Prng;
  readonly checks: Checks;
  readonly placements: readonly GroupPlacement[];
  /** The same for all that runs without a directory: to make it anew takes a while, and it never changes. */
  readonly table: GroupTable;
  /** How many groups and voters the cluster's directory begins with; undefined for a cluster that has none. */
  readonly directory: { readonly groups: number; readonly votersPerGroup: number } | undefined;
  /** The policies that requests between nodes go through, if they do. */
  readonly policies: HostilePolicies | undefined;
  readonly groupOf: (key: string) => string;
  readonly limits: ConsensusLimits;
  readonly sizes: StorageSizes;
  /** How the journal gets to the disk. */
  readonly syncBy: 'write' | 'fdatasync';
}

/** A process that runs. */
export interface Life extends Owner {
  readonly number: number;
  engine: MultiRaftEngine | undefined;
  replicas: NodeReplicas | undefined;
  store: KeyValueService | undefined;
  service: ClusterService | undefined;
  /** Why the storage takes nothing any more. */
  storageFailure: unknown;
  /** Called when the process ends. */
  readonly onEnd: Set<() => void>;
}

/** Where a node is between its starts and ends. */
export type NodeState = 'down' | 'starting' | 'up' | 'refused';

/** A machine with a process on it, or without one. */
export class SimNode {
  readonly disk: SimDisk;
  readonly quartz: Quartz = { rate: 1, wallOffset: 0, leapt: 0 };
  life: Life | undefined;
  /** Called when a group of this node has changed its members here. */
  readonly onMembersChanged = new Set<(group: RaftGroup) => void>();
  state: NodeState = 'down';
  /** What the last start failed with; undefined when its disk failed at that time. */
  refusal: unknown;
  private lives = 0;
  private knewItself = false;
  /** Whom it was told to join; empty for one of the first nodes. */
  private contacts: readonly string[] = [];

  /** @param first The nodes that the cluster begins with; another one is not there before it {@link join}s. */
  constructor(
    readonly id: string,
    private readonly first: readonly string[],
    private readonly setting: Setting,
  ) {
    const { scheduler, trace, prng } = setting;
    this.disk = new SimDisk(id, scheduler, trace, prng.stream(`disk of ${id}`));
  }

  /** Whether there is such a machine: one of the first, or one that was told to join. */
  get isThere(): boolean {
    return this.first.includes(this.id) || this.contacts.length > 0;
  }

  /**
   * Whether it has learned, in this life or an earlier one, that its storage is its first. Until then it votes in nothing
   * before it has heard from all other voters: it cannot tell a new disk from one that was wiped.
   */
  get knowsItself(): boolean {
    const start = this.life?.replicas?.startState;
    return this.knewItself || start === 'member' || start === 'returning';
  }

  /** Starts for the first time, to join those who run. */
  join(contacts: readonly string[]): void {
    this.contacts = contacts;
    this.start();
  }

  /** Starts the process on what the disk holds. It is up some time later, or has refused. */
  start(): void {
    if (!this.isThere) return;
    const life: Life = {
      name: this.id,
      alive: true,
      pausedUntil: 0,
      number: ++this.lives,
      engine: undefined,
      replicas: undefined,
      store: undefined,
      service: undefined,
      storageFailure: undefined,
      onEnd: new Set(),
    };
    this.life = life;
    const { failures } = this.disk.trouble;
    this.state = 'starting';
    this.note('start');
    this.boot(life).then(
      () => {
        if (life.alive) this.state = 'up';
        this.note('up');
      },
      (error: unknown) => {
        this.refusal = this.disk.trouble.failures > failures ? undefined : error;
        this.end(life);
        this.state = 'refused';
        this.note(`refused to start: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
  }

  /** Ends the process as kill -9 does. With a `loss`, the machine loses its power as well. */
  crash(loss?: PowerLoss): void {
    if (this.life !== undefined) this.end(this.life);
    this.state = 'down';
    if (loss !== undefined) this.disk.losePower(loss);
    this.note(`crash ${loss ?? 'of the process'}`);
  }

  private end(life: Life): void {
    this.knewItself = this.knowsItself;
    life.alive = false;
    this.life = undefined;
    this.setting.network.leave(this.id);
    this.disk.cutShort(life);
    for (const tell of life.onEnd) tell();
  }

  private async boot(life: Life): Promise<void> {
    const { scheduler, network, checks, limits, prng } = this.setting;
    const stream = prng.stream(`${this.id} life ${life.number}`);
    const clock = new SimClock(scheduler, life, this.quartz, stream.unit);
    const log = this.logger();
    const opened = await this.openStorage(life, clock, stream);
    const storage = checks.watchStorage(this.id, life, opened);
    const store = await FileBackingStore.open({
      directory: 'store',
      segmentBytes: 64 * 1024,
      maxValueBytes: 256 * 1024,
      files: new SimLogFiles(this.disk, life, 'store'),
      clock,
      randomBytes: stream.bytes,
      onFailed: (error) => this.storageFailed(life, error),
    });
    const peers = [...this.first, ...this.contacts].filter((id) => id !== this.id);
    const members = new SimMembers(this.id, network, peers);
    const joined = new SimTransport(this.id, life, network, (peer) => members.has(peer));
    network.join(joined);
    const calls = this.setting.policies?.calls(this.id, clock, stream.unit);
    const transport = calls?.over(joined) ?? joined;
    const base = { nodeId: this.id, transport, clock, log, store };
    const service = await this.openDirectory(base, members, storage.storageId);
    const placements = service?.placements() ?? this.setting.placements;
    const replicas = await NodeReplicas.open({
      ...base,
      storage,
      storePath,
      placements,
      ...(service === undefined ? {} : { isLeaving: service.isLeaving }),
    });
    const router: { current?: GroupRouter } = {};
    const engine = new MultiRaftEngine({
      nodeId: this.id,
      incarnation: `${this.id}-${life.number}`,
      transport,
      storage,
      clock,
      log,
      limits: () => limits,
      random: stream.unit,
      gate: replicas.gate,
      voteFloor: (groupId) => replicas.voteFloor(groupId),
      ...(service === undefined ? {} : { machines: new Map([[DIRECTORY_MACHINE, service.createState]]) }),
      onLeaderChanged: (group) => {
        if (group.isLeader) checks.leader(this.id, group);
        router.current?.leaderChanged();
        service?.leaderChanged(group);
      },
      onMembersChanged: (group) => {
        router.current?.leaderChanged();
        for (const tell of this.onMembersChanged) tell(group);
      },
      onReplicasChanged: () => router.current?.leaderChanged(),
    });
    checks.watchEngine(this.id, life, engine);
    const firstId = stream.below(2 ** 40);
    const groupOf =
      service === undefined ? this.setting.groupOf : (key: string) => service.table.groupOf(key);
    const groups = service?.table ?? this.setting.table;
    const now = (): ConsensusLimits => limits;
    const current = new GroupRouter(engine, transport, clock, log, groups, groupOf, now, firstId, calls);
    router.current = current;
    replicas.attach(engine, current);
    if (service?.standing === 'retired') await engine.start([]);
    else await replicas.start(engine);
    await service?.start({ engine, router: current, replicas });
    const ids = placements.map(({ id }) => id);
    life.engine = engine;
    life.replicas = replicas;
    life.service = service;
    const keyGroups = (): readonly string[] => service?.table.keyGroups() ?? ids;
    life.store = new KeyValueService(current, keyGroups, groupOf, () => limits);
  }

  /** The cluster's directory as this node lives in it. */
  private async openDirectory(
    base: Pick<ClusterServiceOptions, 'nodeId' | 'transport' | 'clock' | 'log' | 'store'>,
    cluster: SimMembers,
    storageId: string,
  ): Promise<ClusterService | undefined> {
    const { directory } = this.setting;
    if (directory === undefined) return undefined;
    const peers = Object.fromEntries(this.first.map((id) => [id, addressOf(id)]));
    return ClusterService.open({
      ...base,
      addresses: addressesOf(this.id),
      storageId,
      cluster,
      path: storePath('directory'),
      formerPath: storePath('groups'),
      configured: this.contacts.length > 0 ? undefined : { peers, ...directory },
    });
  }

  private async openStorage(life: Life, clock: SimClock, stream: Prng): Promise<FileNodeStorage> {
    const storage = await FileNodeStorage.open({
      directory: 'raft',
      ...this.setting.sizes,
      clock,
      randomBytes: stream.bytes,
      files: new SimStorageFiles(this.disk, life, 'raft'),
      openLog: (_directory, onFailed) =>
        FileAppendLog.open({
          directory: 'raft/journal',
          name: 'raft journal',
          segmentBytes: 64 * 1024,
          maxRecordBytes: 1024 * 1024,
          syncBy: this.setting.syncBy,
          files: new SimLogFiles(this.disk, life, 'journal'),
          clock,
          randomBytes: stream.bytes,
          onFailed,
        }),
    });
    storage.onFailed((error) => this.storageFailed(life, error));
    return storage;
  }

  private storageFailed(life: Life, error: Error): void {
    life.storageFailure = error;
    this.note(`storage failed: ${error.message}`);
  }

  private note(text: string): void {
    this.setting.trace.note(this.setting.scheduler.now, this.id, text);
  }

  private logger(): Logger {
    const { trace } = this.setting;
    const line =
      (level: string) =>
      (first: unknown, message?: string): void => {
        if (!trace.verbose) return;
        const fields = typeof first === 'string' ? '' : JSON.stringify(first, plain);
        this.note(`${level}: ${message ?? String(first)} ${fields}`);
      };
    const log: Logger = {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: () => log,
    };
    return log;
  }
}

/** Where a node can be reached. */
export function addressesOf(id: string): NodeAddresses {
  return { peer: addressOf(id), http: null, client: null };
}

function storePath(name: string): string {
  return `dw://consensus/${name}`;
}

function plain(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}
