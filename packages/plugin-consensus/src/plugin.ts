// The plugin: Multi-Raft and the replicated key-value store as services, routes, limits and bus topics of a host.

import { join } from 'node:path';
import type {
  ClusterHealthInfo,
  ConsensusResult,
  ConsensusState,
  HealthCheckResult,
  IClusterDirectory,
  NodeInfo,
  PluginContext,
} from '@datawarehouse/sdk';
import {
  CLUSTER_DIRECTORY,
  CONSENSUS_ENGINE,
  ConsensusPluginBase,
  GroupsChanged,
  KEY_VALUE_STORE,
  LeaderChanged,
  PEER_TRANSPORT,
  RESILIENCE,
  SdkCompatibility,
} from '@datawarehouse/sdk';
import { ClientAccess } from './client-port/client-access.js';
import { MultiRaftEngine } from './engine/multi-raft-engine.js';
import type { RaftGroup } from './engine/raft-group.js';
import { engineNotRunning, overloaded } from './errors.js';
import { ConsensusEngineService } from './groups/consensus-engine.js';
import { ClusterService } from './groups/directory/cluster-service.js';
import type { NodeAddresses } from './groups/directory/directory-types.js';
import { DIRECTORY_MACHINE, isSystemGroup } from './groups/directory/directory-types.js';
import type { ConfiguredCluster } from './groups/directory/first-directory.js';
import { GroupRouter } from './groups/group-router.js';
import { KeyValueService } from './groups/key-value-service.js';
import { PeerCalls } from './groups/peer-calls/peer-calls.js';
import { NodeReplicas } from './groups/node-replicas.js';
import { clusterRoutes } from './http/cluster-routes.js';
import { groupRoutes } from './http/group-routes.js';
import { keyValueRoutes } from './http/kv-routes.js';
import { sessionRoutes } from './http/session-routes.js';
import { healthOf } from './health.js';
import { MachineGroups } from './machines/machine-groups.js';
import { MachineRecord } from './machines/machine-record.js';
import { ConsensusScalingManager } from './scaling/consensus-scaling-manager.js';
import type { NodeStorage } from './storage/index.js';
import { FileNodeStorage } from './storage/index.js';

const DEFAULT_GROUPS = 3;
const DEFAULT_VOTERS = 3;
/** Above what the limits let wait for the disk, so that the storage never has to refuse. */
const MAX_PENDING_BYTES = 512 * 1024 * 1_024;

/** A node that joins is not ready for this long, or until it knows the groups. */
const LEARN_MS = 10_000;

interface Running {
  readonly context: PluginContext;
  readonly directory: ClusterService;
  readonly machines: MachineGroups;
  readonly storage: NodeStorage;
  readonly engine: MultiRaftEngine;
  readonly replicas: NodeReplicas;
  readonly router: GroupRouter;
  readonly service: ConsensusEngineService;
  readonly clients: ClientAccess;
}

/** Multi-Raft consensus with a replicated key-value store. */
@SdkCompatibility('1.0.0')
export class UltimateConsensusPlugin extends ConsensusPluginBase {
  readonly id = 'com.datawarehouse.consensus.ultimate';
  readonly name = 'Ultimate Consensus';
  readonly version = '0.1.0';
  readonly scaling = new ConsensusScalingManager();
  private running: Running | undefined;

  override async initializeAsync(context: PluginContext): Promise<void> {
    const { config, node, log, clock, services } = context;
    // Everything but Raft's own messages goes through the policy of requests to peers, where there is one.
    const calls = new PeerCalls(() => services.tryGet(RESILIENCE), clock);
    const transport = calls.over(services.get(PEER_TRANSPORT));
    const cluster = services.get(CLUSTER_DIRECTORY);
    const storage = await FileNodeStorage.open({
      directory: join(context.dataDir, 'raft'),
      maxPendingBytes: MAX_PENDING_BYTES,
    });
    context.onDispose(() => storage.close());
    const limits = () => this.scaling.current;
    const own = cluster.node(node.nodeId)?.peer ?? `${node.peer.host}:${node.peer.port}`;
    const directory = await ClusterService.open({
      nodeId: node.nodeId,
      addresses: addressesOf(node, own),
      storageId: storage.storageId,
      transport,
      cluster,
      clock,
      log,
      store: context.store,
      path: context.storePath('directory'),
      formerPath: context.storePath('groups'),
      configured: node.joins === true ? undefined : configuredCluster(cluster, own, config),
    });
    context.onDispose(() => directory.stop());
    const replicas = await NodeReplicas.open({
      nodeId: node.nodeId,
      transport,
      storage,
      store: context.store,
      storePath: (name) => context.storePath(name),
      clock,
      log,
      placements: directory.placements(),
      isLeaving: directory.isLeaving,
    });
    const record = await MachineRecord.open(context.store, context.storePath('machines'));
    const machines = new MachineGroups(
      {
        nodeId: node.nodeId,
        storageId: storage.storageId,
        directory,
        record,
        onDisk: () => storage.groupIds,
        clock,
        log,
      },
      new Map([[DIRECTORY_MACHINE, directory.createState]]),
    );
    context.onDispose(() => machines.stop());
    const { table } = directory;
    const groupOf = (key: string): string => table.groupOf(key);
    const engine = new MultiRaftEngine({
      nodeId: node.nodeId,
      transport,
      storage,
      clock,
      log,
      limits,
      gate: replicas.gate,
      voteFloor: (groupId) => replicas.voteFloor(groupId),
      machines: machines.factories,
      onLeaderChanged: (group) => this.leaderChanged(group),
      onMembersChanged: (group) => this.groupsChanged(group, 'members'),
      onReplicasChanged: (group, change) => this.groupsChanged(group, change),
    });
    const router = new GroupRouter(engine, transport, clock, log, table, groupOf, limits, undefined, calls);
    replicas.attach(engine, router);
    const store = new KeyValueService(router, () => table.keyGroups(), groupOf, limits);
    const service = new ConsensusEngineService(engine, router, transport, table, groupOf, machines);
    context.onDispose(async () => {
      replicas.stop();
      router.stop();
      await engine.stop();
    });
    const clients = new ClientAccess({
      node,
      transport,
      clock,
      log,
      engine,
      router,
      groupIds: () => table.keyGroups(),
      groupOf,
      limits,
    });
    context.onDispose(() => clients.stop());
    this.running = { context, directory, machines, storage, engine, replicas, router, service, clients };
    services.provide(CONSENSUS_ENGINE, service);
    services.provide(KEY_VALUE_STORE, store);
    this.scaling.show({ engine, storage, router, store, transport, groups: table, clients });
    await context.scaling.register(this.scaling);
    const routes = keyValueRoutes(
      store,
      () => limits().maxValueBytes,
      () => admitWrite(engine),
    );
    const sessions = sessionRoutes(store, () => admitWrite(engine));
    const nodes = clusterRoutes(directory, node.clusterId);
    for (const route of [
      ...routes,
      ...sessions,
      ...groupRoutes({ router, engine, replicas, machines }, table),
      ...nodes,
    ]) {
      context.routes.add(route);
    }
  }

  override async activateAsync(): Promise<void> {
    const { engine, router, directory, machines, replicas, clients } = this.parts();
    if (directory.standing === 'retired') await engine.start([]);
    else await replicas.start(engine);
    await directory.start({ engine, router, replicas });
    // Who is told that this node is ready may use it at once. If its peers are slow it says so in its health instead.
    await directory.learned(LEARN_MS);
    machines.start(engine);
    await clients.start();
  }

  override async drainAsync(signal: AbortSignal): Promise<void> {
    await this.running?.engine.drain(signal);
  }

  override async shutdownAsync(): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    this.running = undefined;
    this.scaling.show(undefined);
    await running.clients.stop();
    running.machines.stop();
    running.replicas.stop();
    await running.directory.stop();
    running.router.stop();
    await running.engine.stop();
    await running.storage.close();
  }

  override checkHealthAsync(): HealthCheckResult {
    return healthOf(this.parts());
  }

  /**
   * Proposes opaque data to the first group: it is committed there in order, on the disks of a majority, and changes no
   * key. For state of your own over all groups, propose to a group that you choose with {@link proposeToGroupAsync}.
   */
  async proposeAsync(data: Uint8Array, signal?: AbortSignal): Promise<ConsensusResult> {
    const { service, directory } = this.parts();
    return service.proposeAsync(directory.table.keyGroups()[0] ?? '', data, signal);
  }

  /** Proposes opaque data to a group. @throws DwError `group-unknown`; the signal's reason. */
  async proposeToGroupAsync(
    groupId: string,
    data: Uint8Array,
    signal?: AbortSignal,
  ): Promise<ConsensusResult> {
    return this.parts().service.proposeAsync(groupId, data, signal);
  }

  async isLeaderAsync(): Promise<boolean> {
    return userGroups(this.parts().engine).some((group) => group.isLeader);
  }

  /** Leader if this node leads any group; the indexes are the sums over its groups. */
  async getStateAsync(): Promise<ConsensusState> {
    const statuses = userGroups(this.parts().engine).map((group) => group.status());
    const leading = statuses.find((status) => status.state === 'leader');
    const shown = leading ?? statuses[0];
    return {
      state: shown?.state ?? 'follower',
      ...(shown?.leaderId === undefined ? {} : { leaderId: shown.leaderId }),
      commitIndex: statuses.reduce((sum, status) => sum + status.commitIndex, 0),
      lastApplied: statuses.reduce((sum, status) => sum + status.lastApplied, 0),
    };
  }

  async getClusterHealthAsync(): Promise<ClusterHealthInfo> {
    return this.parts().service.health();
  }

  private groupsChanged(group: RaftGroup, change: string): void {
    const { running } = this;
    if (running === undefined) return;
    running.router.leaderChanged();
    running.directory.leaderChanged(group);
    if (isSystemGroup(group)) return;
    const voters = [...group.conf.voters];
    running.context.bus.publish(GroupsChanged, { groupId: group.id, change, voters });
  }

  private leaderChanged(group: RaftGroup): void {
    const { running } = this;
    if (running === undefined) return;
    running.router.leaderChanged();
    running.clients.leaderChanged();
    running.directory.leaderChanged(group);
    if (isSystemGroup(group)) return;
    const leaderId = group.leader;
    running.context.bus.publish(LeaderChanged, {
      groupId: group.id,
      term: group.term,
      ...(leaderId === undefined ? {} : { leaderId }),
    });
  }

  private parts(): Running {
    if (this.running === undefined) throw engineNotRunning();
    return this.running;
  }
}

/** The groups that have a replica here, without those of the machinery. */
function userGroups(engine: MultiRaftEngine): readonly RaftGroup[] {
  return engine.all().filter((group) => !isSystemGroup(group));
}

/** Refuses a write before its body is read when this node has no room for it anyway. */
function admitWrite(engine: MultiRaftEngine): void {
  const { budget, limits } = engine;
  if (budget.count >= limits.maxPendingProposals) throw overloaded('writes', 'maxPendingProposals', 1_000);
  if (budget.bytes >= limits.maxPendingProposalBytes) {
    throw overloaded('writes', 'maxPendingProposalBytes', 1_000);
  }
}

/** Where other nodes reach this one. */
function addressesOf({ httpUrl, client }: NodeInfo, peer: string): NodeAddresses {
  return {
    peer,
    http: httpUrl,
    client: client === undefined ? null : `${client.host}:${client.port}`,
  };
}

/** What the configuration says of a new cluster. */
function configuredCluster(
  cluster: IClusterDirectory,
  own: string,
  config: Readonly<Record<string, unknown>>,
): ConfiguredCluster {
  const { groups, votersPerGroup } = config;
  const peers = Object.fromEntries(cluster.nodes().map(({ id, peer }) => [id, peer]));
  return {
    peers: { ...peers, [cluster.localId]: own },
    groups: typeof groups === 'number' ? groups : DEFAULT_GROUPS,
    votersPerGroup: typeof votersPerGroup === 'number' ? votersPerGroup : DEFAULT_VOTERS,
  };
}
