// A proposal settles exactly once, with its own outcome, whatever happens to the leadership meanwhile.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notLeader, requestAborted } from '../errors.js';
import { PendingProposals } from './pending-proposals.js';
import type { Proposal, ProposalResult } from './proposal.js';
import { ProposalBudget } from './proposal.js';

type Event =
  | { readonly type: 'propose'; readonly count: number }
  | { readonly type: 'append'; readonly count: number }
  | { readonly type: 'commit'; readonly count: number }
  | { readonly type: 'depose'; readonly keep: number }
  | { readonly type: 'snapshot'; readonly ahead: number }
  | { readonly type: 'expire'; readonly by: number }
  | { readonly type: 'abandon'; readonly which: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('propose' as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('commit' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('depose' as const), keep: fc.nat(6) }) },
  fc.record({ type: fc.constant('snapshot' as const), ahead: fc.nat(4) }),
  fc.record({ type: fc.constant('expire' as const), by: fc.nat(40) }),
  fc.record({ type: fc.constant('abandon' as const), which: fc.nat(50) }),
);

/** One leader's log among others: what it appended can be replaced until it is committed. */
class Model {
  readonly budget = new ProposalBudget();
  readonly pending = new PendingProposals('group-1', this.budget);
  readonly proposals: Proposal[] = [];
  readonly results = new Map<number, ProposalResult[]>();
  /** `log[i]` is the entry at index i+1: its term, and the proposal it came from if it is ours. */
  log: { term: number; id: number | undefined }[] = [];
  committed = 0;
  term = 1;
  now = 0;

  propose(count: number): void {
    for (let n = 0; n < count; n++) {
      const proposalId = this.proposals.length;
      const results: ProposalResult[] = [];
      this.results.set(proposalId, results);
      const proposal: Proposal = {
        proposalId,
        data: new Uint8Array(3),
        deadline: this.now + 100,
        submittedAt: this.now,
        state: 'queued',
        index: 0,
        term: 0,
        done: (result) => results.push(result),
      };
      this.budget.take(3);
      this.pending.add(proposal);
      this.proposals.push(proposal);
    }
  }

  append(count: number): void {
    const next = this.pending.next().slice(0, count);
    const index = this.log.length + 1;
    for (const proposal of next) this.log.push({ term: this.term, id: proposal.proposalId });
    if (next.length > 0) this.pending.markAppended(next.length, index, this.term);
  }

  commit(count: number): void {
    for (let n = 0; n < count && this.committed < this.log.length; n++) {
      this.committed++;
      const entry = this.log[this.committed - 1]!;
      this.pending.applied(this.committed, entry.term, { status: 'written', version: this.committed });
    }
  }

  /** Another leader keeps some of what is not committed, replaces the rest, and then this node leads again. */
  depose(keep: number): void {
    this.log = this.log.slice(0, this.committed + keep);
    this.term++;
    this.log.push({ term: this.term, id: undefined });
    this.pending.leadershipLost(notLeader('group-1', 'n2'), this.now + 30);
    this.term++;
  }

  snapshot(ahead: number): void {
    const index = this.log.length + ahead;
    while (this.log.length < index) this.log.push({ term: this.term, id: undefined });
    this.committed = index;
    this.pending.skipped(index);
  }

  play(event: Event): void {
    if (event.type === 'propose') this.propose(event.count);
    else if (event.type === 'append') this.append(event.count);
    else if (event.type === 'commit') this.commit(event.count);
    else if (event.type === 'depose') this.depose(event.keep);
    else if (event.type === 'snapshot') this.snapshot(event.ahead);
    else if (event.type === 'expire') this.pending.expire((this.now += event.by));
    else {
      const proposal = this.proposals[event.which % Math.max(1, this.proposals.length)];
      if (proposal !== undefined) this.pending.abandon(proposal, requestAborted());
    }
  }
}

describe('pending proposals', () => {
  it('settle exactly once, and truly, under random changes of leadership', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const model = new Model();
        for (const event of events) model.play(event);
        model.pending.stop(notLeader('group-1', undefined), 'the node stops');
        for (const [id, results] of model.results) {
          expect(results).toHaveLength(1);
          const result = results[0]!;
          const at = model.log.findIndex((entry) => entry.id === id);
          if (result.ok) {
            // Acknowledged: its own entry is committed, at the index that it was told.
            expect(at).toBe(result.index - 1);
            expect(result.index).toBeLessThanOrEqual(model.committed);
          } else if (result.error.code !== 'outcome-unknown') {
            // Definitely failed: it is nowhere in the log.
            expect(at).toBe(-1);
          }
        }
        expect(model.budget.count).toBe(0);
        expect(model.budget.bytes).toBe(0);
        expect(model.pending.inLog + model.pending.queued).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are told apart at one index by their term', () => {
    const model = new Model();
    model.propose(1);
    model.append(1);
    model.depose(0);
    model.log = [];
    model.propose(1);
    model.append(1);
    model.commit(1);
    expect(model.results.get(0)![0]).toMatchObject({ ok: false, error: { code: 'leadership-lost' } });
    expect(model.results.get(1)![0]).toMatchObject({ ok: true, index: 1 });
  });

  it('are taken back when they expire before they are appended', () => {
    const model = new Model();
    model.propose(1);
    model.pending.expire(1_000);
    expect(model.results.get(0)![0]).toMatchObject({ ok: false, error: { code: 'proposal-expired' } });
    model.propose(1);
    model.append(1);
    model.pending.expire(1_000);
    expect(model.results.get(1)![0]).toMatchObject({ ok: false, error: { code: 'outcome-unknown' } });
  });
});
