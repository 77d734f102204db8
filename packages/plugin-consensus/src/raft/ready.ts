// Gathers what the core wants done into one Ready, and notes that it was handed out. Several may be under way; they are
// handled in the order in which they were made.

import { storageAppendResponse, storageApplyResponse } from './message.js';
import type { RaftState } from './raft-state.js';
import type { HardState, Ready, ReadState, SoftState, StorageAppend, StorageApply } from './types.js';

const noReads: readonly ReadState[] = Object.freeze([]);

/** Makes Readies, each saying only what is new since the one before. */
export class ReadyMaker {
  readonly #state: RaftState;
  #soft: SoftState;
  #hard: HardState;

  constructor(state: RaftState) {
    this.#state = state;
    this.#soft = { leader: state.leader, role: state.role };
    this.#hard = state.hardState();
  }

  get #softChanged(): boolean {
    return this.#soft.leader !== this.#state.leader || this.#soft.role !== this.#state.role;
  }

  /** Term or vote changed: what must be on disk before anybody hears of it. */
  get #voteChanged(): boolean {
    return this.#hard.term !== this.#state.term || this.#hard.vote !== this.#state.vote;
  }

  get #hardChanged(): boolean {
    return this.#voteChanged || this.#hard.commit !== this.#state.log.committed;
  }

  /** Whether there is anything to hand out. */
  hasReady(): boolean {
    const state = this.#state;
    return (
      state.messages.length > 0 ||
      state.afterAppend.length > 0 ||
      state.log.unstable.hasNextEntries ||
      state.log.hasNextCommitted ||
      state.readStates.length > 0 ||
      this.#hardChanged ||
      this.#softChanged ||
      state.log.unstable.nextSnapshot() !== undefined
    );
  }

  /** Hands out everything there is. */
  ready(): Ready {
    const state = this.#state;
    const { messages } = state;
    if (messages.length > 0) state.messages = [];
    const reads = state.readStates.length === 0 ? noReads : state.readStates;
    if (reads.length > 0) state.readStates = [];
    const apply = this.#takeApply();
    return { soft: this.#takeSoft(), messages, append: this.#takeAppend(), apply, reads };
  }

  #takeSoft(): SoftState | undefined {
    if (!this.#softChanged) return undefined;
    this.#soft = { leader: this.#state.leader, role: this.#state.role };
    return this.#soft;
  }

  #takeAppend(): StorageAppend | undefined {
    const state = this.#state;
    const { unstable } = state.log;
    const entries = unstable.nextEntries();
    const snapshot = unstable.nextSnapshot();
    const responses = state.afterAppend;
    const hardChanged = this.#hardChanged;
    if (entries.length === 0 && snapshot === undefined && responses.length === 0 && !hardChanged)
      return undefined;
    const mustSync = entries.length > 0 || snapshot !== undefined || this.#voteChanged;
    if (hardChanged) this.#hard = state.hardState();
    state.afterAppend = [];
    // Asked for also when only the hard state is written: the answer to an earlier write may have been void because
    // the term had changed, and then this one must let the unstable entries go.
    if (unstable.count > 0) {
      const { log } = state;
      responses.push(storageAppendResponse(state.id, state.term, log.lastIndex(), log.lastTerm(), snapshot));
    } else if (snapshot !== undefined) {
      responses.push(storageAppendResponse(state.id, state.term, 0, 0, snapshot));
    }
    unstable.acceptInProgress();
    return { mustSync, hardState: hardChanged ? this.#hard : undefined, entries, snapshot, responses };
  }

  #takeApply(): StorageApply | undefined {
    const entries = this.#state.log.nextCommitted();
    if (entries.length === 0) return undefined;
    this.#state.log.acceptApplying(entries);
    return { entries, responses: [storageApplyResponse(this.#state.id, entries)] };
  }
}
