// One node of the harness: a core, its disk, its state machine, its clock, and the storage work that it has handed out.

import { decodeConfChange } from '#consensus/raft/confchange/encoding.js';
import { RaftCore } from '#consensus/raft/raft-core.js';
import type {
  ConfState,
  Entry,
  HardState,
  Message,
  NodeId,
  RaftConfig,
  Ready,
  Snapshot,
  SnapshotMetadata,
  StorageAppend,
  StorageApply,
} from '#consensus/raft/types.js';
import { describeAppend, describeApply, describeMessage, describeReady } from './describe.js';
import type { Machine } from './machine.js';
import { HarnessStorage } from './storage.js';

/** How a node is set up: what it starts from, and the options of its core. */
export interface NodeSetup {
  readonly snapshot: Snapshot;
  readonly applied: number;
  readonly asyncStorageWrites: boolean;
  readonly newMachine: () => Machine;
  readonly config: Omit<RaftConfig, 'id' | 'storage' | 'applied' | 'random' | 'applyUnstable'>;
}

/** What a node did with a Ready. */
export interface Handled {
  readonly text: string;
  readonly sent: readonly Message[];
}

const emptyConf: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  witnesses: [],
  autoLeave: false,
};

/** The state before the first entry. */
export const emptySnapshot: Snapshot = {
  metadata: { index: 0, term: 0, conf: emptyConf },
  data: new Uint8Array(0),
};

/** A node. Without asynchronous writes a Ready is written and applied while it is handled. */
export class HarnessNode {
  readonly id: NodeId;
  readonly setup: NodeSetup;
  core: RaftCore;
  storage: HarnessStorage;
  machine: Machine;
  /** The last entry that the machine has applied, and the membership there. */
  #applied: SnapshotMetadata;
  appendWork: StorageAppend[] = [];
  applyWork: StorageApply[] = [];
  /** What became of the entries that were applied since somebody looked. */
  outcomes: string[] = [];
  /** Whether the process runs. */
  running = true;
  /** Which disk it has: another one after each wipe. */
  disk = 1;
  /** The disk with which each other node was met first. */
  readonly met = new Map<NodeId, number>();
  /** Whether writes stand still. */
  diskStalled = false;
  /** Milliseconds of its own clock. */
  now = 0;
  #lastHard: HardState;
  /** What the core gets for random; a timeout that was set is drawn through it. */
  #draw = 0;

  private constructor(id: NodeId, setup: NodeSetup, machine: Machine) {
    this.id = id;
    this.setup = setup;
    this.machine = machine;
    this.#applied = setup.snapshot.metadata;
    this.storage = new HarnessStorage(setup.snapshot, () => this.newest);
    this.core = this.#newCore(setup.applied);
    this.#lastHard = this.#hardState();
  }

  /** A node that starts for the first time. */
  static async start(id: NodeId, setup: NodeSetup): Promise<HarnessNode> {
    const machine = setup.newMachine();
    await machine.restore(setup.snapshot);
    return new HarnessNode(id, setup, machine);
  }

  #newCore(applied: number): RaftCore {
    const { config, asyncStorageWrites } = this.setup;
    const core = new RaftCore({
      ...config,
      id: this.id,
      storage: this.storage,
      applied,
      applyUnstable: !asyncStorageWrites,
      random: () => this.#draw,
    });
    core.setTime(this.now);
    return core;
  }

  #hardState(): HardState {
    const { term, vote, commit } = this.core.status();
    return { term, vote, commit };
  }

  /** The newest state of the state machine. */
  get newest(): Snapshot {
    return { metadata: this.#applied, data: this.machine.snapshot() };
  }

  /** The index of the last entry that the machine has applied. */
  get appliedIndex(): number {
    return this.#applied.index;
  }

  /** The ids of all members, as this node knows them. */
  get members(): ReadonlySet<NodeId> {
    const { voters, votersOutgoing, learners } = this.core.status().conf;
    return new Set([...voters, ...votersOutgoing, ...learners]);
  }

  /** Sets the deadline of the present wait. It holds until the node's role or term changes. */
  setRandomizedElectionTimeout(ticks: number): void {
    const { electionTicks } = this.core.status();
    // In the middle between two ticks, so that rounding cannot matter.
    this.#draw = (ticks - electionTicks + 0.5) / electionTicks;
    this.core.setElectionTicks(electionTicks);
    this.#draw = 0;
  }

  /** Drops the log up to and with this entry; what it did is in the snapshot that is kept instead. */
  compact(index: number): void {
    this.storage.compact(index);
    this.storage.base = this.newest;
  }

  /** The process ends at once: what was not written is lost. */
  crash(): void {
    this.running = false;
    this.appendWork = [];
    this.applyWork = [];
    this.outcomes = [];
  }

  /** The process starts again from what is on its disk: the state from the snapshot, the rest from the log. */
  async restart(): Promise<void> {
    this.crash();
    const { base } = this.storage;
    this.machine = this.setup.newMachine();
    await this.machine.restore(base);
    this.#applied = base.metadata;
    this.core = this.#newCore(base.metadata.index);
    this.#lastHard = this.#hardState();
    this.running = true;
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    this.crash();
    this.disk++;
    this.storage = new HarnessStorage(emptySnapshot, () => this.newest);
  }

  /** Starts as what the configuration says that it is, on a disk that holds nothing. */
  async bootstrap(): Promise<void> {
    this.storage = new HarnessStorage(this.setup.snapshot, () => this.newest);
    await this.restart();
  }

  /** Takes a Ready and does what it says, or queues it for the threads. */
  async handleReady(): Promise<Handled> {
    const ready = this.core.ready();
    const mustSync = this.#mustSync(ready);
    return this.setup.asyncStorageWrites
      ? this.#queue(ready, mustSync)
      : this.#writeAndApply(ready, mustSync);
  }

  /** Upstream's rule, which knows no sync of snapshots. */
  #mustSync({ append }: Ready): boolean {
    const before = this.#lastHard;
    const hard = append?.hardState;
    if (hard !== undefined) this.#lastHard = hard;
    const voteChanged = hard !== undefined && (hard.term !== before.term || hard.vote !== before.vote);
    return voteChanged || (append?.entries.length ?? 0) > 0;
  }

  #queue(ready: Ready, mustSync: boolean): Handled {
    const { messages, append, apply } = ready;
    const texts = messages.map(describeMessage);
    if (append !== undefined) {
      texts.push(describeAppend(this.id, append));
      this.appendWork.push(append);
    }
    if (apply !== undefined) {
      texts.push(describeApply(this.id, apply));
      this.applyWork.push(apply);
    }
    return { text: textOf(ready, mustSync, texts), sent: messages };
  }

  async #writeAndApply(ready: Ready, mustSync: boolean): Promise<Handled> {
    const { append, apply } = ready;
    const durable = append?.responses ?? [];
    const sent = [...ready.messages, ...durable.filter((message) => message.to !== this.id)];
    const text = textOf(ready, mustSync, sent.map(describeMessage));
    if (append !== undefined) await this.write(append);
    if (apply !== undefined) this.apply(apply);
    for (const message of durable) if (message.to === this.id) this.core.step(message);
    for (const message of apply?.responses ?? []) this.core.step(message);
    return { text, sent };
  }

  /** Writes to the disk. */
  async write({ hardState, entries, snapshot }: StorageAppend): Promise<void> {
    if (hardState !== undefined) this.storage.hardState = hardState;
    if (snapshot !== undefined) {
      this.storage.applySnapshot(snapshot);
      await this.machine.restore(snapshot);
      this.#applied = snapshot.metadata;
    }
    this.storage.append(entries);
  }

  /** Applies entries to the state machine. */
  apply({ entries }: StorageApply): void {
    for (const entry of entries) {
      const { index, term } = entry;
      if (index <= this.#applied.index) {
        this.outcomes.push(`${index}: overtaken by a snapshot`);
        continue;
      }
      let { conf } = this.#applied;
      if (entry.type === 'normal') this.outcomes.push(`${index}: ${this.machine.apply(entry)}`);
      else conf = this.#change(entry);
      this.#applied = { index, term, conf };
    }
  }

  #change(entry: Entry): ConfState {
    return this.core.applyConfChange(decodeConfChange(entry.data), entry.index);
  }
}

function textOf(
  { soft, append, apply, reads }: Ready,
  mustSync: boolean,
  messages: readonly string[],
): string {
  return describeReady({
    mustSync,
    soft,
    hardState: append?.hardState,
    reads,
    entries: append?.entries ?? [],
    snapshot: append?.snapshot,
    committed: apply?.entries ?? [],
    messages,
  });
}
