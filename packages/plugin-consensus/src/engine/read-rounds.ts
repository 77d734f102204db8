// The linearizable reads of one group. All reads of a turn share one ReadIndex round: the leader confirms with a quorum,
// or for reads in `lease` mode by its lease, that it still leads, and names the index that the state must have reached.
// Reads then wait for that index.

import type { DwError } from '@datawarehouse/sdk';
import { readTimedOut } from '../errors.js';
import type { ReadMode } from '../raft/types.js';

/** A read that waits. */
export interface PendingRead {
  /** How the leader makes sure that it still leads. */
  readonly mode: ReadMode;
  /** Clock time at which it gives up. */
  readonly deadline: number;
  /** Called exactly once, with an error when the read cannot be served. The state may then be read at once. */
  readonly done: (error: DwError | undefined) => void;
}

interface Round {
  readonly mode: ReadMode;
  readonly reads: readonly PendingRead[];
  readonly startedAt: number;
}

/** Rounds that may be under way at once; what comes meanwhile joins the next one. */
const MAX_ROUNDS = 4;

/** The reads of one group, in the three steps of their way. */
export class ReadRounds {
  /** Not part of a round yet. */
  private waiting: PendingRead[] = [];
  /** The same, of reads that trust the leader's lease. */
  private leased: PendingRead[] = [];
  /** Asked for, by context. */
  private readonly rounds = new Map<string, Round>();
  /** Confirmed: to be served once this index is applied. */
  private confirmed: { readonly index: number; readonly reads: readonly PendingRead[] }[] = [];
  private sequence = 0;
  private pending = 0;

  /**
   * @param incarnation Unlike that of any earlier life of this node: the answer to a round of an earlier life must
   * not confirm a read of this one.
   */
  constructor(
    private readonly groupId: string,
    private readonly incarnation: string,
  ) {}

  /** Reads that wait, in any step. */
  get size(): number {
    return this.pending;
  }

  /** Whether a round should be asked for. */
  get wantsRound(): boolean {
    return (this.waiting.length > 0 || this.leased.length > 0) && this.rounds.size < MAX_ROUNDS;
  }

  /** Takes a read in. */
  add(read: PendingRead): void {
    this.pending++;
    this.listOf(read.mode).push(read);
  }

  /**
   * Puts all waiting reads of a mode into one round.
   * @param ask Asks the core for a read index under this context; false or a throw leaves the reads waiting.
   */
  startRound(now: number, ask: (context: string, mode: ReadMode) => boolean): void {
    if (this.leased.length > 0 && this.start('lease', this.leased, now, ask)) this.leased = [];
    if (this.waiting.length > 0 && this.start('safe', this.waiting, now, ask)) this.waiting = [];
  }

  /** A quorum confirmed a round. Contexts of abandoned rounds are ignored. */
  confirm(context: string, index: number, lastApplied: number): void {
    const round = this.rounds.get(context);
    if (round === undefined) return;
    this.rounds.delete(context);
    if (index <= lastApplied) this.serve(round.reads);
    else this.confirmed.push({ index, reads: round.reads });
  }

  /** The state has reached this index. */
  applied(lastApplied: number): void {
    if (this.confirmed.length === 0) return;
    const ready = this.confirmed.filter(({ index }) => index <= lastApplied);
    if (ready.length === 0) return;
    this.confirmed = this.confirmed.filter(({ index }) => index > lastApplied);
    for (const { reads } of ready) this.serve(reads);
  }

  /** Whoever was asked may have lost the question: asks again with what has waited too long or for another leader. */
  restart(startedBefore: number): void {
    for (const [context, round] of this.rounds) {
      if (round.startedAt > startedBefore) continue;
      this.rounds.delete(context);
      for (const read of round.reads) this.listOf(round.mode).push(read);
    }
  }

  /** Gives up on reads past their deadline. */
  expire(now: number): void {
    if (this.pending === 0) return;
    const late: PendingRead[] = [];
    const split = (reads: readonly PendingRead[]): PendingRead[] => {
      if (!reads.some((read) => read.deadline <= now)) return reads as PendingRead[];
      late.push(...reads.filter((read) => read.deadline <= now));
      return reads.filter((read) => read.deadline > now);
    };
    this.waiting = split(this.waiting);
    this.leased = split(this.leased);
    for (const [context, round] of this.rounds) {
      const reads = split(round.reads);
      if (reads.length === 0) this.rounds.delete(context);
      else if (reads !== round.reads) this.rounds.set(context, { ...round, reads });
    }
    this.confirmed = this.confirmed.map(({ index, reads }) => ({ index, reads: split(reads) }));
    this.confirmed = this.confirmed.filter(({ reads }) => reads.length > 0);
    this.fail(late, readTimedOut(this.groupId));
  }

  /** Fails all reads, because this replica stops. */
  stop(error: DwError): void {
    const all = [...this.waiting, ...this.leased];
    for (const round of this.rounds.values()) all.push(...round.reads);
    for (const { reads } of this.confirmed) all.push(...reads);
    this.waiting = [];
    this.leased = [];
    this.rounds.clear();
    this.confirmed = [];
    this.fail(all, error);
  }

  private start(
    mode: ReadMode,
    reads: readonly PendingRead[],
    now: number,
    ask: (context: string, mode: ReadMode) => boolean,
  ): boolean {
    const context = `${this.incarnation}:${++this.sequence}`;
    if (!ask(context, mode)) return false;
    this.rounds.set(context, { mode, reads, startedAt: now });
    return true;
  }

  private listOf(mode: ReadMode): PendingRead[] {
    return mode === 'lease' ? this.leased : this.waiting;
  }

  private serve(reads: readonly PendingRead[]): void {
    this.pending -= reads.length;
    for (const read of reads) read.done(undefined);
  }

  private fail(reads: readonly PendingRead[], error: DwError): void {
    this.pending -= reads.length;
    for (const read of reads) read.done(error);
  }
}
