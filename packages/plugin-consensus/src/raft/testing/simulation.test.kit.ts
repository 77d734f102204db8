// A whole group under one seed: messages are lost, late, repeated and overtake each other; disks are slow and forget
// what was not synced when their node crashes; nodes are cut off, crash, restart, take snapshots, hand over leadership.
// After every step the invariants are checked. The same seed gives the same run.

import { decodeConfChange } from '../confchange/encoding.js';
import { makeMessage } from '../message.js';
import { RaftCore } from '../raft-core.js';
import type { Entry, Message, RaftConfig } from '../types.js';
import { InTransit } from './in-transit.test.kit.js';
import { Invariants, Violation } from './invariants.test.kit.js';
import { leaving, refusable, someChange } from './membership-workload.test.kit.js';
import { confOf } from './memory-storage.test.kit.js';
import { Partition } from './partition.test.kit.js';
import { Random } from './random.test.kit.js';
import { driftMargin, newNode, timeOf, type SimulatedNode } from './simulated-node.test.kit.js';
import { newTally, type Tally } from './tally.test.kit.js';

export type { Tally } from './tally.test.kit.js';

/** How a run is set up. */
export interface SimulationOptions {
  /** Voters at the start. */
  readonly nodes: number;
  readonly steps: number;
  /** Nodes that are no members at the start; with them memberships change. The last one can be a witness only. */
  readonly spares?: number;
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

/** A step is a millisecond. */
const lease = { driftMargin, maxPauseMs: 25, refuseVotesAfterStart: true };

/** One run. */
export class Simulation {
  readonly #random: Random;
  readonly #nodes: SimulatedNode[] = [];
  readonly #invariants = new Invariants();
  readonly #config: Omit<RaftConfig, 'id' | 'storage' | 'applied'>;
  #lossRate: number;
  readonly #repeatRate: number;
  #maxDelay: number;
  /** Whether a core reads what it handed over, or only what is durable. It must not matter. */
  readonly #readsOwnWrites: boolean;
  readonly #network = new InTransit();
  readonly #partition = new Partition();
  readonly #changesMembers: boolean;
  #now = 0;
  #counter = 0;
  readonly #steps: number;
  readonly tally = newTally();

  constructor(seed: number, options: SimulationOptions) {
    const random = new Random(seed);
    this.#random = random;
    this.#steps = options.steps;
    this.#lossRate = random.pick([0, 0.02, 0.1, 0.25]);
    this.#repeatRate = random.pick([0, 0.05, 0.2]);
    this.#maxDelay = random.pick([1, 4, 20, 60]);
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
      stepDownOnRemoval: random.chance(0.8),
      ...(random.chance(0.6) ? { lease: { ...lease, promiseMs: random.pick([60, 150, 400]) } } : {}),
      random: () => random.next(),
    };
    const ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    const { spares = 0 } = options;
    this.#changesMembers = spares > 0;
    const spareIds = Array.from({ length: spares }, (_, i) => `s${i + 1}`);
    for (const id of [...ids, ...spareIds]) {
      const node = newNode(id, confOf(ids), spares > 1 && id === `s${spares}`, random);
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
    this.#tellTime();
    this.#partition.tick(this.#now, this.#ids, this.#random);
    const node = this.#random.pick(this.#nodes);
    const dice = this.#random.next();
    if (dice < 0.15) this.#tickAll();
    else if (dice < 0.45) this.#deliverDue();
    else if (dice < 0.65) this.#forSome((each) => this.#sync(each));
    else if (dice < 0.75) this.#forSome((each) => this.#apply(each));
    else if (this.#changesMembers && dice < 0.77) this.#changeMembers();
    else if (dice < 0.93) this.#client(this.#nodes.find((each) => each.core?.isLeader) ?? node);
    else if (dice < 0.94) this.#snapshot(node);
    else if (dice < 0.945) this.#changeNetwork();
    else if (dice < 0.95) this.#partition.heal(this.#now);
    else if (dice < 0.955) this.#crash(node);
    else if (dice < 0.984) this.#restartSome();
    else if (dice < 0.985) this.#pause(node);
    else if (dice < 0.99) this.#transfer(node);
    else if (dice < 0.995) this.#awake(node)?.reportUnreachable(this.#random.pick(this.#nodes).id);
    else this.#awake(node)?.campaign();
    if (this.#changesMembers && this.#random.chance(0.01)) this.#changeNetwork();
    if (this.#random.chance(0.002)) this.#partition.soon(this.#now, this.#random);
    if (this.#random.chance(0.01)) this.#stranger(this.#random.pick(this.#nodes));
    for (const each of this.#nodes) this.#handleReady(each);
    this.#checkLeases();
  }

  /** The core of a node that runs and does not stand still. */
  #awake(node: SimulatedNode): RaftCore | undefined {
    return node.pausedUntil > this.#now ? undefined : node.core;
  }

  get #ids(): readonly string[] {
    return this.#nodes.map((node) => node.id);
  }

  #tellTime(): void {
    for (const node of this.#nodes) this.#awake(node)?.setTime(timeOf(node, this.#now));
  }

  #pause(node: SimulatedNode): void {
    node.pausedUntil = this.#now + 1 + this.#random.below(150);
    this.tally.pauses++;
  }

  #checkLeases(): void {
    // Who stands still does nothing on the strength of its lease, and looks at its clock before it does anything again.
    const awake = this.#nodes.filter((node) => this.#awake(node) !== undefined);
    const cores = awake.map((node) => node.core as RaftCore);
    const holders = cores.filter((core) => core.holdsLease);
    if (holders.length > 0) this.tally.leased++;
    this.#invariants.leases(holders, cores);
  }

  #changeMembers(): void {
    const core = this.#nodes.map((node) => this.#awake(node)).find((each) => each?.isLeader === true);
    if (core === undefined) return;
    refusable(['conf-change-refused', 'proposal-dropped'], () => {
      core.proposeConfChange(someChange(core, this.#nodes, this.#random));
      // An operator in a hurry: all but the first must be refused.
      while (this.#random.chance(0.5)) core.proposeConfChange(someChange(core, this.#nodes, this.#random));
    });
    // What goes wrong with memberships goes wrong when some nodes have heard of a change and others have not.
    if (this.#random.chance(0.3)) this.#partition.soon(this.#now, this.#random);
  }

  /** Each node on its own may get on with its work, or may be slow. */
  #forSome(work: (node: SimulatedNode) => void): void {
    for (const node of this.#nodes) if (this.#random.chance(0.7)) work(node);
  }

  #running(): readonly SimulatedNode[] {
    return this.#nodes.filter((node) => this.#awake(node) !== undefined);
  }

  #start(node: SimulatedNode): void {
    node.memory = node.disk.clone();
    const storage = this.#readsOwnWrites ? node.memory : node.disk;
    const applied = node.disk.stored.metadata.index;
    node.core = new RaftCore({ ...this.#config, id: node.id, storage, applied });
    this.#invariants.monotonic(node.id, 'the term on disk', node.disk.hardState.term, node.core.term);
    node.core.setTime(timeOf(node, this.#now));
    node.term = node.core.term;
    node.commit = node.core.commit;
    node.wasLeader = false;
    node.pausedUntil = 0;
  }

  #crash(node: SimulatedNode): void {
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
    this.#partition.change(this.#now, this.#ids, this.#random);
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
      const severed = this.#partition.severs(message.from, message.to);
      if (severed || this.#random.chance(this.#lossRate)) {
        this.tally.lostMessages++;
        this.#report(message, false);
        continue;
      }
      const copies = this.#random.chance(this.#repeatRate) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const delay = 1 + this.#random.below(this.#maxDelay) + this.#partition.extraDelay(message.to);
        this.#network.send(message, this.#now + delay);
      }
    }
  }

  #deliverDue(): void {
    const canTake = (id: string): boolean => (this.#find(id)?.pausedUntil ?? 0) <= this.#now;
    const arrived = this.#network.arrived(this.#now, canTake);
    for (const message of arrived) {
      const node = this.#find(message.to);
      node?.core?.step(message);
      this.#report(message, node?.core !== undefined && this.#random.chance(0.8));
    }
    for (const { message, ok } of this.#network.reports(this.#now, canTake)) {
      this.#find(message.from)?.core?.reportSnapshot(message.to, ok);
    }
  }

  /** A snapshot's sender is told in the end how it went, late and perhaps wrongly. */
  #report(message: Message, ok: boolean): void {
    if (message.type !== 'snapshot') return;
    this.#network.report(message, ok, this.#now + 1 + this.#random.below(this.#maxDelay * 2));
  }

  #find(id: string): SimulatedNode | undefined {
    return this.#nodes.find((node) => node.id === id);
  }

  #handleReady(node: SimulatedNode): void {
    const core = this.#awake(node);
    if (core === undefined || !core.hasReady()) return;
    const ready = core.ready();
    if (ready.append !== undefined) {
      const { entries } = ready.append;
      node.memory.write(ready.append);
      const first = entries[0];
      if (first !== undefined) {
        const before = node.memory.term(first.index - 1);
        this.#invariants.appended(node.id, entries, before, node.isWitness);
      }
      if (ready.append.snapshot !== undefined) this.tally.snapshots++;
      node.pending.push(ready.append);
    }
    if (ready.apply !== undefined) {
      this.#invariants.applied(node.id, ready.apply.entries, node.isWitness);
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

  #check(node: SimulatedNode, core: RaftCore): void {
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
  #sync(node: SimulatedNode): void {
    if (this.#awake(node) === undefined) return;
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

  #apply(node: SimulatedNode): void {
    if (this.#awake(node) === undefined) return;
    const ready = node.applying.shift();
    if (ready?.apply === undefined || node.core === undefined) return;
    if (this.#changesMembers) this.#applyChanges(node, node.core, ready.apply.entries);
    for (const response of ready.apply.responses) node.core.step(response);
    this.tally.applied += ready.apply.entries.length;
  }

  #applyChanges(node: SimulatedNode, core: RaftCore, entries: readonly Entry[]): void {
    // What a snapshot that came meanwhile holds is behind the log's first index: the core has its membership already.
    const overtaken = core.status().firstIndex - 1;
    for (const entry of entries) {
      if (entry.type !== 'conf-change') continue;
      const conf = core.applyConfChange(decodeConfChange(entry.data), entry.index);
      if (entry.index <= overtaken) continue;
      this.#invariants.membership(node.id, entry.index, conf);
      node.disk.noteConf(entry.index, conf);
      if (node.memory !== node.disk) node.memory.noteConf(entry.index, conf);
      this.tally.changes++;
    }
    const last = entries.at(-1)?.index ?? 0;
    if (last > overtaken) this.#invariants.membershipAt(node.id, last, core.applyConfChange(undefined));
  }

  #client(node: SimulatedNode): void {
    const core = this.#awake(node);
    if (core?.isLeader !== true) return;
    this.#counter++;
    refusable(['proposal-dropped'], () => {
      if (this.#random.chance(0.3)) {
        const context = `r${this.#counter}`;
        node.asked.set(context, { appliedWhenAsked: this.#invariants.highestApplied });
        core.readIndex(context, this.#random.pick(['safe', 'lease']));
      } else if (this.#random.chance(0.5)) {
        core.propose(encoder.encode(`p${this.#counter}`));
      } else {
        core.proposeBatch([encoder.encode(`b${this.#counter}`), encoder.encode(`c${this.#counter}`)]);
      }
    });
  }

  /** Takes a snapshot of what is applied and durable, and drops the log up to there. */
  #snapshot(node: SimulatedNode): void {
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
  #stranger(node: SimulatedNode): void {
    const { id } = node;
    const core = this.#awake(node);
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

  #transfer(node: SimulatedNode): void {
    const core = this.#awake(node);
    if (core?.isLeader !== true) return;
    refusable(['transfer-refused'], () => {
      core.transferLeadership(this.#random.pick(this.#nodes).id);
    });
    this.tally.transfers++;
  }

  /** Everything works again: a proposal must be applied by all members, and all their replicas must be equal. */
  #recover(): void {
    this.#partition.healForGood();
    this.#lossRate = 0;
    this.#maxDelay = 1;
    for (const node of this.#nodes) {
      node.pausedUntil = 0;
      if (node.core === undefined) this.#start(node);
    }
    for (let round = 0; round < 10_000; round++) {
      this.#now++;
      this.#tellTime();
      if (round % 3 === 0) this.#tickAll();
      this.#deliverDue();
      for (const node of this.#nodes) {
        while (node.pending.length > 0) this.#sync(node);
        while (node.applying.length > 0) this.#apply(node);
        this.#handleReady(node);
      }
      this.#checkLeases();
      if (round % 50 === 0) for (const node of this.#nodes) this.#help(node);
      if (round > 1_500 && round % 50 === 0) this.#retire();
      if (round > 200 && this.#isAtRest()) return;
    }
    const states = this.#nodes.map((node) => JSON.stringify(node.core?.status()));
    throw new Violation('liveness', `the group does not recover:\n${states.join('\n')}`);
  }

  /** What its operator and its clients do with a leader while the group recovers. */
  #help(node: SimulatedNode): void {
    const { core } = node;
    if (core?.isLeader !== true) return;
    const { voters, votersOutgoing, autoLeave } = core.status().conf;
    if (!voters.includes(node.id) && !votersOutgoing.includes(node.id)) {
      core.stepDown();
    } else if (votersOutgoing.length > 0 && !autoLeave) {
      refusable(['conf-change-refused', 'proposal-dropped'], () => core.proposeConfChange(leaving));
    } else {
      this.#client(node);
    }
  }

  /** Without pre-votes, nodes that were removed and do not know it depose one leader after the other: stop them. */
  #retire(): void {
    const leader = this.#nodes.find((node) => node.core?.isLeader);
    const conf = leader?.core?.status().conf;
    if (conf === undefined || conf.votersOutgoing.length > 0) return;
    for (const node of this.#nodes) {
      if (![...conf.voters, ...conf.learners].includes(node.id)) node.core = undefined;
    }
  }

  #isAtRest(): boolean {
    const leaders = this.#nodes.filter((node) => node.core?.isLeader);
    const status = leaders[0]?.core?.status();
    if (leaders.length !== 1 || status === undefined || status.conf.votersOutgoing.length > 0) return false;
    const members = this.#nodes.filter((node) =>
      [...status.conf.voters, ...status.conf.learners].includes(node.id),
    );
    const applied = new Set(members.map((node) => node.core?.applied));
    const terms = new Set(members.map((node) => node.core?.term));
    return terms.size === 1 && applied.size === 1 && !applied.has(0);
  }
}

/** Runs one seed; a failure says which one it was. */
export function simulate(seed: number, options: SimulationOptions): Tally {
  try {
    return new Simulation(seed, options).run();
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    const { nodes, spares = 0, steps } = options;
    throw new Error(`seed ${seed}, ${nodes} + ${spares} nodes, ${steps} steps: ${what}`, { cause });
  }
}
