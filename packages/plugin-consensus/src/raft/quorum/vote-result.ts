// The outcome of counting votes.

/** `pending`: neither a quorum of yes nor one of no yet. */
export type VoteResult = 'pending' | 'won' | 'lost';
