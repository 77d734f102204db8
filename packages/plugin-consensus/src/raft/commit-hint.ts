// What a voter that refuses tells the candidate: how far it knows the log to be committed, and with which term there.
//
// Without it a group can stand still for good. A leader that is removed commits that, applies it and steps down; the
// voters that remain have the entry but do not know that it is committed, so they still count by the membership before
// it. For that they need votes of nodes that were removed, and those may have longer logs and may not stand themselves.
// The hint tells the candidate that the change is committed: it applies it and needs those votes no more.
//
// Only a membership change is learned in this way; for all else there is time until there is a leader.

import type { RaftState } from './raft-state.js';

/** The hint in the context of a refusal. */
export function commitHintOf(state: RaftState): string {
  const { committed } = state.log;
  return `${committed}@${state.log.term(committed) ?? 0}`;
}

/**
 * Takes a refusal's hint. The logs are equal up to an entry of the same index and term, so what is committed there is
 * committed here. Returns whether a membership change was learned to be committed.
 */
export function learnCommit(state: RaftState, hint: string): boolean {
  const parts = /^(\d{1,15})@(\d{1,15})$/.exec(hint);
  if (parts === null || state.role === 'leader') return false;
  const index = Number(parts[1]);
  const { log } = state;
  if (index <= log.committed || !log.matchTerm(index, Number(parts[2]))) return false;
  if (!log.hasConfChange(log.committed + 1, index + 1, state.config.maxCommittedBytesPerReady)) return false;
  log.commitTo(index);
  state.note('membership-change-learned', { index });
  return true;
}
