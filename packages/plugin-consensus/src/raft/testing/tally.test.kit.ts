// What happened in a simulated run.

/** What happened in a run; for seeing that a suite of runs is not empty. */
export interface Tally {
  applied: number;
  leaders: number;
  crashes: number;
  snapshots: number;
  reads: number;
  transfers: number;
  lostMessages: number;
  lostWrites: number;
  /** Memberships that were taken on. */
  changes: number;
  /** Steps at which some node held a lease. */
  leased: number;
  pauses: number;
  /** Checksum of everything that happened, in order. */
  trace: number;
}

/** Nothing yet. */
export function newTally(): Tally {
  return {
    applied: 0,
    leaders: 0,
    crashes: 0,
    snapshots: 0,
    reads: 0,
    transfers: 0,
    lostMessages: 0,
    lostWrites: 0,
    changes: 0,
    leased: 0,
    pauses: 0,
    trace: 0,
  };
}
