// The limits that the engine obeys, by the names under which operators change them. Read anew at each use, so that a
// change acts at once.

/** Limits of the engine. */
export interface EngineLimits {
  /** Proposals that this node has taken and not answered. More are refused with `overloaded`. */
  readonly maxPendingProposals: number;
  /** Bytes of them. */
  readonly maxPendingProposalBytes: number;
  /** Linearizable reads that wait at this node. More are refused with `overloaded`. */
  readonly maxPendingReads: number;
  /** Turns whose proposals may be on their way to the disk at once. */
  readonly maxInflightWrites: number;
  /** Bytes from peers that wait for this node's disk; beyond, appends of peers are dropped and come again. */
  readonly maxMemoryBytes: number;
  /** Ms after which a write ends in `outcome-unknown` and a read in `read-timeout`. */
  readonly requestTimeoutMs: number;
  /** Lower bound of the election timeout, ms. */
  readonly minElectionTimeoutMs: number;
  /** Election timeout in multiples of the 99th percentile of round-trip times. */
  readonly electionTimeoutMultiplier: number;
  /** Entries beyond the kept tail at which a snapshot is taken. */
  readonly snapshotEntries: number;
  /** Bytes of a group's log at which a snapshot is taken. */
  readonly snapshotLogBytes: number;
  /** Snapshots that this node sends at once. */
  readonly maxSnapshotTransfers: number;
  /** Bytes a second of all snapshots that this node sends; 0 is no limit. */
  readonly snapshotBytesPerSecond: number;
  /** Entries kept behind a snapshot for slow followers. */
  readonly maxCacheEntries: number;
}
