// A whole group under one seed: messages are lost, late, repeated and overtake each other; disks are slow and forget
// what was not synced when their node crashes; nodes are cut off, crash, restart, take snapshots, hand over leadership.
// After every step the invariants are checked. The same seed gives the same run.

import { makeMessage } from '../message.js';
import { RaftCore } from '../raft-core.js';
import type { Message, RaftConfig, Ready, StorageAppend } from '../types.js';
import { Invariants, Violation } from './invariants.test.kit.js';
import { confOf, MemoryStorage } from './memory-storage.test.kit.js';
import { Random } from './random.test.kit.js';

/** What happened in a run; for seeing that a suite of runs is not empty. */
export interface Tally {
  applied: number;
  leaders: number;
  crashes: number;
  snapshots: number;
  reads: number;
  transfers: number;
  lostMessages: number;
  lostWrites: number;
  /** Checksum of everything that happened, in order. */
  trace: number;
}

interface Travelling {
  readonly message: Message;
  readonly due: number;
}

interface AskedRead {
  readonly appliedWhenAsked: number;
}

interface Node {
  readonly id: string;
  /** Undefined while it is down. */
  core: RaftCore | undefined;
  /** What would be there after a crash now. */
  disk: MemoryStorage;
  /** What the running node has handed to its storage. */
  memory: MemoryStorage;
  /** Handed over, not durable yet; oldest first. */
  pending: StorageAppend[];
  /** Written without a sync: durable with the next one. */
  unsynced: StorageAppend[];
  applying: Ready[];
  asked: Map<string, AskedRead>;
  term: number;
  commit: number;
  wasLeader: boolean;
}

/** How a run is set up. */
export interface SimulationOptions {
  readonly nodes: number;
  readonly steps: number;
}

const strangerTypes = [
  'vote-response',
  'pre-vote-response',
  'append-response',
  'heartbeat-response',
  'timeout-now',
  'read-index',
  'transfer-leader',
] as const;
const memberRequests: ReadonlySet<string> = new Set(['read-index', 'transfer-leader']);

const encoder = new TextEncoder();

/** One run. */
export class Simulation {
  readonly #random: Random;
  readonly #nodes: Node[] = [];
  readonly #invariants = new Invariants();
  readonly #config: Omit<RaftConfig, 'id' | 'storage' | 'applied'>;
  #lossRate: number;
  readonly #repeatRate: number;
  #maxDelay: number;
  /** Whether a core reads what it handed over, or only what is durable. It must not matter. */
  readonly #readsOwnWrites: boolean;
  #network: Travelling[] = [];
  #reports: (Travelling & { readonly ok: boolean })[] = [];
  #cutOff = new Set<string>();
  #now = 0;
  #counter = 0;
  readonly #steps: number;
  readonly tally: Tally = {
    applied: 0,
    leaders: 0,
    crashes: 0,
    snapshots: 0,
    reads: 0,
    transfers: 0,
    lostMessages: 0,
    lostWrites: 0,
    trace: 0,
  };

  constructor(seed: number, options: SimulationOptions) {
    const random = new Random(seed);
    this.#random = random;
    this.#steps = options.steps;
    this.#lossRate = random.pick([0, 0.02, 0.1, 0.25]);
    this.#repeatRate = random.pick([0, 0.05, 0.2]);
    this.#maxDelay = random.pick([1, 4, 20]);
    this.#readsOwnWrites = random.chance(0.5);
    this.#config = {
      electionTicks: 10,
      heartbeatTicks: random.pick([1, 3]),
      maxBytesPerMessage: random.pick([1, 80, 1_000_000]),
      maxCommittedBytesPerReady: random.pick([1, 100, 1_000_000]),
      maxUncommittedBytes: random.pick([64, 1_000_000]),
      maxInflightMessages: random.pick([1, 3, 64]),
      maxInflightBytes: 0,
      checkQuorum: random.chance(0.5),
      preVote: random.chance(0.5),
      random: () => random.next(),
    };
    const ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    for (const id of ids) {
      const disk = new MemoryStorage(confOf(ids));
      const node: Node = {
        id,
        core: undefined,
        disk,
        memory: disk,
        pending: [],
        unsynced: [],
        applying: [],
        asked: new Map(),
        term: 0,
        commit: 0,
        wasLeader: false,
      };
      this.#nodes.push(node);
      this.#start(node);
    }
  }

  /** Runs all steps, then heals everything and sees that the group still works. Throws a {@link Violation}. */
  run(): Tally {
    for (let step = 0; step < this.#steps; step++) this.#step();
    this.#recover();
    this.#invariants.whole();
    return this.tally;
  }

  /** Folds what happened into the checksum. */
  #happened(...facts: readonly (string | number)[]): void {
    let { trace } = this.tally;
    for (const fact of facts) {
      const text = String(fact);
      for (let i = 0; i < text.length; i++) trace = (Math.imul(trace, 31) + text.charCodeAt(i)) >>> 0;
    }
    this.tally.trace = trace;
  }

  #step(): void {
    this.#now++;
    const node = this.#random.pick(this.#nodes);
    const dice = this.#random.next();
    if (dice < 0.15) this.#tickAll();
    else if (dice < 0.45) this.#deliverDue();
    else if (dice < 0.65) this.#forSome((each) => this.#sync(each));
    else if (dice < 0.75) this.#forSome((each) => this.#apply(each));
    else if (dice < 0.93) this.#client(this.#nodes.find((each) => each.core?.isLeader) ?? node);
    else if (dice < 0.94) this.#snapshot(node);
    else if (dice < 0.945) this.#changeNetwork();
    else if (dice < 0.95) this.#cutOff = new Set();
    else if (dice < 0.955) this.#crash(node);
    else if (dice < 0.985) this.#restartSome();
    else if (dice < 0.99) this.#transfer(node);
    else if (dice < 0.995) node.core?.reportUnreachable(this.#random.pick(this.#nodes).id);
    else node.core?.campaign();
    if (this.#random.chance(0.01)) this.#stranger(this.#random.pick(this.#nodes));
    for (const each of this.#nodes) this.#handleReady(each);
  }

  /** Each node on its own may get on with its work, or may be slow. */
  #forSome(work: (node: Node) => void): void {
    for (const node of this.#nodes) if (this.#random.chance(0.7)) work(node);
  }

  #running(): readonly Node[] {
    return this.#nodes.filter((node) => node.core !== undefined);
  }

  #start(node: Node): void {
    node.memory = node.disk.clone();
    const storage = this.#readsOwnWrites ? node.memory : node.disk;
    const applied = node.disk.stored.metadata.index;
    node.core = new RaftCore({ ...this.#config, id: node.id, storage, applied });
    this.#invariants.monotonic(node.id, 'the term on disk', node.disk.hardState.term, node.core.term);
    node.term = node.core.term;
    node.commit = node.core.commit;
    node.wasLeader = false;
  }

  #crash(node: Node): void {
    if (node.core === undefined) return;
    // The disk may have got some of what was handed over; always a prefix.
    const survivors = this.#random.below(node.pending.length + 1);
    const [lost, kept] = [node.pending.splice(survivors), node.pending];
    if (kept.length > 0) for (const write of [...node.unsynced, ...kept]) node.disk.write(write);
    this.tally.crashes++;
    this.tally.lostWrites += lost.length;
    this.#happened('crash', node.id, lost.length);
    node.core = undefined;
    node.pending = [];
    node.unsynced = [];
    node.applying = [];
    node.asked = new Map();
  }

  #restartSome(): void {
    for (const node of this.#nodes) {
      if (node.core === undefined && this.#random.chance(0.5)) this.#start(node);
    }
  }

  #tickAll(): void {
    for (const node of this.#running()) {
      // Clocks run at different speeds.
      if (this.#random.chance(0.9)) node.core?.tick();
    }
  }

  #changeNetwork(): void {
    const cut = this.#random.below(this.#nodes.length);
    this.#cutOff = new Set();
    while (this.#cutOff.size < cut) this.#cutOff.add(this.#random.pick(this.#nodes).id);
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#invariants.sent(message);
      this.#happened(
        message.type,
        message.from,
        message.to,
        message.term,
        message.index,
        message.entries.length,
      );
      const severed = this.#cutOff.has(message.from) !== this.#cutOff.has(message.to);
      if (severed || this.#random.chance(this.#lossRate)) {
        this.tally.lostMessages++;
        this.#report(message, false);
        continue;
      }
      const copies = this.#random.chance(this.#repeatRate) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        this.#network.push({ message, due: this.#now + 1 + this.#random.below(this.#maxDelay) });
      }
    }
  }

  #deliverDue(): void {
    const due = this.#network.filter((travelling) => travelling.due <= this.#now);
    this.#network = this.#network.filter((travelling) => travelling.due > this.#now);
    for (const { message } of due) {
      const node = this.#find(message.to);
      node?.core?.step(message);
      this.#report(message, node?.core !== undefined && this.#random.chance(0.8));
    }
    const reports = this.#reports.filter((report) => report.due <= this.#now);
    this.#reports = this.#reports.filter((report) => report.due > this.#now);
    for (const { message, ok } of reports) this.#find(message.from)?.core?.reportSnapshot(message.to, ok);
  }

  /** A snapshot's sender is told in the end how it went, late and perhaps wrongly. */
  #report(message: Message, ok: boolean): void {
    if (message.type !== 'snapshot') return;
    this.#reports.push({ message, ok, due: this.#now + 1 + this.#random.below(this.#maxDelay * 2) });
  }

  #find(id: string): Node | undefined {
    return this.#nodes.find((node) => node.id === id);
  }

  #handleReady(node: Node): void {
    const { core } = node;
    if (core === undefined || !core.hasReady()) return;
    const ready = core.ready();
    if (ready.append !== undefined) {
      const { entries } = ready.append;
      node.memory.write(ready.append);
      const first = entries[0];
      if (first !== undefined) this.#invariants.appended(node.id, entries, node.memory.term(first.index - 1));
      if (ready.append.snapshot !== undefined) this.tally.snapshots++;
      node.pending.push(ready.append);
    }
    if (ready.apply !== undefined) {
      this.#invariants.applied(node.id, ready.apply.entries);
      node.applying.push(ready);
    }
    this.#send(ready.messages);
    for (const read of ready.reads) {
      const asked = node.asked.get(read.context);
      if (asked === undefined)
        throw new Violation('linearizable reads', `${node.id} answers what nobody asked`);
      this.#invariants.read(node.id, read, asked.appliedWhenAsked);
      this.tally.reads++;
    }
    this.#check(node, core);
  }

  #check(node: Node, core: RaftCore): void {
    this.#invariants.monotonic(node.id, 'the term', node.term, core.term);
    this.#invariants.monotonic(node.id, 'the commit index', node.commit, core.commit);
    node.term = core.term;
    node.commit = core.commit;
    if (core.isLeader && !node.wasLeader) {
      this.tally.leaders++;
      this.#invariants.leader(node.id, core.term, node.memory);
    }
    node.wasLeader = core.isLeader;
  }

  /** The disk gets the oldest of what was handed over. */
  #sync(node: Node): void {
    const write = node.pending.shift();
    if (write === undefined || node.core === undefined) return;
    if (write.mustSync) {
      for (const earlier of [...node.unsynced, write]) node.disk.write(earlier);
      node.unsynced = [];
    } else if (this.#readsOwnWrites) {
      node.unsynced.push(write);
    } else {
      node.disk.write(write);
    }
    for (const response of write.responses) {
      if (response.to === node.id) node.core.step(response);
      else this.#send([response]);
    }
    this.#happened('sync', node.id, node.disk.lastIndex());
  }

  #apply(node: Node): void {
    const ready = node.applying.shift();
    if (ready?.apply === undefined || node.core === undefined) return;
    for (const response of ready.apply.responses) node.core.step(response);
    this.tally.applied += ready.apply.entries.length;
  }

  #client(node: Node): void {
    if (node.core === undefined || !node.core.isLeader) return;
    this.#counter++;
    try {
      if (this.#random.chance(0.3)) {
        const context = `r${this.#counter}`;
        node.asked.set(context, { appliedWhenAsked: this.#invariants.highestApplied });
        node.core.readIndex(context);
      } else if (this.#random.chance(0.5)) {
        node.core.propose(encoder.encode(`p${this.#counter}`));
      } else {
        node.core.proposeBatch([encoder.encode(`b${this.#counter}`), encoder.encode(`c${this.#counter}`)]);
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'proposal-dropped') throw error;
    }
  }

  /** Takes a snapshot of what is applied and durable, and drops the log up to there. */
  #snapshot(node: Node): void {
    if (node.core === undefined || node.pending.some((write) => write.snapshot !== undefined)) return;
    const index = Math.min(node.core.applied, node.disk.lastIndex());
    // A snapshot is a durable write of its own, and whatever was written before is durable with it.
    for (const write of node.unsynced) node.disk.write(write);
    node.unsynced = [];
    const data = encoder.encode(`state@${index}`);
    node.disk.compact(index, data);
    node.memory.compact(index, data);
  }

  /** Somebody who is no member answers, asks, and claims newer terms: nothing may come of it. */
  #stranger({ id, core }: Node): void {
    if (core === undefined) return;
    const type = this.#random.pick(strangerTypes);
    const term = memberRequests.has(type) ? 0 : core.term + this.#random.pick([0, 1, 5]);
    const before = [core.term, core.role, core.leader, core.commit, core.lastIndex, core.hasReady()].join(
      ' ',
    );
    core.step(makeMessage({ type, from: 'stranger', to: id, term, index: core.lastIndex, context: '1' }));
    const after = [core.term, core.role, core.leader, core.commit, core.lastIndex, core.hasReady()].join(' ');
    if (before !== after)
      throw new Violation('members only', `${type} of a stranger moved ${id}: ${before} → ${after}`);
  }

  #transfer(node: Node): void {
    if (node.core === undefined || !node.core.isLeader) return;
    node.core.transferLeadership(this.#random.pick(this.#nodes).id);
    this.tally.transfers++;
  }

  /** Everything works again: a proposal must be applied everywhere, and all replicas must be equal. */
  #recover(): void {
    this.#cutOff = new Set();
    this.#lossRate = 0;
    this.#maxDelay = 1;
    for (const node of this.#nodes) if (node.core === undefined) this.#start(node);
    for (let round = 0; round < 3_000; round++) {
      this.#now++;
      if (round % 3 === 0) this.#tickAll();
      this.#deliverDue();
      for (const node of this.#nodes) {
        while (node.pending.length > 0) this.#sync(node);
        while (node.applying.length > 0) this.#apply(node);
        this.#handleReady(node);
      }
      if (round % 50 === 0) for (const node of this.#nodes) this.#client(node);
      if (round > 200 && this.#isAtRest()) return;
    }
    const states = this.#nodes.map((node) => JSON.stringify(node.core?.status()));
    throw new Violation('liveness', `the group does not recover:\n${states.join('\n')}`);
  }

  #isAtRest(): boolean {
    const leaders = this.#nodes.filter((node) => node.core?.isLeader);
    const applied = new Set(this.#nodes.map((node) => node.core?.applied));
    const terms = new Set(this.#nodes.map((node) => node.core?.term));
    return leaders.length === 1 && terms.size === 1 && applied.size === 1 && !applied.has(0);
  }
}

/** Runs one seed; a failure says which one it was. */
export function simulate(seed: number, options: SimulationOptions): Tally {
  try {
    return new Simulation(seed, options).run();
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}, ${options.nodes} nodes, ${options.steps} steps: ${what}`, { cause });
  }
}
