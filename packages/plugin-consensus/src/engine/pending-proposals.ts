// The proposals of one group that wait for their outcome, each of which is settled exactly once.
//
// What decides is the entry committed at a proposal's index. If it has the proposal's term it is that proposal, since a
// term has one leader and a leader writes an index once. If it has another term, the proposal is not in the log and
// never will be: that, and only that, is a definite failure after the append.

import { outcomeUnknown, proposalExpired, proposalSuperseded } from '../errors.js';
import type { DwError } from '@datawarehouse/sdk';
import type { Outcome } from '../state/outcome.js';
import type { Proposal, ProposalBudget, ProposalResult } from './proposal.js';

/** Proposals that wait, by where they are. Bounded by the budget: whoever adds has taken from it. */
export class PendingProposals {
  /** Not appended yet, in order of arrival. */
  private queue: Proposal[] = [];
  /** Appended, by index. Two can share one after leadership was lost and won again: they differ in term. */
  private readonly appended = new Map<number, Proposal[]>();

  constructor(
    private readonly groupId: string,
    private readonly budget: ProposalBudget,
  ) {}

  /** Proposals waiting to be appended. */
  get queued(): number {
    return this.queue.length;
  }

  /** Indexes at which appended proposals wait. */
  get inLog(): number {
    return this.appended.size;
  }

  /** Takes a proposal in. Its bytes must have been taken from the budget. */
  add(proposal: Proposal): void {
    this.queue.push(proposal);
  }

  /** The proposals that are to be appended next; those that were settled meanwhile are gone. */
  next(): readonly Proposal[] {
    if (this.queue.some((proposal) => proposal.state === 'settled')) {
      this.queue = this.queue.filter((proposal) => proposal.state === 'queued');
    }
    return this.queue;
  }

  /** The first `count` of {@link next} were appended, from `index` on, in `term`. */
  markAppended(count: number, index: number, term: number): void {
    const taken = this.queue.slice(0, count);
    this.queue = count === this.queue.length ? [] : this.queue.slice(count);
    taken.forEach((proposal, n) => this.addAppended(proposal, index + n, term));
  }

  /** Takes in a proposal that is in the log already. Its bytes must have been taken from the budget. */
  addAppended(proposal: Proposal, index: number, term: number): void {
    proposal.state = 'appended';
    proposal.index = index;
    proposal.term = term;
    const there = this.appended.get(index);
    if (there === undefined) this.appended.set(index, [proposal]);
    else there.push(proposal);
  }

  /** An entry was applied: settles what waits at its index. Hot path. */
  applied(index: number, term: number, outcome: Outcome): void {
    if (this.appended.size === 0) return;
    const waiting = this.appended.get(index);
    if (waiting === undefined) return;
    this.appended.delete(index);
    for (const proposal of waiting) {
      if (proposal.term === term) this.settle(proposal, { ok: true, index, outcome });
      else this.settle(proposal, { ok: false, error: proposalSuperseded(this.groupId, index) });
    }
  }

  /** A snapshot replaced the log up to `index`: nobody will see what was committed there. */
  skipped(index: number): void {
    for (const [at, waiting] of this.appended) {
      if (at > index) continue;
      this.appended.delete(at);
      this.unknown(waiting, 'a snapshot from the leader overtook it');
    }
  }

  /** This node no longer leads: what was not appended is refused, and what was gets until `deadline` to be decided. */
  leadershipLost(refusal: DwError, deadline: number): void {
    this.refuseQueued(refusal);
    for (const waiting of this.appended.values()) {
      for (const proposal of waiting) proposal.deadline = Math.min(proposal.deadline, deadline);
    }
  }

  /** Refuses everything that was not appended. */
  refuseQueued(refusal: DwError): void {
    const { queue } = this;
    this.queue = [];
    for (const proposal of queue) this.settle(proposal, { ok: false, error: refusal });
  }

  /** Settles what has waited past its deadline. */
  expire(now: number): void {
    for (const proposal of this.next()) {
      if (proposal.deadline <= now)
        this.settle(proposal, { ok: false, error: proposalExpired(this.groupId) });
    }
    this.next();
    for (const [index, waiting] of this.appended) {
      if (!waiting.some((proposal) => proposal.deadline <= now)) continue;
      const late = waiting.filter((proposal) => proposal.deadline <= now);
      const rest = waiting.filter((proposal) => proposal.deadline > now);
      if (rest.length === 0) this.appended.delete(index);
      else this.appended.set(index, rest);
      this.unknown(late, 'it was not decided in time');
    }
  }

  /** Settles everything because this replica stops: what was appended may be committed by the others. */
  stop(refusal: DwError, why: string): void {
    this.refuseQueued(refusal);
    for (const waiting of this.appended.values()) this.unknown(waiting, why);
    this.appended.clear();
  }

  /** Settles one proposal before its time, because its caller has gone. */
  abandon(proposal: Proposal, refusal: DwError): void {
    if (proposal.state === 'queued') {
      this.settle(proposal, { ok: false, error: refusal });
      return;
    }
    const waiting = this.appended.get(proposal.index);
    if (waiting === undefined || proposal.state === 'settled') return;
    const rest = waiting.filter((other) => other !== proposal);
    if (rest.length === 0) this.appended.delete(proposal.index);
    else this.appended.set(proposal.index, rest);
    this.unknown([proposal], 'its caller gave up');
  }

  private unknown(proposals: readonly Proposal[], why: string): void {
    for (const proposal of proposals) {
      this.settle(proposal, { ok: false, error: outcomeUnknown(this.groupId, why) });
    }
  }

  private settle(proposal: Proposal, result: ProposalResult): void {
    if (proposal.state === 'settled') return;
    proposal.state = 'settled';
    this.budget.release(proposal.data.length);
    proposal.done(result);
  }
}
