// The leader's side of replication: what to send to whom, and when an entry is committed. Hot path.

import { payloadBytes } from './entry-size.js';
import { raftInvariant } from './errors.js';
import { appendMessage, appendResponse, heartbeatMessage, snapshotMessage } from './message.js';
import type { RaftState } from './raft-state.js';
import type { Progress } from './tracker/progress.js';
import type { Entry } from './types.js';

const noData = new Uint8Array(0);

/**
 * Sends entries to a follower, or a snapshot if what it needs is compacted. With `evenIfEmpty` an append goes out also
 * without entries, to carry the commit index or to probe. Returns whether something was sent.
 */
export function maybeSendAppend(state: RaftState, to: Progress, evenIfEmpty: boolean): boolean {
  if (to.isPaused) return false;
  const { log } = state;
  const previous = to.next - 1;
  const previousTerm = log.term(previous);
  if (previousTerm === undefined) return maybeSendSnapshot(state, to);
  let entries: readonly Entry[] = [];
  // With a full window only an empty append goes out: if all of the window was lost, its answer frees it.
  if (to.state !== 'replicate' || !to.inflights.full) {
    const found = log.entriesFrom(to.next, state.config.maxBytesPerMessage);
    if (found === undefined) return maybeSendSnapshot(state, to);
    entries = found;
  }
  if (entries.length === 0 && !evenIfEmpty) return false;
  if (to.isWitness) entries = withoutData(entries);
  state.send(appendMessage(to.id, state.id, state.term, previous, previousTerm, entries, log.committed));
  to.sentEntries(entries.length, payloadBytes(entries));
  to.noteSentCommit(log.committed);
  return true;
}

/** What a witness gets: which entries there are, and what those of them say that change the membership. */
function withoutData(entries: readonly Entry[]): readonly Entry[] {
  return entries.map((entry) =>
    entry.type === 'normal' && entry.data.length > 0 ? { ...entry, data: noData } : entry,
  );
}

function maybeSendSnapshot(state: RaftState, to: Progress): boolean {
  if (!to.recentActive) {
    state.note('snapshot-not-sent', { to: to.id, reason: 'not recently active' });
    return false;
  }
  const snapshot = state.log.snapshot();
  if (snapshot === undefined) {
    state.note('snapshot-not-sent', { to: to.id, reason: 'none at hand yet' });
    return false;
  }
  if (snapshot.metadata.index === 0) throw raftInvariant('the log is compacted but storage has no snapshot');
  to.becomeSnapshot(snapshot.metadata.index);
  state.note('snapshot-sent', { to: to.id, index: snapshot.metadata.index });
  const { metadata } = snapshot;
  const sent = to.isWitness ? { metadata, data: noData } : snapshot;
  state.send(snapshotMessage(to.id, state.id, state.term, sent));
  return true;
}

/** Sends an append, perhaps an empty one, to everybody who can take one. */
export function broadcastAppend(state: RaftState): void {
  for (const member of state.tracker.members) {
    if (member.id !== state.id) maybeSendAppend(state, member, true);
  }
}

/** Tells everybody that the leader lives; an answer confirms the reads up to `context`. */
export function broadcastHeartbeat(state: RaftState, context: string): void {
  for (const member of state.tracker.members) {
    if (member.id === state.id) continue;
    // Never more than what the follower is known to share: what it has beyond may be another leader's.
    const commit = Math.min(member.match, state.log.committed);
    state.send(heartbeatMessage(member.id, state.id, state.term, commit, context));
    member.noteSentCommit(commit);
  }
}

/** Commits what a quorum has on disk, if it is of this term. */
export function maybeCommit(state: RaftState): boolean {
  return state.log.maybeCommit(state.tracker.committedIndex(), state.term);
}

/**
 * Appends entries to the leader's own log. It acknowledges them to itself like any follower: once they are on disk.
 * False when they would pass the bound on uncommitted bytes. Empty entries always fit, and so does anything when
 * nothing else is uncommitted.
 */
export function appendToLog(state: RaftState, entries: readonly Entry[]): boolean {
  const bytes = payloadBytes(entries);
  if (!fitsUncommitted(state, bytes)) return false;
  state.uncommittedBytes += bytes;
  state.log.append(entries);
  state.sendDurable(appendResponse(state.id, state.id, state.term, state.log.lastIndex()));
  return true;
}

/** Whether so many bytes more may be proposed. */
export function fitsUncommitted(state: RaftState, bytes: number): boolean {
  if (state.uncommittedBytes === 0 || bytes === 0) return true;
  return state.uncommittedBytes + bytes <= state.config.maxUncommittedBytes;
}

/** These bytes are committed and applied. */
export function reduceUncommitted(state: RaftState, bytes: number): void {
  state.uncommittedBytes = Math.max(0, state.uncommittedBytes - bytes);
}
