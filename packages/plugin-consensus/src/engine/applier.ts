// Applies a group's committed entries to its state in slices, so that however many are committed at once the event loop
// goes on; settles the proposals that wait for them, and serves the reads that wait for the state to get that far.

import type { Clock } from '@datawarehouse/sdk';
import type { Entry, Message, StorageApply } from '../raft/types.js';
import type { Outcome } from '../state/outcome.js';
import { applyFailed } from '../state/errors.js';
import type { GroupState } from '../state/group-state.js';
import { decodeEnvelope } from './entry-envelope.js';
import type { PendingProposals } from './pending-proposals.js';
import type { ReadRounds } from './read-rounds.js';

/** Work between two looks at the clock: so many entries, or entries of so many bytes. */
const LOOK_AFTER_ENTRIES = 16;
const LOOK_AFTER_BYTES = 128 * 1_024;
const COMMITTED: Outcome = { status: 'committed' };

/** The way of committed entries into one group's state. */
export class Applier {
  /** What the core handed out, in order. Bounded by what the core hands out before it hears of its application. */
  private readonly queue: StorageApply[] = [];
  /** Entries of the first of them that are done. */
  private offset = 0;
  private whenIdle: (() => void)[] = [];
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly groupId: string,
    private readonly state: GroupState,
    private readonly pending: PendingProposals,
    private readonly reads: ReadRounds,
    private readonly clock: Clock,
    /** Index of the last entry that the state holds. */
    private applied: number,
    /** Takes what the core is to be told once entries are applied. */
    private readonly step: (response: Message) => void,
    /** Takes on the membership that a `conf-change` entry asks for. */
    private readonly changeConf: (entry: Entry) => void,
  ) {}

  /** Index of the last entry applied. */
  get lastApplied(): number {
    return this.applied;
  }

  /** Whether there are entries to apply. */
  get hasWork(): boolean {
    return this.queue.length > 0;
  }

  /** Takes in committed entries. */
  push(apply: StorageApply): void {
    this.queue.push(apply);
  }

  /** Applies until the clock passes `until`. @returns whether there is more. */
  run(until: number): boolean {
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      if (!this.applySome(next.entries, until)) break;
      this.queue.shift();
      this.offset = 0;
      for (const response of next.responses) this.step(response);
    }
    this.reads.applied(this.applied);
    this.tell();
    if (this.queue.length > 0) return true;
    this.idle();
    return false;
  }

  /** Resolves when everything taken in so far is applied, or dropped. */
  async drained(): Promise<void> {
    if (this.queue.length > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }

  /** The state was replaced by a snapshot at this index. */
  jumpTo(index: number): void {
    this.applied = index;
    this.pending.skipped(index);
    this.reads.applied(index);
    this.tell();
  }

  /** Drops what was not applied. */
  stop(): void {
    this.queue.length = 0;
    this.offset = 0;
    this.idle();
    this.tell();
  }

  /** Tells after each slice of applied entries, after a snapshot, and when nothing more is applied. Must not throw. */
  onApplied(listener: () => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  private tell(): void {
    if (this.listeners.size === 0) return;
    for (const listener of this.listeners) listener();
  }

  private idle(): void {
    if (this.whenIdle.length === 0) return;
    for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  /** @returns false when the time was up before the end. */
  private applySome(entries: readonly Entry[], until: number): boolean {
    let count = 0;
    let bytes = 0;
    while (this.offset < entries.length) {
      const entry = entries[this.offset++] as Entry;
      this.applyEntry(entry);
      bytes += entry.data.length;
      if (++count < LOOK_AFTER_ENTRIES && bytes < LOOK_AFTER_BYTES) continue;
      if (this.clock.now() > until) return this.offset === entries.length;
      count = 0;
      bytes = 0;
    }
    return true;
  }

  private applyEntry(entry: Entry): void {
    const { index, term } = entry;
    // An empty entry is a new leader's no-op, or all that a witness has of a command.
    const outcome = entry.type === 'normal' && entry.data.length > 0 ? this.applyData(entry) : COMMITTED;
    this.applied = index;
    if (entry.type === 'conf-change') this.changeConf(entry);
    this.pending.applied(index, term, outcome);
  }

  private applyData(entry: Entry): Outcome {
    let proposer = '';
    try {
      const envelope = decodeEnvelope(entry.data);
      proposer = envelope.proposer;
      const { index, term } = entry;
      return this.state.apply(envelope.kind, {
        index,
        term,
        proposer,
        time: envelope.time,
        data: envelope.data,
      });
    } catch (error) {
      // Also an envelope that this version cannot read: to pass over an entry would be to differ from who can.
      throw applyFailed(this.groupId, entry, proposer, error);
    }
  }
}
