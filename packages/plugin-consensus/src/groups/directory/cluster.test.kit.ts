// Nodes of one cluster that live by its directory, in one process: real engines, routers and directories on a network
// and disks in memory, with time in the test's hand.

import { MemoryBackingStore } from '@datawarehouse/sdk';
import type { ClusterNode, IClusterDirectory, Logger } from '@datawarehouse/sdk';
import { FakeClock, MemoryNetwork, settle } from '@datawarehouse/sdk/testing';
import { MultiRaftEngine } from '../../engine/multi-raft-engine.js';
import { CONSENSUS_LIMITS } from '../../scaling/consensus-limits.js';
import type { ConsensusLimits } from '../../scaling/consensus-limits.js';
import type { MemoryStorageImage } from '../../storage/index.js';
import { MemoryNodeStorage } from '../../storage/index.js';
import { GroupRouter } from '../group-router.js';
import { NodeReplicas } from '../node-replicas.js';
import { ClusterService } from './cluster-service.js';
import { DIRECTORY_GROUP, DIRECTORY_MACHINE } from './directory-types.js';
import { addressesOf } from './directory.test.kit.js';

const LIMITS = Object.fromEntries(
  Object.entries(CONSENSUS_LIMITS).map(([name, limit]) => [name, limit.default]),
) as ConsensusLimits;

/** A node that runs. */
export interface DirectoryTestNode {
  readonly id: string;
  readonly service: ClusterService;
  readonly engine: MultiRaftEngine;
  readonly router: GroupRouter;
  readonly storage: MemoryNodeStorage;
  readonly replicas: NodeReplicas;
  /** Ids of the nodes that it deals with, itself left out. */
  readonly members: () => string;
  readonly stop: () => Promise<void>;
}

/** How a node is started. */
export interface StartOptions {
  /** Nodes that its configuration names; default: those that the cluster begins with. */
  readonly configured?: readonly string[];
  readonly joins?: boolean;
  readonly groups?: number;
  /** Another address than the scheme gives. */
  readonly peer?: string;
}

/** A cluster that begins with `first` nodes and can have `all`. */
export class DirectoryTestCluster {
  readonly clock = new FakeClock();
  readonly network: MemoryNetwork;
  readonly nodes = new Map<string, DirectoryTestNode>();
  readonly logs: { readonly node: string; readonly level: string; readonly message: string }[] = [];
  private readonly stores = new Map<string, MemoryBackingStore>();
  private readonly images = new Map<string, MemoryStorageImage>();
  private readonly dead: DirectoryTestNode[] = [];
  private seed = 1;

  constructor(
    private readonly first: number,
    all: number,
  ) {
    this.network = new MemoryNetwork({
      nodes: Array.from({ length: all }, (_, n) => `n${n + 1}`),
      clock: this.clock,
    });
  }

  node(id: string): DirectoryTestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`${id} does not run`);
    return node;
  }

  /** Starts the first nodes and waits until all know a made directory. */
  async start(): Promise<void> {
    for (const id of this.firstIds()) await this.startNode(id);
    await this.until('the directory is made', () =>
      [...this.nodes.values()].every(({ service }) => service.view.version > 0),
    );
  }

  async startNode(id: string, options: StartOptions = {}): Promise<DirectoryTestNode> {
    const image = this.images.get(id);
    const storage = new MemoryNodeStorage(image === undefined ? {} : { image });
    const store = this.stores.get(id) ?? new MemoryBackingStore();
    this.stores.set(id, store);
    const { clock } = this;
    const log = this.logger(id);
    const transport = this.network.transport(id);
    const { configured = this.firstIds(), joins = false, groups = 1, peer } = options;
    const members = new Map(configured.map((other) => [other, numbered(other).peer]));
    const path = (name: string): string => `dw://test/${name}`;
    const service = await ClusterService.open({
      nodeId: id,
      addresses: { ...numbered(id), ...(peer === undefined ? {} : { peer }) },
      storageId: storage.storageId,
      transport,
      cluster: fakeCluster(id, members),
      clock,
      log,
      store,
      path: path('directory'),
      formerPath: path('groups'),
      configured: joins ? undefined : { peers: Object.fromEntries(members), groups, votersPerGroup: 3 },
    });
    const placements = service.placements();
    const replicas = await NodeReplicas.open({
      nodeId: id,
      transport,
      storage,
      store,
      storePath: path,
      clock,
      log,
      placements,
      isLeaving: service.isLeaving,
    });
    const parts: { router?: GroupRouter } = {};
    const engine = new MultiRaftEngine({
      nodeId: id,
      transport,
      storage,
      clock,
      log,
      limits: () => LIMITS,
      gate: replicas.gate,
      random: () => this.random(),
      machines: new Map([[DIRECTORY_MACHINE, service.createState]]),
      onLeaderChanged: (group) => {
        parts.router?.leaderChanged();
        service.leaderChanged(group);
      },
    });
    const groupOf = (key: string): string => service.table.groupOf(key);
    const router = new GroupRouter(engine, transport, clock, log, service.table, groupOf, () => LIMITS);
    parts.router = router;
    replicas.attach(engine, router);
    if (service.standing === 'retired') await engine.start([]);
    else await replicas.start(engine);
    await service.start({ engine, router, replicas });
    const node: DirectoryTestNode = {
      id,
      service,
      engine,
      router,
      storage,
      replicas,
      members: () =>
        [...members.keys()]
          .filter((other) => other !== id)
          .sort()
          .join(' '),
      stop: async () => {
        replicas.stop();
        await service.stop();
        router.stop();
        await engine.stop();
      },
    };
    this.nodes.set(id, node);
    return node;
  }

  /** Ends a node as kill -9 does: what its disks hold stays. */
  crash(id: string): void {
    const node = this.node(id);
    this.images.set(id, node.storage.image());
    this.network.transport(id).close();
    this.nodes.delete(id);
    this.dead.push(node);
    // It runs on in this process, but nobody hears it, and what it writes from now on is not looked at again.
    void node.stop();
  }

  /** Empties the disks of a node that does not run. */
  wipe(id: string): void {
    this.images.delete(id);
    this.stores.delete(id);
  }

  /**
   * Leaves a running node's data as one that knew no directory had it, and ends the node: the record of its groups, and
   * no group of the directory.
   */
  async forgetDirectory(id: string): Promise<void> {
    const { engine, service } = this.node(id);
    const groups = service.table.users();
    await this.settle(engine.destroyGroup(DIRECTORY_GROUP));
    const store = this.stores.get(id);
    this.crash(id);
    await store?.deleteAsync('dw://test/directory');
    await store?.writeAsync('dw://test/groups', Buffer.from(JSON.stringify({ placements: groups })));
  }

  /** The node that leads the directory, as itself sees it. */
  leader(): DirectoryTestNode | undefined {
    return [...this.nodes.values()].find(({ engine }) => engine.group(DIRECTORY_GROUP)?.isLeader === true);
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(10);
      for (let round = 0; round < 3; round++) await settle();
    }
  }

  /** Lets time pass until the condition holds. @throws Error after `maxMs` of the cluster's time. */
  async until(what: string, condition: () => boolean, maxMs = 30_000): Promise<void> {
    for (let passed = 0; !condition(); passed += 10) {
      if (passed >= maxMs) throw new Error(`not within ${maxMs} ms: ${what}`);
      await this.advance(10);
    }
  }

  /** Lets time pass until the promise settles. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const mark = (): void => {
      done = true;
    };
    promise.then(mark, mark);
    await this.until('the promise settles', () => done);
    return promise;
  }

  async stop(): Promise<void> {
    for (const node of [...this.nodes.values(), ...this.dead]) await node.stop();
    this.network.close();
  }

  private firstIds(): readonly string[] {
    return Array.from({ length: this.first }, (_, n) => `n${n + 1}`);
  }

  private logger(node: string): Logger {
    const method =
      (level: string) =>
      (first: unknown, message?: string): void => {
        if (level !== 'debug') this.logs.push({ node, level, message: message ?? String(first) });
      };
    const logger: Logger = {
      debug: method('debug'),
      info: method('info'),
      warn: method('warn'),
      error: method('error'),
      child: () => logger,
    };
    return logger;
  }

  /** Numbers that are the same in each run. */
  private random(): number {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed / 2 ** 32;
  }
}

function numbered(id: string) {
  return addressesOf(Number(id.slice(1)));
}

/** Members as the transport would know them; everybody can be reached. */
function fakeCluster(localId: string, members: Map<string, string>): IClusterDirectory {
  const shown = (id: string, peer: string): ClusterNode => ({
    id,
    peer,
    state: 'alive',
    http: undefined,
    version: undefined,
    pid: undefined,
  });
  return {
    localId,
    nodes: () => [...members].map(([id, peer]) => shown(id, peer)),
    node: (id) => {
      const peer = members.get(id);
      return peer === undefined ? undefined : shown(id, peer);
    },
    admit: ({ id, peer }) => void members.set(id, peer),
    dismiss: (id) => id !== localId && members.delete(id),
    onChanged: () => ({ [Symbol.dispose]: () => {} }),
  };
}
