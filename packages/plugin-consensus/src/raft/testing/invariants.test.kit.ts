// What must hold in every run of a group, whatever is lost, late, repeated, cut off or crashed. The checks are
// incremental: each looks at what just happened and at a record of all that happened before, so that they can run after
// every single step.

import type { RaftCore } from '../raft-core.js';
import type { ConfState, Entry, Message, ReadState } from '../types.js';
import type { MemoryStorage } from './memory-storage.test.kit.js';

/** A property that was broken, and how. */
export class Violation extends Error {
  constructor(property: string, what: string) {
    super(`${property}: ${what}`);
    this.name = 'Violation';
  }
}

/** What an entry holds, as text. */
function textOf(entry: Entry): string {
  return `${entry.type}:${Buffer.from(entry.data).toString('hex')}`;
}

/** The record of one run. */
export class Invariants {
  readonly #leaders = new Map<number, string>();
  /** For each (index, term) ever in a log: the term before it, and what it holds. */
  readonly #logged = new Map<string, string>();
  /** For each committed index: term and content. */
  readonly #committed: string[] = [];
  /** For each index of a membership change: what it led to. */
  readonly #memberships = new Map<number, string>();
  readonly #votes = new Map<string, string>();
  readonly #grantedBy = new Map<string, Set<string>>();

  /** Highest index that any replica has applied. */
  get highestApplied(): number {
    return this.#committed.length - 1;
  }

  /** Election safety and leader completeness, when a node has become leader with this log. */
  leader(id: string, term: number, log: MemoryStorage): void {
    const other = this.#leaders.get(term);
    if (other === id) return;
    if (other !== undefined)
      throw new Violation('election safety', `${other} and ${id} both lead term ${term}`);
    this.#leaders.set(term, id);
    for (let index = log.firstIndex(); index < this.#committed.length; index++) {
      const committed = this.#committed[index];
      if (committed === undefined) continue;
      const has = `${log.term(index)}`;
      if (has !== committed.split('|')[0]) {
        throw new Violation(
          'leader completeness',
          `${id} leads term ${term} without committed entry ${index}`,
        );
      }
    }
    if (log.lastIndex() < this.highestApplied) {
      throw new Violation(
        'leader completeness',
        `the log of ${id}, leader of ${term}, ends before what is committed`,
      );
    }
  }

  /** Log matching, when these entries were appended to a log after an entry of `previousTerm`. */
  appended(
    id: string,
    entries: readonly Entry[],
    previousTerm: number | undefined,
    withoutData = false,
  ): void {
    let before = previousTerm;
    for (const entry of entries) {
      const key = `${entry.index}@${entry.term}`;
      const value = `${before}|${textOf(entry)}`;
      if (withoutData && entry.type === 'normal') {
        if (entry.data.length > 0) throw new Violation('witnesses', `${id} has data in ${key}`);
        before = entry.term;
        continue;
      }
      const known = this.#logged.get(key);
      if (known === undefined) this.#logged.set(key, value);
      else if (known !== value)
        throw new Violation('log matching', `${id} has ${key} as ${value}, not ${known}`);
      before = entry.term;
    }
  }

  /** State machine safety: every replica applies the same entry at an index. */
  applied(id: string, entries: readonly Entry[], withoutData = false): void {
    for (const entry of entries) {
      const value = `${entry.term}|${textOf(entry)}`;
      const known = this.#committed[entry.index];
      if (withoutData && entry.type === 'normal') {
        if (known?.startsWith(`${entry.term}|normal:`) === false) {
          throw new Violation(
            'state machine safety',
            `${id} applies ${value} at ${entry.index}, not ${known}`,
          );
        }
        continue;
      }
      if (known === undefined) this.#committed[entry.index] = value;
      else if (known !== value) {
        throw new Violation(
          'state machine safety',
          `${id} applies ${value} at ${entry.index}, another had ${known}`,
        );
      }
    }
  }

  /** A node gives its vote in a term to one candidate only, crashes or not. */
  sent(message: Message): void {
    if (message.type !== 'vote-response' || message.reject) return;
    const key = `${message.from}@${message.term}`;
    const known = this.#votes.get(key);
    if (known !== undefined && known !== message.to) {
      throw new Violation(
        'one vote a term',
        `${message.from} votes for ${known} and ${message.to} in ${message.term}`,
      );
    }
    this.#votes.set(key, message.to);
    const granted = this.#grantedBy.get(`${message.to}@${message.term}`) ?? new Set();
    this.#grantedBy.set(`${message.to}@${message.term}`, granted.add(message.from));
  }

  /** A read sees everything that any replica had applied when it was asked for. */
  read(id: string, read: ReadState, appliedWhenAsked: number): void {
    if (read.index < appliedWhenAsked) {
      throw new Violation(
        'linearizable reads',
        `${id} reads at ${read.index} after ${appliedWhenAsked} was applied`,
      );
    }
  }

  /** At most one node holds a lease, and nobody leads a later term while it does. */
  leases(holders: readonly RaftCore[], all: readonly RaftCore[]): void {
    const [holder, other] = holders;
    if (holder === undefined) return;
    if (other !== undefined) {
      throw new Violation('leases never overlap', `${holder.id} and ${other.id} both hold one`);
    }
    const usurper = all.find((core) => core.isLeader && core.term > holder.term);
    if (usurper !== undefined) {
      const what = `${usurper.id} leads ${usurper.term} while ${holder.id} holds a lease in ${holder.term}`;
      throw new Violation('leases never overlap', what);
    }
  }

  /** An entry makes the same membership on every replica. */
  membership(id: string, index: number, conf: ConfState): void {
    const value = JSON.stringify(conf);
    const known = this.#memberships.get(index);
    if (known === undefined) this.#memberships.set(index, value);
    else if (known !== value) {
      throw new Violation('one membership', `${id} has ${value} from ${index} on, another has ${known}`);
    }
  }

  /** What a replica takes for the membership once it has applied this entry. */
  membershipAt(id: string, index: number, conf: ConfState): void {
    let newest = 0;
    for (const changed of this.#memberships.keys()) {
      if (changed <= index && changed > newest) newest = changed;
    }
    if (newest > 0) this.membership(id, newest, conf);
  }

  /** Term and commit index of a running node never go back. */
  monotonic(id: string, what: string, before: number, now: number): void {
    if (now < before) throw new Violation('no way back', `${what} of ${id} went from ${before} to ${now}`);
  }

  /** Every committed index was applied by somebody, without a hole. */
  whole(): void {
    for (let index = 1; index < this.#committed.length; index++) {
      if (this.#committed[index] === undefined)
        throw new Violation('state machine safety', `nobody applied ${index}`);
    }
  }
}
