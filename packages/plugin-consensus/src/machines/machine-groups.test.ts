// From a registered name to a running group: who makes it, who opens it, and who must not.

import { MemoryBackingStore } from '@datawarehouse/sdk';
import type { AppliedEntry, IStateMachine } from '@datawarehouse/sdk';
import { afterEach, describe, expect, it } from 'vitest';
import type { DirectoryCommand } from '../groups/directory/directory-command.js';
import { TestDirectory, createOf, nodeOf } from '../groups/directory/directory.test.kit.js';
import type { StateFactory } from '../state/replicated-state.js';
import { TestCluster } from '../testing/cluster.test.kit.js';
import { MachineGroups } from './machine-groups.js';
import { MachineRecord } from './machine-record.js';
import { PluginMachine } from './plugin-machine.js';

const GROUP = { id: 'machine-count', machine: 'count' };
const PATH = 'dw://plugins/consensus/machines';
const cleanUp: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const clean of cleanUp.splice(0).toReversed()) await clean();
});

class Count implements IStateMachine {
  count = 0;
  closed = 0;

  apply({ data }: AppliedEntry): Uint8Array {
    this.count += data.length;
    return Buffer.from(`${this.count}`);
  }

  snapshot(): Iterable<Uint8Array> {
    return [Buffer.from(`${this.count}`)];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    this.count = Number(text);
  }

  query(): Uint8Array {
    return Buffer.from(`${this.count}`);
  }

  async closeAsync(): Promise<void> {
    this.closed++;
  }
}

/** A cluster whose directory is a table that all nodes see. */
class World {
  readonly directory = new TestDirectory(() => {
    for (const listener of this.listeners) listener();
  });
  readonly machines = new Map<string, MachineGroups>();
  readonly stores = new Map<string, MemoryBackingStore>();
  readonly counts: Count[] = [];
  private readonly listeners = new Set<() => void>();
  readonly cluster: TestCluster;

  private constructor() {
    this.cluster = new TestCluster({
      groups: 1,
      machineGroups: [GROUP],
      machines: (node): ReadonlyMap<string, StateFactory> => this.machines.get(node)!.factories,
    });
  }

  static async start(): Promise<World> {
    const world = new World();
    world.directory.tell(createOf(3));
    for (const id of world.cluster.ids) {
      const { peer, http, client } = nodeOf(Number(id.slice(1)));
      world.directory.tell({
        op: 'announce',
        id,
        peer,
        http,
        client,
        storageId: `disk-${id}`,
        replaces: null,
      });
      await world.startNode(id);
    }
    await world.cluster.until('the keys are served', () => world.led('group-1'));
    cleanUp.push(() => world.cluster.stop());
    return world;
  }

  async startNode(id: string, storageId = `disk-${id}`): Promise<void> {
    const store = this.stores.get(id) ?? new MemoryBackingStore();
    this.stores.set(id, store);
    const { directory, listeners, cluster } = this;
    const machines = new MachineGroups(
      {
        nodeId: id,
        storageId,
        directory: {
          get view() {
            return directory.state.view;
          },
          standing: 'member',
          submit: async (command: DirectoryCommand) => directory.tell(command),
          onChanged: (listener) => {
            listeners.add(listener);
            return { [Symbol.dispose]: () => void listeners.delete(listener) };
          },
        },
        record: await MachineRecord.open(store, PATH),
        onDisk: () => cluster.nodes.get(id)?.storage.groupIds ?? [],
        clock: cluster.clock,
        log: cluster.logOf(id),
      },
      new Map([['directory', () => Promise.reject(new Error('not here')) as never]]),
    );
    this.machines.set(id, machines);
    cleanUp.push(() => machines.stop());
    const { engine } = await cluster.startNode(id);
    machines.start(engine);
  }

  crash(id: string): void {
    this.machines.get(id)!.stop();
    this.cluster.crash(id);
  }

  register(id: string): PluginMachine<Count> {
    const machines = this.machines.get(id)!;
    machines.register(GROUP.machine, () => {
      const count = new Count();
      this.counts.push(count);
      return count;
    });
    return new PluginMachine<Count>(GROUP.machine, machines, this.cluster.node(id).router);
  }

  open(): readonly string[] {
    const { cluster } = this;
    return [...cluster.nodes.keys()].filter((id) => cluster.node(id).engine.group(GROUP.id) !== undefined);
  }

  led(group: string): boolean {
    return this.cluster.leaderOf(group) !== undefined;
  }
}

async function code(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );
}

describe('a registered state machine', () => {
  it('gets a group of its own, made once, and serves every node that registered it', async () => {
    const world = await World.start();
    const { cluster } = world;
    const handles = cluster.ids.map((id) => world.register(id));
    await cluster.until('it is led', () => world.led(GROUP.id));
    expect(world.open()).toEqual(['n1', 'n2', 'n3']);
    expect(world.directory.state.view.groups.filter(({ id }) => id === GROUP.id)).toHaveLength(1);
    const answers = [];
    for (const handle of handles) answers.push(await cluster.settle(handle.proposeAsync(Buffer.from('xx'))));
    expect(answers.map(({ data }) => Buffer.from(data!).toString())).toEqual(['2', '4', '6']);
    expect(await cluster.settle(handles[1]!.readAsync((machine) => machine.count))).toBe(6);
    expect(await handles[1]!.readAsync((machine) => machine.count >= 4, { consistency: 'stale' })).toBe(true);
    expect(await cluster.settle(handles[2]!.statusAsync())).toMatchObject({ machine: 'count', id: GROUP.id });
    const session = await cluster.settle(handles[0]!.openSessionAsync());
    const place = { session: { ...session, sequence: 1 } };
    await cluster.settle(handles[0]!.proposeAsync(Buffer.from('once'), place));
    await cluster.settle(handles[2]!.proposeAsync(Buffer.from('once'), place));
    const asked = await cluster.settle(handles[0]!.queryAsync(new Uint8Array(0)));
    expect(Buffer.from(asked).toString()).toBe('10');
    await cluster.settle(handles[0]!.closeSessionAsync(session));
    expect(await code(cluster.settle(handles[0]!.proposeAsync(Buffer.from('late'), place)))).toBe(
      'session-expired',
    );
  });

  it('is refused under a name that is taken or is none', async () => {
    const world = await World.start();
    world.register('n1');
    const machines = world.machines.get('n1')!;
    const create = (): IStateMachine => new Count();
    for (const name of [GROUP.machine, 'directory', 'key-value']) {
      expect(() => machines.register(name, create)).toThrow(
        expect.objectContaining({ code: 'machine-registered' }),
      );
    }
    for (const name of ['', '../x', 'x'.repeat(41), 'ä']) {
      expect(() => machines.register(name, create)).toThrow(
        expect.objectContaining({ code: 'machine-name-invalid' }),
      );
    }
  });

  it('waits where it is not registered, and catches up when it is', async () => {
    const world = await World.start();
    const { cluster } = world;
    const handle = world.register('n1');
    world.register('n2');
    await cluster.until('it is led', () => world.led(GROUP.id));
    await cluster.settle(handle.proposeAsync(Buffer.from('abc')));
    expect(world.open()).toEqual(['n1', 'n2']);
    expect(world.machines.get('n3')!.waiting()).toEqual([GROUP.id]);
    const third = world.register('n3');
    await cluster.until('it is here', () => world.open().includes('n3'));
    expect(await cluster.settle(third.readAsync(({ count }) => count))).toBe(3);
    expect(world.machines.get('n3')!.waiting()).toEqual([]);
  });

  it('goes with its plugin and comes back with it, state and all', async () => {
    const world = await World.start();
    const { cluster } = world;
    const handles = cluster.ids.map((id) => world.register(id));
    await cluster.until('it is led', () => world.led(GROUP.id));
    await cluster.settle(handles[0]!.proposeAsync(Buffer.from('abc')));
    for (const handle of handles) await cluster.settle(handle[Symbol.asyncDispose]());
    expect(world.open()).toEqual([]);
    expect(world.counts.map(({ closed }) => closed)).toEqual([1, 1, 1]);
    expect(await code(handles[0]!.readAsync(({ count }) => count))).toBe('replica-not-here');
    const [again] = cluster.ids.map((id) => world.register(id));
    await cluster.until('it is led again', () => world.led(GROUP.id));
    expect(await cluster.settle(again!.readAsync(({ count }) => count))).toBe(3);
  });

  it('is not made again by a node that lost what it had of it', async () => {
    const world = await World.start();
    const { cluster } = world;
    for (const id of cluster.ids) world.register(id);
    await cluster.until('it is led', () => world.led(GROUP.id));
    await cluster.until('all have it', () => world.open().length === 3);
    // The replica was dropped: the storage is the one of then, and the note says that it was made.
    await cluster.settle(cluster.node('n3').engine.destroyGroup(GROUP.id));
    await cluster.advance(3_000);
    expect(world.open()).toEqual(['n1', 'n2']);
    // Everything was wiped, the note with it: the storage is another one.
    world.crash('n2');
    cluster.wipe('n2');
    world.stores.delete('n2');
    await world.startNode('n2', 'disk-other');
    world.register('n2');
    await cluster.advance(3_000);
    expect(world.open()).toEqual(['n1']);
  });

  it('says that there is no leader while its group cannot be made', async () => {
    const world = await World.start();
    const { cluster } = world;
    world.directory.tell({
      op: 'add-group',
      group: { ...createOf(3).groups[0]!, id: GROUP.id, machine: 'other' },
    });
    const handle = world.register('n1');
    expect(await code(cluster.settle(handle.proposeAsync(Buffer.from('x'))))).toBe('no-leader');
  });
});

describe('the record of machines', () => {
  it('is kept, and refused when it cannot be read', async () => {
    const store = new MemoryBackingStore();
    const record = await MachineRecord.open(store, PATH);
    await record.note('machine-a', 'making');
    await record.note('machine-b', 'made');
    const again = await MachineRecord.open(store, PATH);
    expect([again.get('machine-a'), again.get('machine-b'), again.get('machine-c')]).toEqual([
      'making',
      'made',
      undefined,
    ]);
    for (const text of ['', '{}', '{"groups":{"machine-a":"maybe"}}']) {
      await store.writeAsync(PATH, Buffer.from(text));
      expect(await code(MachineRecord.open(store, PATH))).toBe('frame-malformed');
    }
  });
});
