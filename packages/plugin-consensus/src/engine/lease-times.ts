// The times of leader leases. All nodes must have the same, so they are constants and no limits. The promise is shorter
// than the shortest election timeout by default, so that it delays no election; the lease that follows from it (126 ms)
// is longer than the longest time between heartbeats (100 ms), so that a leader that is heard always holds one.

import type { LeaseConfig } from '../raft/types.js';

/** Leases of all groups. */
export const LEASE_TIMES: LeaseConfig = {
  promiseMs: 140,
  // No clock that is fit for use runs a tenth faster than another.
  driftMargin: 0.1,
  // A leader sets the time at least every 50 ms; beyond this the process stood still.
  maxPauseMs: 100,
  refuseVotesAfterStart: true,
};
