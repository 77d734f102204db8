// Holds a running simulation against the properties of Raft. It listens where the product's parts meet: what the engine
// hands to its storage, what it sends, what its groups apply, what the storage finds after a crash. The product knows
// nothing of it.

import { crc32, isDwError } from '@datawarehouse/sdk';
import type { MultiRaftEngine } from '../../../packages/plugin-consensus/src/engine/multi-raft-engine.js';
import type { RaftGroup } from '../../../packages/plugin-consensus/src/engine/raft-group.js';
import type { Entry, Message, StorageAppend } from '../../../packages/plugin-consensus/src/raft/types.js';
import type {
  GroupStorage,
  GroupWrite,
  NodeStorage,
} from '../../../packages/plugin-consensus/src/storage/types.js';
import type { Owner } from '../world/scheduler.js';
import { GroupRecord } from './group-record.js';
import { type Logged, ReplicaLog } from './replica-log.js';
import { Violation } from './violation.js';

/** A group knows the time as of its last tick or message. */
const CLOCK_LOOK_MS = 15;

/** The checks of one run. */
export class Checks {
  private readonly records = new Map<string, GroupRecord>();
  private readonly damage = new Set<string>();
  private readonly engines: (readonly [string, Owner, MultiRaftEngine])[] = [];

  /** @param fail Ends the run; what is thrown in the product's own promises would be taken for its failure. */
  constructor(
    private readonly now: () => number,
    private readonly fail: (violation: unknown) => void,
  ) {}

  /** The record of a group. */
  group(id: string): GroupRecord {
    let record = this.records.get(id);
    if (record === undefined) {
      record = new GroupRecord(id);
      this.records.set(id, record);
    }
    return record;
  }

  /** A node's disk was damaged: it may say so of a group, and then the group has nothing. */
  damaged(node: string): void {
    this.damage.add(node);
  }

  /** A node's disk was wiped: it comes back as another one. */
  wiped(node: string): void {
    for (const record of this.records.values()) record.wiped(node);
  }

  /** A node has become leader of a group. */
  leader(node: string, group: RaftGroup): void {
    this.guard(() => {
      this.group(group.id).leader(node, group.term);
      this.noOtherLease(node, group);
    });
  }

  /**
   * Nobody leads a later term while another one may still answer reads alone. One that wins an old term late, because its
   * vote for itself took long to reach the disk, is no harm to the lease of a later one: a quorum is in that term already,
   * so nothing of the old term can commit.
   */
  private noOtherLease(node: string, group: RaftGroup): void {
    for (const [other, life, engine] of this.engines) {
      if (other === node || !life.alive || engine.failure !== undefined) continue;
      // One that stands still looks at its clock before it answers anything.
      if (life.pausedUntil + CLOCK_LOOK_MS > this.now()) continue;
      const there = engine.group(group.id);
      if (there === undefined || !there.isLeader || there.term >= group.term) continue;
      const { leaseMs } = there;
      if (leaseMs <= CLOCK_LOOK_MS) continue;
      const what = `${node} leads term ${group.term} of ${group.id}; ${other} has a lease for ${leaseMs} ms`;
      throw new Violation('leases never overlap', what);
    }
  }

  /** A leader that others have replaced without its knowing must not answer reads alone any more. */
  private noLeaseOfOldTerm(node: string, life: Owner, group: RaftGroup): void {
    const { newestTerm } = this.group(group.id);
    if (group.term >= newestTerm || life.pausedUntil + CLOCK_LOOK_MS > this.now()) return;
    const { leaseMs } = group;
    if (leaseMs <= CLOCK_LOOK_MS) return;
    const what = `${node} holds a lease of term ${group.term} of ${group.id} for ${leaseMs} ms; ${newestTerm} is led`;
    throw new Violation('leases never overlap', what);
  }

  /** The storage as the engine shall see it: what it finds and what it calls durable is taken note of. */
  watchStorage(node: string, life: Owner, storage: NodeStorage): NodeStorage {
    const openGroup = async (...given: Parameters<NodeStorage['openGroup']>): Promise<GroupStorage> => {
      const group = await storage.openGroup(...given);
      if (life.alive) this.guard(() => this.opened(node, group));
      return group;
    };
    const underWay: (readonly GroupWrite[])[] = [];
    const write = async (writes: readonly GroupWrite[]): Promise<void> => {
      underWay.push(writes);
      await storage.write(writes);
      const at = underWay.indexOf(writes);
      if (!life.alive || at < 0) return;
      // Writes become durable in order: that of one says the same of all before it.
      for (const one of underWay.splice(0, at + 1).flat()) {
        this.group(one.groupId).replica(node).durable.take(one, one.entries.map(sumOf));
      }
    };
    const anew = (groupId: string): void => {
      if (life.alive) this.group(groupId).forget(node);
    };
    const destroyGroup = async (groupId: string): Promise<void> => {
      await storage.destroyGroup(groupId);
      anew(groupId);
    };
    const replaceGroup = async (...given: Parameters<NodeStorage['replaceGroup']>): Promise<GroupStorage> => {
      const group = await storage.replaceGroup(...given);
      anew(group.groupId);
      return group;
    };
    return standIn(storage, { openGroup, write, destroyGroup, replaceGroup });
  }

  /** Listens to what an engine sends and what it hands to its disk. */
  watchEngine(node: string, life: Owner, engine: MultiRaftEngine): void {
    this.engines.push([node, life, engine]);
    const send = engine.send.bind(engine);
    const write = engine.write.bind(engine);
    engine.send = (group, message) => {
      if (life.alive) this.guard(() => this.sent(node, group.id, message));
      send(group, message);
    };
    engine.write = (group, append) => {
      if (life.alive) this.guard(() => this.issued(node, group, append));
      write(group, append);
    };
    // Every group asks for a turn before it does anything.
    const seen = new WeakSet<RaftGroup>();
    const wake = engine.wake.bind(engine);
    engine.wake = (group) => {
      if (!seen.has(group)) {
        seen.add(group);
        this.watchGroup(node, life, group);
      }
      if (group.isLeader && life.alive) this.guard(() => this.noLeaseOfOldTerm(node, life, group));
      wake(group);
    };
  }

  private watchGroup(node: string, life: Owner, group: RaftGroup): void {
    const record = this.group(group.id);
    const { state } = group;
    const apply = state.apply.bind(state);
    record.replica(node).applied = group.lastApplied;
    state.apply = (kind, entry) => {
      const outcome = apply(kind, entry);
      const { index, term } = entry;
      // A witness has no state; that it is to have none is known to it before it gets any entry that has data elsewhere.
      const hash = group.conf.witnesses.includes(node) ? undefined : state.stateHash(index);
      if (life.alive) this.guard(() => record.applies(node, index, term, hash));
      return outcome;
    };
  }

  private opened(node: string, storage: GroupStorage): void {
    const { hardState } = storage.initialState();
    const found = new ReplicaLog();
    const snapshot = storage.snapshot()?.metadata.index ?? 0;
    let entries: ReadonlyMap<number, Logged>;
    try {
      entries = entriesOf(storage);
    } catch (error) {
      // Told apart from what a crash leaves, as it must be; nobody can use it.
      if (!this.damage.has(node) || !isDwError(error)) throw error;
      this.group(storage.groupId).replica(node).damaged = true;
      entries = new Map();
    }
    found.reset(hardState, Math.max(snapshot, storage.firstIndex() - 1), entries);
    this.group(storage.groupId).recovered(node, found);
  }

  private issued(node: string, group: RaftGroup, append: StorageAppend): void {
    const record = this.group(group.id);
    const { issued } = record.replica(node);
    const before = issued.hardState;
    const { snapshot } = append;
    if (snapshot !== undefined) record.installs(node, snapshot.metadata.index, snapshot.metadata.term);
    const sums = append.entries.map(sumOf);
    append.entries.forEach((entry, at) => {
      const previous = at > 0 ? append.entries[at - 1]?.term : issued.at(entry.index - 1)?.term;
      record.appended(node, entry.index, { term: entry.term, sum: sums[at] as number }, previous);
    });
    issued.take(append, sums);
    const { hardState } = append;
    if (hardState === undefined) return;
    const { term, vote, commit } = hardState;
    if (term < before.term || commit < before.commit) {
      const was = `term ${before.term}, commit ${before.commit}`;
      throw new Violation('never backwards', `${node} goes to term ${term}, commit ${commit} from ${was}`);
    }
    if (term === before.term && before.vote !== undefined && vote !== before.vote) {
      throw new Violation('one vote a term', `${node} changes its vote in term ${term}`);
    }
    if (commit === before.commit) return;
    // A follower hears what a leader was seen to commit; only of that leader the members are those that count.
    const { voters, votersOutgoing } = group.raft.conf;
    record.commits(node, before.commit, commit, group.isLeader ? [voters, votersOutgoing] : []);
  }

  private sent(node: string, group: string, message: Message): void {
    if (message.reject) return;
    const record = this.group(group);
    if (message.type === 'vote-response') {
      record.voted(node, message.term, message.to);
      const { term, vote } = record.replica(node).durable.hardState;
      if (term > message.term || (term === message.term && vote === message.to)) return;
      throw new Violation('votes are durable', `${node} votes in term ${message.term}; on disk is ${term}`);
    }
    if (message.type === 'append-response')
      record.acknowledges(node, message.to, message.term, message.index);
  }

  private guard(check: () => void): void {
    try {
      check();
    } catch (violation) {
      this.fail(violation);
    }
  }
}

/** An object that is `target` in all but some methods. What it has is laid down once, and not looked for at each call. */
function standIn<T extends object>(target: T, own: Partial<T>): T {
  const made = Object.create(null) as Record<string, unknown>;
  for (
    let level: object = target;
    level !== Object.prototype;
    level = Object.getPrototypeOf(level) as object
  ) {
    for (const key of Object.getOwnPropertyNames(level)) {
      if (key in made || key === 'constructor') continue;
      const method = Object.getOwnPropertyDescriptor(level, key)?.value as unknown;
      if (typeof method === 'function') made[key] = method.bind(target) as unknown;
      else Object.defineProperty(made, key, { get: () => Reflect.get(target, key, target) as unknown });
    }
  }
  return Object.assign(made, own) as T;
}

/** Everything that a log holds. */
function entriesOf(storage: GroupStorage): Map<number, Logged> {
  const entries = new Map<number, Logged>();
  const end = storage.lastIndex() + 1;
  for (let index = storage.firstIndex(); index < end;) {
    const some = storage.entries(index, end, 1024 * 1024);
    for (const entry of some) entries.set(entry.index, { term: entry.term, sum: sumOf(entry) });
    index += some.length;
  }
  return entries;
}

/** Checksum of what an entry holds. */
function sumOf(entry: Entry): number {
  return crc32(entry.data, entry.type === 'normal' ? 0 : 1);
}
