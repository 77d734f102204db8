// State machines in running groups: what they answer, what happens when one fails, and machines with their own storage.

import type { AppliedEntry, IDiskStateMachine, IStateMachine } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import { closeSession, envelop, openSession } from '../groups/command-identity.js';
import type { StateFactory } from '../state/replicated-state.js';
import type { TestClusterOptions } from '../testing/cluster.test.kit.js';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { PluginState } from './plugin-state.js';

const clusters: TestCluster[] = [];
const GROUP = { id: 'machine-list', machine: 'list' };

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

async function start(options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await TestCluster.start({ groups: 1, machineGroups: [GROUP], ...options });
  clusters.push(cluster);
  return cluster;
}

function machinesOf(create: (node: string) => IStateMachine) {
  return (node: string): ReadonlyMap<string, StateFactory> =>
    new Map([[GROUP.machine, () => new PluginState(GROUP.machine, create(node))]]);
}

/** Keeps the commands that it was given. */
class List implements IStateMachine {
  items: string[] = [];

  apply({ data }: AppliedEntry): Uint8Array {
    const text = Buffer.from(data).toString();
    if (text === 'explode') throw new Error('cannot take this');
    this.items.push(text);
    return Buffer.from(`${this.items.length}`);
  }

  snapshot(): Iterable<Uint8Array> {
    return [Buffer.from(JSON.stringify(this.items))];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    this.items = JSON.parse(text) as string[];
  }

  query(): Uint8Array {
    return Buffer.from(this.items.join());
  }
}

/** What a machine with its own storage has on its disk. */
interface Disk {
  items: string[];
  index: number;
}

/** A list that is on disk as soon as it is synced; what was not is lost with the process. */
class DiskList extends List implements IDiskStateMachine {
  index = 0;
  given: number[] = [];
  snapshots = 0;

  constructor(readonly disk: Disk) {
    super();
  }

  async openAsync(): Promise<number> {
    this.items = [...this.disk.items];
    this.index = this.disk.index;
    return this.index;
  }

  async syncAsync(): Promise<void> {
    this.disk.items = [...this.items];
    this.disk.index = this.index;
  }

  override apply(entry: AppliedEntry): Uint8Array {
    this.given.push(entry.index);
    this.index = entry.index;
    return super.apply(entry);
  }

  override snapshot(): Iterable<Uint8Array> {
    this.snapshots++;
    return super.snapshot();
  }

  override async restore(chunks: AsyncIterable<Uint8Array>, index = 0): Promise<void> {
    await super.restore(chunks);
    this.index = index;
    await this.syncAsync();
  }
}

async function propose(cluster: TestCluster, node: string, text: string) {
  const { router } = cluster.node(node);
  const { outcome } = await cluster.settle(router.propose(GROUP.id, 'command', Buffer.from(text), false));
  return outcome.status === 'result' ? Buffer.from(outcome.data).toString() : outcome.status;
}

function query(cluster: TestCluster, node: string): Promise<string> {
  const asked = cluster.node(node).router.query(GROUP.id, new Uint8Array(0));
  return cluster.settle(asked).then((bytes) => Buffer.from(bytes).toString());
}

describe('a state machine of a plugin', () => {
  it('is given each command on every replica, answers its proposer, and is read linearizably anywhere', async () => {
    const cluster = await start({ nodes: 3, machines: machinesOf(() => new List()) });
    expect(await propose(cluster, 'n1', 'a')).toBe('1');
    expect(await propose(cluster, 'n2', 'b')).toBe('2');
    for (const node of cluster.ids) expect(await query(cluster, node)).toBe('a,b');
    // What only keys have is refused by a group that has none, and the other way round.
    const { router } = cluster.node('n1');
    const wrong: (() => Promise<unknown>)[] = [
      () => router.get(GROUP.id, 'a'),
      () => router.query('group-1', new Uint8Array(0)),
    ];
    for (const ask of wrong) {
      await expect(cluster.settle(ask())).rejects.toMatchObject({ code: 'machine-mismatch' });
    }
    const hashes = cluster.ids.map((id) => cluster.node(id).engine.group(GROUP.id)!.status());
    expect(new Set(hashes.map(({ stateHash, lastApplied }) => `${lastApplied} ${stateHash}`)).size).toBe(1);
  });

  it('has exactly-once without doing anything for it', async () => {
    const cluster = await start({ nodes: 3, machines: machinesOf(() => new List()) });
    const { router } = cluster.node('n2');
    const session = await cluster.settle(openSession(router, GROUP.id));
    const { kind, data } = envelop(Buffer.from('once'), GROUP.id, { session: { ...session, sequence: 1 } });
    const first = await cluster.settle(router.propose(GROUP.id, kind, data, true));
    const again = await cluster.settle(cluster.node('n3').router.propose(GROUP.id, kind, data, true));
    expect(again.outcome).toEqual(first.outcome);
    expect(await query(cluster, 'n1')).toBe('once');
    await cluster.settle(closeSession(router, GROUP.id, session.session));
    const late = await cluster.settle(router.propose(GROUP.id, kind, data, true));
    expect(late.outcome).toEqual({ status: 'session-expired' });
  });

  it('that throws fails its group with the entry named, skips nothing, and stops no other group', async () => {
    const cluster = await start({ nodes: 1, machines: machinesOf(() => new List()) });
    await propose(cluster, 'n1', 'a');
    const failing = cluster.node('n1').router.propose(GROUP.id, 'command', Buffer.from('explode'), false);
    const error = await cluster.settle(failing.catch((thrown: unknown) => thrown));
    expect(error).toMatchObject({ code: 'outcome-unknown' });
    const group = cluster.node('n1').engine.group(GROUP.id)!;
    const { lastApplied, failure } = group.status();
    expect(failure).toMatchObject({ code: 'apply-failed' });
    expect(failure!.message).toMatch(/entry \d+ of term \d+, proposed by n1: cannot take this/);
    expect(group.failed).toMatchObject({
      code: 'group-failed',
      cause: { details: { index: lastApplied + 1 } },
    });
    await cluster.put('n1', 'k', 'the other group serves');
    // After a restart it meets the same entry again.
    cluster.crash('n1');
    await cluster.startNode('n1');
    await cluster.until(
      'it failed again',
      () => cluster.node('n1').engine.group(GROUP.id)?.failed !== undefined,
    );
    expect(cluster.node('n1').engine.group(GROUP.id)!.status().failure).toEqual(failure);
    expect(cluster.node('n1').engine.group(GROUP.id)!.lastApplied).toBe(lastApplied);
  });

  it('that nobody registered on a node leaves its replica there waiting, and the rest serves', async () => {
    const here = machinesOf(() => new List());
    const machines = (node: string) => (node === 'n3' ? new Map<string, StateFactory>() : here(node));
    const cluster = new TestCluster({ groups: 1, machineGroups: [GROUP], machines });
    clusters.push(cluster);
    for (const id of cluster.ids) await cluster.startNode(id);
    await cluster.until('leaders', () => cluster.settled(['n1', 'n2']));
    expect(await propose(cluster, 'n1', 'a')).toBe('1');
    await cluster.put('n3', 'k', 'v');
    expect(cluster.node('n3').engine.group(GROUP.id)).toBeUndefined();
    expect(await query(cluster, 'n3')).toBe('a');
    expect(
      cluster.logs.some((line) => line.node === 'n3' && /waits for its state machine/.test(line.message)),
    ).toBe(true);
    const missing = cluster
      .node('n3')
      .engine.openGroup('machine-other', { ...cluster.node('n1').engine.group(GROUP.id)!.conf }, 'other');
    await expect(missing).rejects.toMatchObject({ code: 'machine-unknown' });
  });
});

describe('a state machine with its own storage', () => {
  it('is not given again what it has, and is written into no snapshot of its own node', async () => {
    const disk: Disk = { items: [], index: 0 };
    const lives: DiskList[] = [];
    const create = (): DiskList => {
      const machine = new DiskList(disk);
      lives.push(machine);
      return machine;
    };
    const cluster = await start({ nodes: 1, machines: machinesOf(create) });
    await propose(cluster, 'n1', 'a');
    await cluster.settle(cluster.node('n1').router.snapshot(GROUP.id));
    await propose(cluster, 'n1', 'b');
    await lives[0]!.syncAsync();
    const held = disk.index;
    await propose(cluster, 'n1', 'c');
    expect(lives[0]!.snapshots).toBe(0);
    cluster.crash('n1');
    await cluster.startNode('n1');
    await cluster.until('a leader', () => cluster.settled());
    expect(await query(cluster, 'n1')).toBe('a,b,c');
    expect(lives[1]!.given.every((index) => index > held)).toBe(true);
    expect(lives[1]!.given).toHaveLength(1);
  });

  it('applies a retried command once over a restart, and tells that the answer is not kept', async () => {
    const disk: Disk = { items: [], index: 0 };
    const cluster = await start({ nodes: 1, machines: machinesOf(() => new DiskList(disk)) });
    const { router } = cluster.node('n1');
    const session = await cluster.settle(openSession(router, GROUP.id));
    const { kind, data } = envelop(Buffer.from('once'), GROUP.id, { session: { ...session, sequence: 1 } });
    const first = await cluster.settle(router.propose(GROUP.id, kind, data, true));
    expect(first.outcome.status).toBe('result');
    await cluster.settle(router.snapshot(GROUP.id));
    cluster.crash('n1');
    await cluster.startNode('n1');
    await cluster.until('a leader', () => cluster.settled());
    const again = await cluster.settle(cluster.node('n1').router.propose(GROUP.id, kind, data, true));
    expect(again.outcome).toEqual({ status: 'result-not-kept' });
    expect(await query(cluster, 'n1')).toBe('once');
  });

  it('is written out for another node that needs a copy', async () => {
    const disks = new Map<string, Disk>();
    const create = (node: string): DiskList => {
      const disk = disks.get(node) ?? { items: [], index: 0 };
      disks.set(node, disk);
      return new DiskList(disk);
    };
    const cluster = await start({ nodes: 3, machines: machinesOf(create), limits: { maxCacheEntries: 1 } });
    const leader = cluster.leaderOf(GROUP.id)!;
    const behind = cluster.ids.find((id) => id !== leader)!;
    await propose(cluster, leader, 'a');
    cluster.crash(behind);
    const others = cluster.ids.filter((id) => id !== behind);
    await cluster.until('a leader', () => cluster.settled(others));
    for (const text of ['b', 'c', 'd']) await propose(cluster, leader, text);
    await cluster.settle(cluster.node(leader).router.snapshot(GROUP.id));
    disks.delete(behind);
    await cluster.startNode(behind).catch((error: unknown) => error);
    const group = () => cluster.nodes.get(behind)?.engine.group(GROUP.id);
    await cluster.until('it has the copy', () => {
      const target = cluster.node(leader).engine.group(GROUP.id)!.lastApplied;
      return (group()?.lastApplied ?? 0) >= target;
    });
    expect(disks.get(behind)!.items).toEqual(['a', 'b', 'c', 'd']);
    expect(group()!.status().stateHash).toBe(cluster.node(leader).engine.group(GROUP.id)!.status().stateHash);
  });

  it('refuses to go on when its own files were set back behind the snapshot', async () => {
    const disk: Disk = { items: [], index: 0 };
    const cluster = await start({ nodes: 1, machines: machinesOf(() => new DiskList(disk)) });
    await propose(cluster, 'n1', 'a');
    await cluster.settle(cluster.node('n1').router.snapshot(GROUP.id));
    cluster.crash('n1');
    disk.index = 0;
    disk.items = [];
    await expect(cluster.startNode('n1')).rejects.toMatchObject({ code: 'state-machine-behind' });
  });
});
