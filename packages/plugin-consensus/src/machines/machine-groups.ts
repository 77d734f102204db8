// The state machines that plugins register, and their groups: makes a machine's group in the directory of the cluster,
// opens this node's replica of it when both the group and the machine are there, and closes it when the machine goes.
// What is to be done is found by comparing, at each change and once a second, so that nothing depends on an event that
// got lost.

import type { Clock, IStateMachine, Logger, TimerHandle } from '@datawarehouse/sdk';
import { errorMessage, isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../engine/multi-raft-engine.js';
import { noLeader } from '../errors.js';
import type { DirectoryAnswer, DirectoryCommand } from '../groups/directory/directory-command.js';
import type { DirectoryGroup, DirectoryView } from '../groups/directory/directory-types.js';
import { keyHash } from '../groups/key-hash.js';
import { machineNameInvalid, machineRegistered } from '../state/errors.js';
import type { StateFactory } from '../state/replicated-state.js';
import { KEY_VALUE_MACHINE } from '../state/replicated-state.js';
import type { MachineRecord } from './machine-record.js';
import { PluginState } from './plugin-state.js';

const LOOK_EVERY_MS = 1_000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;
const PREFIX = 'machine-';
/** Machines on one node. Each has a group, which takes part in every tick. */
const MAX_MACHINES = 256;

/** The id of a machine's group. */
export function groupOfMachine(name: string): string {
  return PREFIX + name;
}

/** The machine whose group has this id; undefined for other groups. */
export function machineOfGroup(groupId: string): string | undefined {
  return groupId.startsWith(PREFIX) ? groupId.slice(PREFIX.length) : undefined;
}

/** The directory, as far as machines need it. */
export interface MachineDirectory {
  readonly view: DirectoryView;
  readonly standing: string;
  submit(command: DirectoryCommand): Promise<DirectoryAnswer>;
  onChanged(listener: () => void): Disposable;
}

/** What the machines of a node stand on. */
export interface MachineGroupsOptions {
  readonly nodeId: string;
  readonly storageId: string;
  readonly directory: MachineDirectory;
  readonly record: MachineRecord;
  /** Groups that the node's storage holds now. */
  readonly onDisk: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** The state machines of one node. */
export class MachineGroups {
  /** Makes the states of groups, by machine; the engine looks here when it opens a group. */
  readonly factories: Map<string, StateFactory>;
  private engine: MultiRaftEngine | undefined;
  private timer: TimerHandle | undefined;
  private listening: Disposable | undefined;
  private looking = false;
  private lookAgain = false;
  private stopped = false;
  /** The last failure of each group, so that one that lasts is told once. */
  private readonly told = new Map<string, string>();
  private readonly waiters = new Set<() => void>();

  /** @param system The machines of the machinery itself. */
  constructor(
    private readonly options: MachineGroupsOptions,
    system: ReadonlyMap<string, StateFactory>,
  ) {
    this.factories = new Map(system);
    this.system = new Set([...system.keys(), KEY_VALUE_MACHINE]);
  }

  private readonly system: ReadonlySet<string>;

  /** Begins to make and open groups. Call it when the engine runs. */
  start(engine: MultiRaftEngine): void {
    const { clock, directory } = this.options;
    this.engine = engine;
    this.timer = clock.setInterval(() => this.look(), LOOK_EVERY_MS);
    this.listening = directory.onChanged(() => this.look());
    this.look();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.listening?.[Symbol.dispose]();
    this.wake();
  }

  /** Adds a machine. @throws DwError `machine-name-invalid`, `machine-registered`. */
  register(name: string, create: () => IStateMachine): void {
    if (!NAME.test(name)) throw machineNameInvalid(name);
    if (this.system.has(name) || this.factories.has(name)) throw machineRegistered(name);
    if (this.factories.size - this.system.size >= MAX_MACHINES) throw machineNameInvalid(name, MAX_MACHINES);
    this.factories.set(name, () => new PluginState(name, create()));
    this.look();
  }

  /** Whether a plugin registered a machine of this name here. */
  registered(name: string): boolean {
    return !this.system.has(name) && this.factories.has(name);
  }

  /** Takes a machine away and closes its replica here; its files stay. */
  async unregister(name: string): Promise<void> {
    if (this.system.has(name) || !this.factories.delete(name)) return;
    await this.engine?.closeGroup(groupOfMachine(name));
  }

  /** Groups of which this node has a replica on its disk, or should, whose machine nobody registered here. Sorted. */
  waiting(): readonly string[] {
    const { directory, nodeId, onDisk } = this.options;
    const ids = new Set(onDisk());
    for (const { id, voters } of directory.view.groups) if (voters.includes(nodeId)) ids.add(id);
    return [...ids]
      .filter((id) => !this.factories.has(machineOfGroup(id) ?? KEY_VALUE_MACHINE) && isMachine(id))
      .sort();
  }

  /** Resolves when the directory knows a machine's group. @throws DwError `no-leader` when it does not by `deadline`. */
  async made(name: string, deadline: number): Promise<void> {
    const id = groupOfMachine(name);
    const { clock, directory } = this.options;
    while (!directory.view.groups.some((group) => group.id === id)) {
      if (this.stopped || clock.now() >= deadline) throw noLeader(id);
      await new Promise<void>((resolve) => {
        const timer = clock.setTimeout(resolve, deadline - clock.now());
        this.waiters.add(() => {
          timer.cancel();
          resolve();
        });
      });
    }
  }

  private wake(): void {
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const wake of waiters) wake();
  }

  /** One look at a time; what happens meanwhile is looked at after it. */
  private look(): void {
    this.wake();
    this.lookAgain = true;
    if (this.looking || this.stopped || this.engine === undefined) return;
    this.looking = true;
    void this.lookWhileAsked(this.engine).finally(() => {
      this.looking = false;
    });
  }

  private async lookWhileAsked(engine: MultiRaftEngine): Promise<void> {
    while (this.lookAgain && !this.stopped) {
      this.lookAgain = false;
      for (const name of this.factories.keys()) {
        if (this.system.has(name) || this.stopped) continue;
        const id = groupOfMachine(name);
        if (engine.group(id) !== undefined) continue;
        try {
          await this.provide(engine, name, id);
          this.told.delete(id);
        } catch (error) {
          this.tell(id, error);
        }
      }
    }
  }

  private async provide(engine: MultiRaftEngine, name: string, id: string): Promise<void> {
    const { directory, onDisk, record } = this.options;
    if (directory.standing !== 'member') return;
    const group = directory.view.groups.find((known) => known.id === id);
    if (group === undefined) {
      await this.make(name, id);
      return;
    }
    const placement = { id, machine: name, voters: group.bootstrap, preferredLeader: group.preferredLeader };
    if (onDisk().includes(id)) {
      await engine.openPlaced(placement);
    } else if (this.mayMake(group)) {
      await record.note(id, 'making');
      await engine.openPlaced(placement);
      await record.note(id, 'made');
    }
    // Else the group's leader opens a replica here if this node is to have one.
    if (!this.factories.has(name)) await engine.closeGroup(id);
  }

  /**
   * Whether this node makes a replica of a group by itself: it is one of the first voters, with the very storage that it
   * had then, and has not made it before. With another storage, or after its replica was dropped, it may have voted and
   * forgotten.
   */
  private mayMake({ id, bootstrap, storages }: DirectoryGroup): boolean {
    const { nodeId, storageId, record } = this.options;
    const at = bootstrap.indexOf(nodeId);
    return at >= 0 && storages?.[at] === storageId && record.get(id) !== 'made';
  }

  private async make(name: string, id: string): Promise<void> {
    const { directory } = this.options;
    const { version, nodes, votersPerGroup } = directory.view;
    if (version === 0) return;
    const members = nodes.filter(({ state }) => state === 'member');
    // Only those whose storage is known can tell later that they are still the ones who were chosen.
    const known = members.filter(({ storageId }) => storageId !== null).map((node) => node.id);
    const count = Math.min(votersPerGroup, members.length);
    if (known.length < count || count === 0) return;
    const first = keyHash(name) % known.length;
    const chosen = Array.from({ length: count }, (_, n) => known[(first + n) % known.length] as string);
    const voters = chosen.toSorted();
    const group = {
      id,
      machine: name,
      bootstrap: voters,
      preferredLeader: chosen[0] as string,
      voters,
      votersAt: 0,
    };
    const answer = await directory.submit({ op: 'add-group', group });
    // Another node was first: that is what was wanted.
    if (!answer.ok && answer.code !== 'group-exists') {
      this.tell(id, new Error(`the directory refuses the group: ${answer.code}: ${answer.detail}`));
    }
  }

  private tell(id: string, error: unknown): void {
    const reason = errorMessage(error);
    if (this.told.get(id) === reason) return;
    this.told.set(id, reason);
    const fields = { group: id, reason };
    // No leader of the directory now: the next look tries again.
    if (isDwError(error) && error.retryable)
      this.options.log.debug(fields, 'could not provide a state machine yet');
    else this.options.log.error(fields, 'could not provide a state machine');
  }
}

function isMachine(groupId: string): boolean {
  return machineOfGroup(groupId) !== undefined;
}
