// Whether a learner has the log well enough to vote. A voter that is far behind would make the group wait for it, so the
// log is sent in rounds: each brings what the leader had when the round began. Once a round takes less than an election
// timeout, little can be missing, and the learner may vote. One that never gets there is given up after a bounded number
// of rounds, or when nothing has come of it for a while. Pure.

/** Rounds before a learner is given up: it is slower than the clients write. */
const MAX_ROUNDS = 10;
/** The first round may take a whole snapshot; without a sign of progress for so long it is given up. */
const SILENCE_MS = 20_000;

/** What is known of a learner at one moment. */
export interface LearnerProgress {
  /** Highest index that it has. */
  readonly match: number;
  /** Whether something was heard of it lately. */
  readonly active: boolean;
  /** Whether it is being sent a snapshot, which moves no index until it is there. */
  readonly snapshot: boolean;
}

/** How it stands with a learner. */
export type CatchUpState =
  | { readonly state: 'behind' }
  | { readonly state: 'caught-up'; readonly rounds: number }
  | { readonly state: 'given-up'; readonly why: string };

/** Follows one learner. */
export class CatchUp {
  private round = 1;
  private target: number;
  private roundStart: number;
  private lastProgress: number;
  private match = 0;

  constructor(
    lastIndex: number,
    now: number,
    private readonly electionTimeoutMs: number,
  ) {
    this.target = lastIndex;
    this.roundStart = now;
    this.lastProgress = now;
  }

  /** @param lastIndex End of the leader's log. */
  observe(progress: LearnerProgress | undefined, lastIndex: number, now: number): CatchUpState {
    const { match = 0, active = false, snapshot = false } = progress ?? {};
    if (match > this.match || (snapshot && active)) this.lastProgress = now;
    this.match = Math.max(this.match, match);
    if (match < this.target) {
      if (now - this.lastProgress <= SILENCE_MS) return { state: 'behind' };
      const why = active ? 'it takes nothing in' : 'it does not answer';
      return { state: 'given-up', why: `${why} for ${SILENCE_MS / 1_000} s` };
    }
    if (now - this.roundStart <= this.electionTimeoutMs) return { state: 'caught-up', rounds: this.round };
    if (this.round >= MAX_ROUNDS) {
      return { state: 'given-up', why: `after ${MAX_ROUNDS} rounds it was still falling behind` };
    }
    this.round++;
    this.target = lastIndex;
    this.roundStart = now;
    return { state: 'behind' };
  }
}
