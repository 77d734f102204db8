// A proposal and the one answer that it gets.

import type { DwError } from '@datawarehouse/sdk';
import type { Outcome } from '../state/outcome.js';

/** What became of a proposal. Failure with any code but `outcome-unknown` says that it did not happen and never will. */
export type ProposalResult =
  | { readonly ok: true; readonly index: number; readonly outcome: Outcome }
  | { readonly ok: false; readonly error: DwError };

/**
 * A proposal on its way. `queued`: not in any log, so it can be taken back. `appended`: in this leader's log at
 * (`index`, `term`), so only the entry that is committed there decides. `settled`: `done` was called.
 */
export interface Proposal {
  readonly proposalId: number;
  /** The entry's data: an envelope. */
  readonly data: Uint8Array;
  /** Clock time at which the proposer stops waiting. Moves closer when leadership is lost. */
  deadline: number;
  readonly submittedAt: number;
  state: 'queued' | 'appended' | 'settled';
  index: number;
  term: number;
  /** Called exactly once. Must not throw. */
  readonly done: (result: ProposalResult) => void;
}

/** Counts what the proposals of all groups take, so that the node's bounds hold for them together. */
export class ProposalBudget {
  count = 0;
  bytes = 0;

  /** Whether a proposal of so many bytes fits. */
  fits(bytes: number, maxCount: number, maxBytes: number): boolean {
    // One proposal always fits when nothing waits, or a value above the bound could never be written.
    return this.count < maxCount && (this.count === 0 || this.bytes + bytes <= maxBytes);
  }

  take(bytes: number): void {
    this.count++;
    this.bytes += bytes;
  }

  release(bytes: number): void {
    this.count--;
    this.bytes -= bytes;
  }
}
