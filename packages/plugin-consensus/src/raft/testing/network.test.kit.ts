// A few cores in one process with a network that a test steers by hand: what is lost, what is held back, who is cut
// off. Storage answers at once unless told otherwise.

import { decodeConfChange } from '../confchange/encoding.js';
import { makeMessage } from '../message.js';
import { RaftCore } from '../raft-core.js';
import type { Entry, Message, RaftConfig, Ready, ReadState } from '../types.js';
import { confOf, MemoryStorage } from './memory-storage.test.kit.js';

/** Far more Readies than any step of a test brings about. */
const MAX_READIES = 10_000;

/** What a test may set of a core's configuration. */
export type Options = Partial<Omit<RaftConfig, 'id' | 'storage'>>;

interface Member {
  core: RaftCore;
  storage: MemoryStorage;
  applied: Entry[];
  reads: ReadState[];
  /** Appends that are not durable yet: only while the disk is held. */
  held: Ready[];
  diskHeld: boolean;
}

/** A configuration for tests: ten ticks for an election, and no bound that a test would meet by accident. */
export function testConfig(id: string, storage: MemoryStorage, options: Options = {}): RaftConfig {
  return {
    id,
    storage,
    electionTicks: 10,
    heartbeatTicks: 1,
    applied: storage.stored.metadata.index,
    maxBytesPerMessage: 1 << 20,
    maxCommittedBytesPerReady: 1 << 20,
    maxUncommittedBytes: 1 << 30,
    maxInflightMessages: 256,
    maxInflightBytes: 0,
    checkQuorum: false,
    preVote: false,
    random: () => 0,
    ...options,
  };
}

/** Cores and the messages between them. */
export class Network {
  readonly #members = new Map<string, Member>();
  readonly #options: Options;
  /** Messages under way, in the order in which they were sent. */
  inFlight: Message[] = [];
  /** Says which messages are lost when they are sent. */
  lose: (message: Message) => boolean = () => false;
  /** Everything ever sent. */
  readonly sent: Message[] = [];

  constructor(
    ids: readonly string[],
    options: Options = {},
    learners: readonly string[] = [],
    witnesses: readonly string[] = [],
  ) {
    this.#options = options;
    const conf = confOf(ids, learners, witnesses);
    for (const id of [...ids, ...learners]) this.start(id, new MemoryStorage(conf));
  }

  /** Starts a core on this storage, in place of the one with the same id. */
  start(id: string, storage: MemoryStorage): RaftCore {
    const core = new RaftCore(testConfig(id, storage, this.#options));
    this.#members.set(id, { core, storage, applied: [], reads: [], held: [], diskHeld: false });
    return core;
  }

  #member(id: string): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`there is no node ${id} in this test`);
    return member;
  }

  core(id: string): RaftCore {
    return this.#member(id).core;
  }

  storage(id: string): MemoryStorage {
    return this.#member(id).storage;
  }

  applied(id: string): readonly Entry[] {
    return this.#member(id).applied;
  }

  reads(id: string): readonly ReadState[] {
    return this.#member(id).reads;
  }

  /** From now on writes of this node do not become durable, until it is let go. */
  holdDisk(id: string): void {
    this.#member(id).diskHeld = true;
  }

  /** Everything that was held becomes durable, in order. */
  releaseDisk(id: string): void {
    const member = this.#member(id);
    member.diskHeld = false;
    for (const ready of member.held.splice(0)) this.#durable(member, ready);
  }

  /** Loses all messages to and from these nodes. */
  isolate(...ids: string[]): void {
    this.lose = (message) => ids.includes(message.to) || ids.includes(message.from);
    this.inFlight = this.inFlight.filter((message) => !this.lose(message));
  }

  heal(): void {
    this.lose = () => false;
  }

  /** Handles one node's Ready, without delivering anything. */
  handle(id: string): void {
    const member = this.#member(id);
    let readies = 0;
    while (member.core.hasReady()) {
      // A core that always wants something more would hang the test; it must fail it.
      readies += 1;
      if (readies > MAX_READIES) throw new Error(`${id} has a Ready after ${MAX_READIES} of them`);
      const ready = member.core.ready();
      this.send(ready.messages);
      member.reads.push(...ready.reads);
      if (ready.append !== undefined) {
        member.storage.write(ready.append);
        if (member.diskHeld) member.held.push(ready);
        else this.#durable(member, ready);
      }
      if (ready.apply !== undefined) {
        for (const entry of ready.apply.entries) this.#apply(member, entry);
        for (const response of ready.apply.responses) member.core.step(response);
      }
    }
  }

  #apply(member: Member, entry: Entry): void {
    member.applied.push(entry);
    if (entry.type !== 'conf-change') return;
    member.storage.noteConf(
      entry.index,
      member.core.applyConfChange(decodeConfChange(entry.data), entry.index),
    );
  }

  #durable(member: Member, ready: Ready): void {
    for (const response of ready.append?.responses ?? []) {
      if (response.to === member.core.id) member.core.step(response);
      else this.send([response]);
    }
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.sent.push(message);
      if (!this.lose(message)) this.inFlight.push(message);
    }
  }

  /** Delivers what is in flight now, and only that. */
  deliver(which: (message: Message) => boolean = () => true): void {
    const now = this.inFlight.filter(which);
    this.inFlight = this.inFlight.filter((message) => !now.includes(message));
    for (const message of now) this.#members.get(message.to)?.core.step(message);
  }

  /** Handles and delivers until nothing changes. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const id of this.#members.keys()) this.handle(id);
      if (this.inFlight.length === 0) return;
      this.deliver();
    }
    throw new Error('the network does not come to rest');
  }

  /** Ticks a node so often, settling after each tick. */
  tick(id: string, times = 1): void {
    for (let i = 0; i < times; i++) {
      this.core(id).tick();
      this.settle();
    }
  }

  /** An append without entries after index 0, to be filled in. */
  templateAppend(from: string, to: string, term: number): Message {
    return makeMessage({ type: 'append', from, to, term });
  }

  /** Makes a node the leader. */
  elect(id: string): RaftCore {
    this.core(id).campaign();
    this.settle();
    if (!this.core(id).isLeader) throw new Error(`${id} did not win`);
    return this.core(id);
  }
}
