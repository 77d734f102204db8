// Nodes of one cluster in one process, for tests: real engines and routers on a network and disks in memory, with time in
// the test's hand.

import type { KeyValueWriteOptions } from '@datawarehouse/sdk';
import type { Logger } from '@datawarehouse/sdk';
import { MemoryBackingStore } from '@datawarehouse/sdk';
import { FakeClock, MemoryNetwork, settle } from '@datawarehouse/sdk/testing';
import { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import { NodeReplicas } from '../groups/node-replicas.js';
import { GroupRouter } from '../groups/group-router.js';
import { HashRing } from '../groups/hash-ring.js';
import { KeyValueService } from '../groups/key-value-service.js';
import type { GroupPlacement } from '../groups/placement.js';
import { placeGroups } from '../groups/placement.js';
import { CONSENSUS_LIMITS } from '../scaling/consensus-limits.js';
import type { ConsensusLimits } from '../scaling/consensus-limits.js';
import type { StateFactory } from '../state/replicated-state.js';
import type { MemoryStorageImage } from '../storage/index.js';
import { MemoryNodeStorage } from '../storage/index.js';

/** A log line that a test may look at. */
export interface TestLogLine {
  readonly node: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A node that runs. */
export interface TestNode {
  readonly id: string;
  readonly storage: MemoryNodeStorage;
  readonly engine: MultiRaftEngine;
  readonly router: GroupRouter;
  readonly store: KeyValueService;
  /** What the node knows of who it and its peers are; absent without `identity`. */
  readonly replicas: NodeReplicas | undefined;
  /** Stands for the disk: while it is set, no write becomes durable. */
  stall: Promise<void> | undefined;
  /** Ends the stall. */
  unstall: () => void;
}

/** Options of a {@link TestCluster}. */
export interface TestClusterOptions {
  readonly nodes?: number;
  readonly groups?: number;
  readonly votersPerGroup?: number;
  readonly limits?: Partial<ConsensusLimits>;
  /** Nodes introduce themselves to each other, and one whose disk was wiped is known for it. Default false. */
  readonly identity?: boolean;
  /** State machines of a node besides the key-value store. */
  readonly machines?: (nodeId: string) => ReadonlyMap<string, StateFactory>;
  /** Groups besides those of keys, on all nodes. */
  readonly machineGroups?: readonly { readonly id: string; readonly machine: string }[];
  /** Nodes that exist and vote in nothing at first, besides `nodes`. */
  readonly spares?: number;
}

const DEFAULTS = Object.fromEntries(
  Object.entries(CONSENSUS_LIMITS).map(([name, limit]) => [name, limit.default]),
) as ConsensusLimits;

/** A cluster in one process. */
export class TestCluster {
  readonly clock = new FakeClock();
  readonly network: MemoryNetwork;
  readonly ids: readonly string[];
  readonly placements: readonly GroupPlacement[];
  readonly ring: HashRing;
  readonly nodes = new Map<string, TestNode>();
  readonly logs: TestLogLine[] = [];
  /** Nodes that are being retired, as all others know. */
  readonly leaving = new Set<string>();
  /** Nodes whose disk was made to fail. */
  readonly broken = new Set<string>();
  limits: ConsensusLimits;
  private readonly images = new Map<string, MemoryStorageImage>();
  /** The plugin's store of each node, which lies on the same disk as its Raft storage. */
  private readonly stores = new Map<string, MemoryBackingStore>();
  private readonly identity: boolean;
  private readonly machines: TestClusterOptions['machines'];
  /** Engines that were cut off as by a crash; stopped at the end so that nothing is left. */
  private readonly dead: TestNode[] = [];
  private seed = 1;

  constructor(options: TestClusterOptions = {}) {
    const { nodes = 3, groups = 3, votersPerGroup = 3, spares = 0, identity = false } = options;
    this.ids = Array.from({ length: nodes + spares }, (_, n) => `n${n + 1}`);
    this.identity = identity;
    this.limits = { ...DEFAULTS, ...options.limits };
    this.network = new MemoryNetwork({ nodes: this.ids, clock: this.clock });
    this.machines = options.machines;
    const voters = this.ids.slice(0, nodes);
    const keyed = placeGroups(voters, groups, votersPerGroup);
    this.ring = new HashRing(keyed.map(({ id }) => id));
    const others = (options.machineGroups ?? []).map((group) => {
      return { ...group, voters, preferredLeader: voters[0] as string };
    });
    this.placements = [...keyed, ...others];
  }

  /** Starts all nodes and waits until every group has a leader that all its replicas know. */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const id of cluster.ids) await cluster.startNode(id);
    await cluster.until('leaders', () => cluster.settled());
    return cluster;
  }

  node(id: string): TestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`${id} does not run`);
    return node;
  }

  /** Starts a node on what its disk holds. */
  async startNode(id: string): Promise<TestNode> {
    const stalled = { now: undefined as Promise<void> | undefined };
    const image = this.images.get(id);
    const storage = new MemoryNodeStorage({
      ...(image === undefined ? {} : { image }),
      sync: async () => {
        while (stalled.now !== undefined) await stalled.now;
        if (this.broken.has(id)) throw new Error('the disk failed');
      },
    });
    const transport = this.network.transport(id);
    const limits = (): ConsensusLimits => this.limits;
    const log = this.logOf(id);
    const router: { current?: GroupRouter } = {};
    const replicas = this.identity ? await this.openReplicas(id, storage, log) : undefined;
    const engine = new MultiRaftEngine({
      nodeId: id,
      ...(replicas === undefined
        ? {}
        : { gate: replicas.gate, voteFloor: (groupId: string) => replicas.voteFloor(groupId) }),
      transport,
      storage,
      clock: this.clock,
      log,
      limits,
      random: () => this.random(),
      ...(this.machines === undefined ? {} : { machines: this.machines(id) }),
      onLeaderChanged: () => router.current?.leaderChanged(),
    });
    const groupOf = (key: string): string => this.ring.groupOf(key);
    router.current = new GroupRouter(engine, transport, this.clock, log, this.placements, groupOf, limits);
    const groupIds = this.placements
      .filter(({ machine }) => machine === undefined)
      .map(({ id: group }) => group);
    replicas?.attach(engine, router.current);
    const node: TestNode = {
      id,
      replicas,
      storage,
      engine,
      router: router.current,
      store: new KeyValueService(router.current, groupIds, groupOf, limits),
      get stall() {
        return stalled.now;
      },
      set stall(promise) {
        stalled.now = promise;
      },
      unstall: () => undefined,
    };
    this.nodes.set(id, node);
    if (replicas === undefined) await engine.start(this.placements);
    else await replicas.start(engine);
    return node;
  }

  /** Empties the disk of a node that does not run. */
  wipe(id: string): void {
    this.images.delete(id);
    this.stores.delete(id);
  }

  /** Gives one node that does not run the Raft storage of another one. */
  copyDisk(from: string, to: string): void {
    const image = this.images.get(from);
    if (image !== undefined) this.images.set(to, image);
  }

  private openReplicas(id: string, storage: MemoryNodeStorage, log: Logger): Promise<NodeReplicas> {
    const store = this.stores.get(id) ?? new MemoryBackingStore();
    this.stores.set(id, store);
    return NodeReplicas.open({
      nodeId: id,
      transport: this.network.transport(id),
      storage,
      store,
      storePath: (name) => `dw://test/${name}`,
      clock: this.clock,
      log,
      placements: this.placements,
      isLeaving: (node) => this.leaving.has(node),
    });
  }

  /** Ends a node as kill -9 does: what its disk holds stays. */
  crash(id: string): void {
    const node = this.node(id);
    this.images.set(id, node.storage.image());
    this.network.transport(id).close();
    this.nodes.delete(id);
    this.dead.push(node);
    // Its loop runs on in this process, but nobody hears it and its writes go to a disk that is not looked at again.
    node.replicas?.stop();
    void node.engine.stop();
    node.router.stop();
  }

  /** Lets no write of a node become durable until `unstall` is called. */
  stallDisk(id: string): void {
    const node = this.node(id);
    node.stall = new Promise((resolve) => {
      node.unstall = () => {
        node.stall = undefined;
        resolve();
      };
    });
  }

  /** Makes all writes of a node fail that are not durable yet. */
  failDisk(id: string): void {
    this.broken.add(id);
    this.node(id).unstall();
  }

  /** The node that leads a group, as that node itself sees it. */
  leaderOf(groupId: string, among: readonly string[] = [...this.nodes.keys()]): string | undefined {
    const leaders = among.filter((id) => this.nodes.get(id)?.engine.group(groupId)?.isLeader === true);
    const terms = leaders.map((id) => this.node(id).engine.group(groupId)?.term ?? 0);
    return leaders[terms.indexOf(Math.max(...terms))];
  }

  /** Whether each group has a leader that all running replicas know. */
  settled(among: readonly string[] = [...this.nodes.keys()]): boolean {
    return this.placements.every(({ id, voters }) => {
      const leader = this.leaderOf(id, among);
      return (
        leader !== undefined &&
        voters.every(
          (voter) => !among.includes(voter) || this.node(voter).engine.group(id)?.leader === leader,
        )
      );
    });
  }

  /** Lets time pass in ticks, with all that follows from each. */
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
  async settle<T>(promise: Promise<T>, maxMs = 30_000): Promise<T> {
    const done = { yes: false };
    const mark = (): void => {
      done.yes = true;
    };
    promise.then(mark, mark);
    await this.until('the promise settles', () => done.yes, maxMs);
    return promise;
  }

  put(id: string, key: string, value: string, options?: KeyValueWriteOptions) {
    return this.settle(this.node(id).store.putAsync(key, Buffer.from(value), options));
  }

  async get(id: string, key: string, options?: { consistency: 'stale' }): Promise<string | undefined> {
    const found = await this.settle(this.node(id).store.getAsync(key, options));
    return found === undefined ? undefined : Buffer.from(found.value).toString();
  }

  /** A key of a group: `0`, `1`, … with this prefix. */
  keyOf(groupId: string, prefix = 'key'): string {
    for (let n = 0; ; n++) if (this.ring.groupOf(`${prefix}-${n}`) === groupId) return `${prefix}-${n}`;
  }

  /** Stops everything. */
  async stop(): Promise<void> {
    for (const node of [...this.nodes.values(), ...this.dead]) {
      node.unstall();
      node.replicas?.stop();
      node.router.stop();
      await node.engine.stop();
    }
    this.network.close();
  }

  /** What a part of a node logs to. */
  logOf(node: string) {
    const method =
      (level: string) =>
      (first: unknown, message?: string): void => {
        if (level === 'debug') return;
        const fields = typeof first === 'string' ? {} : (first as Record<string, unknown>);
        this.logs.push({ node, level, message: message ?? String(first), fields });
      };
    const logger = {
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
