// How members, and what their leader knows of them, are printed.

import type { ProgressState } from '#consensus/raft/tracker/progress.js';
import type { TrackerConfig } from '#consensus/raft/tracker/tracker.js';
import type { ConfState } from '#consensus/raft/types.js';

/** What is printed of a member's progress. */
export interface ShownProgress {
  readonly id: string;
  readonly state: ProgressState;
  readonly match: number;
  readonly next: number;
  readonly isLearner: boolean;
  readonly isPaused: boolean;
  readonly pendingSnapshot: number;
  readonly recentActive: boolean;
  readonly inflight: number;
  readonly inflightFull: boolean;
}

const stateNames: Readonly<Record<ProgressState, string>> = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
};

/** Ids in the order of their numbers. */
export function inOrder(ids: Iterable<string>): readonly string[] {
  return [...ids].sort((a, b) => Number(a) - Number(b));
}

/** One line of `status`. */
export function describeProgress(member: ShownProgress): string {
  let text = `${member.id}: ${stateNames[member.state]} match=${member.match} next=${member.next}`;
  if (member.isLearner) text += ' learner';
  if (member.isPaused) text += ' paused';
  if (member.pendingSnapshot > 0) text += ` pendingSnap=${member.pendingSnapshot}`;
  if (!member.recentActive) text += ' inactive';
  if (member.inflight > 0) text += ` inflight=${member.inflight}${member.inflightFull ? '[full]' : ''}`;
  return text;
}

/** A membership as the confchange suite prints it. */
export function describeConfig(config: TrackerConfig): string {
  const list = (ids: Iterable<string>): string => `(${inOrder(ids).join(' ')})`;
  const { voters, learners, learnersNext, witnesses } = config;
  let text = `voters=${list(voters.incoming.ids)}`;
  if (voters.isJoint) text += `&&${list(voters.outgoing.ids)}`;
  if (learners.size > 0) text += ` learners=${list(learners)}`;
  if (learnersNext.size > 0) text += ` learners_next=${list(learnersNext)}`;
  if (witnesses.size > 0) text += ` witnesses=${list(witnesses)}`;
  return config.autoLeave ? `${text} autoleave` : text;
}

/** A membership as it stands in a snapshot. Witnesses, which upstream has not, are shown where there are any. */
export function describeConfState(conf: ConfState): string {
  const list = (ids: readonly string[]): string => `[${inOrder(ids).join(' ')}]`;
  const witnesses = conf.witnesses.length > 0 ? ` Witnesses:${list(conf.witnesses)}` : '';
  return (
    `Voters:${list(conf.voters)} VotersOutgoing:${list(conf.votersOutgoing)} Learners:${list(conf.learners)} ` +
    `LearnersNext:${list(conf.learnersNext)}${witnesses} AutoLeave:${conf.autoLeave}`
  );
}
