// One node of the harness: a core, its disk, its state machine, and the storage work that it has handed out.

import { decodeConfChange } from '#consensus/raft/confchange/encoding.js';
import { RaftCore } from '#consensus/raft/raft-core.js';
import type {
  Entry,
  HardState,
  Message,
  NodeId,
  RaftConfig,
  Ready,
  Snapshot,
  StorageAppend,
  StorageApply,
} from '#consensus/raft/types.js';
import { describeAppend, describeApply, describeMessage, describeReady } from './describe.js';
import { HarnessStorage } from './storage.js';

/** How a node is set up: what it starts from, and the options of its core. */
export interface NodeSetup {
  readonly snapshot: Snapshot;
  readonly applied: number;
  readonly asyncStorageWrites: boolean;
  readonly config: Omit<RaftConfig, 'id' | 'storage' | 'applied' | 'random' | 'applyUnstable'>;
}

/** What a node did with a Ready. */
export interface Handled {
  readonly text: string;
  readonly sent: readonly Message[];
}

/** A node. Without asynchronous writes a Ready is written and applied while it is handled. */
export class HarnessNode {
  readonly id: NodeId;
  readonly setup: NodeSetup;
  core: RaftCore;
  storage: HarnessStorage;
  /** The state after each entry that was applied, oldest first; the first is what the node started from. */
  history: Snapshot[];
  appendWork: StorageAppend[] = [];
  applyWork: StorageApply[] = [];
  #lastHard: HardState;
  /** What the core gets for random; a timeout that was set is drawn through it. */
  #draw = 0;

  constructor(id: NodeId, setup: NodeSetup) {
    this.id = id;
    this.setup = setup;
    this.history = [setup.snapshot];
    this.storage = new HarnessStorage(setup.snapshot, () => this.newest);
    this.core = this.#newCore(setup.applied);
    this.#lastHard = this.storage.hardState;
    this.#noteHardState();
  }

  #newCore(applied: number): RaftCore {
    const { config, asyncStorageWrites } = this.setup;
    return new RaftCore({
      ...config,
      id: this.id,
      storage: this.storage,
      applied,
      applyUnstable: !asyncStorageWrites,
      random: () => this.#draw,
    });
  }

  #noteHardState(): void {
    const { term, vote, commit } = this.core.status();
    this.#lastHard = { term, vote, commit };
  }

  /** The newest state of the state machine. */
  get newest(): Snapshot {
    return this.history.at(-1) as Snapshot;
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

  /** Takes a Ready and does what it says, or queues it for the threads. */
  handleReady(): Handled {
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
    return { text: this.#textOf(ready, mustSync, texts), sent: messages };
  }

  #writeAndApply(ready: Ready, mustSync: boolean): Handled {
    const { append, apply } = ready;
    const durable = append?.responses ?? [];
    const sent = [...ready.messages, ...durable.filter((message) => message.to !== this.id)];
    const text = this.#textOf(ready, mustSync, sent.map(describeMessage));
    if (append !== undefined) this.write(append);
    if (apply !== undefined) this.apply(apply);
    for (const message of durable) if (message.to === this.id) this.core.step(message);
    for (const message of apply?.responses ?? []) this.core.step(message);
    return { text, sent };
  }

  #textOf({ soft, append, apply, reads }: Ready, mustSync: boolean, messages: readonly string[]): string {
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

  /** Writes to the disk. */
  write({ hardState, entries, snapshot }: StorageAppend): void {
    if (hardState !== undefined) this.storage.hardState = hardState;
    if (snapshot !== undefined) {
      this.storage.applySnapshot(snapshot);
      this.history.push(snapshot);
    }
    this.storage.append(entries);
  }

  /** Applies entries to the state machine, which appends all payloads. */
  apply({ entries }: StorageApply): void {
    for (const entry of entries) this.#applyOne(entry);
  }

  #applyOne(entry: Entry): void {
    const { data, metadata } = this.newest;
    let { conf } = metadata;
    let payload = entry.data;
    if (entry.type === 'conf-change') {
      const change = decodeConfChange(entry.data);
      conf = this.core.applyConfChange(change);
      payload = change.context;
    }
    this.history.push({
      data: Uint8Array.from([...data, ...payload]),
      metadata: { index: entry.index, term: entry.term, conf },
    });
  }
}
