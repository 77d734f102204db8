// The limits of the subsystem `consensus`, and what each bounds. The plugin's manifest shows the same.

import type { LimitDescriptors } from '@datawarehouse/sdk';

const MIB = 1024 * 1024;

/** The descriptors. */
export const CONSENSUS_LIMITS = {
  minElectionTimeoutMs: {
    unit: 'ms',
    min: 50,
    max: 30_000,
    default: 150,
    description: 'Shortest election timeout; raise it where processes are paused or starved of CPU',
  },
  electionTimeoutMultiplier: {
    unit: 'times',
    min: 1,
    max: 1_000,
    default: 10,
    description: 'Election timeout in multiples of the 99th percentile of round-trip times',
  },
  maxValueBytes: {
    unit: 'bytes',
    min: 1,
    max: 7 * MIB,
    default: 4 * MIB,
    description: 'Largest value; larger ones are refused with 413. Set it alike on all nodes',
  },
  requestTimeoutMs: {
    unit: 'ms',
    min: 100,
    max: 300_000,
    default: 4_000,
    description: 'Time after which a write ends in outcome-unknown or was taken back, and a read fails',
  },
  maxPendingProposals: {
    unit: 'proposals',
    min: 1,
    max: 1_000_000,
    default: 2_048,
    description: 'Writes that this node, as a leader, has taken and not answered; more are refused with 429',
  },
  maxPendingProposalBytes: {
    unit: 'bytes',
    min: 64 * 1024,
    max: 256 * MIB,
    default: 64 * MIB,
    description: 'Bytes of those writes, and of writes under way to other nodes; more are refused with 429',
  },
  maxPendingReads: {
    unit: 'reads',
    min: 1,
    max: 1_000_000,
    default: 8_192,
    description: 'Linearizable reads of a group that wait at this node; more are refused with 429',
  },
  maxSnapshotTransfers: {
    unit: 'transfers',
    min: 1,
    max: 64,
    default: 4,
    description: 'Snapshots that this node sends to followers at once; others wait for their turn',
  },
  snapshotBytesPerSecond: {
    unit: 'bytes/s',
    min: 0,
    max: 100_000 * MIB,
    default: 128 * MIB,
    description: 'Rate of all snapshots together that this node sends to followers; 0 is no limit',
  },
  hotSegments: {
    unit: 'segments',
    min: 0,
    max: 1_000,
    default: 3,
    description: 'Newest sealed segments of each group’s log that are mapped into memory; 0 maps none',
  },
  scrubBytesPerSecond: {
    unit: 'bytes/s',
    min: 0,
    max: 4096 * MIB,
    default: 16 * MIB,
    description: 'Rate at which sealed segments and snapshots are looked over for damage; 0 rests',
  },
  maxInflightWrites: {
    unit: 'writes',
    min: 1,
    max: 64,
    default: 8,
    description: 'Writes under way to the disk at which new proposals wait: fewer make larger batches',
  },
  snapshotEntries: {
    unit: 'entries',
    min: 100,
    max: 100_000_000,
    default: 100_000,
    description: 'Entries of a group beyond its kept tail at which a snapshot is taken and the log compacted',
  },
  snapshotLogBytes: {
    unit: 'bytes',
    min: 64 * 1024,
    max: 64 * 1024 * MIB,
    default: 128 * MIB,
    description: 'Bytes of a group’s log at which a snapshot is taken and the log compacted',
  },
  maxCacheEntries: {
    unit: 'entries',
    min: 0,
    max: 10_000_000,
    default: 10_000,
    description:
      'Log entries of a group kept behind an automatic snapshot, so that slow followers need no snapshot',
  },
  maxMemoryBytes: {
    unit: 'bytes',
    min: MIB,
    max: 200 * MIB,
    default: 100 * MIB,
    description:
      'Bytes of entries that wait for this node’s disk; beyond, appends of peers are dropped and come again',
  },
  maxConcurrentOperations: {
    unit: 'operations',
    min: 1,
    max: 1_000_000,
    default: 384,
    description:
      'Operations of clients under way at this node; more are refused with 429. A few hundred keep the disks busy; beyond, each only waits longer',
  },
  maxQueueDepth: {
    unit: 'operations',
    min: 1,
    max: 1_000_000,
    default: 1_000,
    description: 'Operations that wait for a group to get a leader; more fail at once with no-leader',
  },
} as const satisfies LimitDescriptors;

/** Values of the limits by name. */
export type ConsensusLimits = Readonly<Record<keyof typeof CONSENSUS_LIMITS, number>>;
