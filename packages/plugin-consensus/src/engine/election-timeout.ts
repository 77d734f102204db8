// How long followers wait for a leader: a multiple of the round-trip times that the transport sees, so that a slow
// network does not elect without need and a fast one fails over quickly. Pure.

import type { PeerStatus, RttStatistics } from '@datawarehouse/sdk';
import type { EngineLimits } from './engine-limits.js';

/** Before there are round-trip times to go by, long enough for any network. */
export const START_ELECTION_TIMEOUT_MS = 1_000;
/** However slow the network, a dead leader is replaced after some such time. */
const MAX_ELECTION_TIMEOUT_MS = 30_000;
/**
 * Round trips longer than so many times the median are those of a process that stood still, and no property of the
 * network: among few samples one of them would be the 99th percentile, and the next failure would wait for it tenfold.
 */
const MAX_OVER_MEDIAN = 10;
/** With fewer samples of a peer its percentiles say nothing. */
const MIN_SAMPLES = 5;
const MAX_HEARTBEAT_MS = 100;

/** Length of a tick in ms: fine enough to draw many different deadlines from the shortest election timeout. */
export const TICK_MS = 10;

/**
 * The election timeout: max(`minMs`, 99th percentile × `multiplier`) by the slowest peer; undefined while no peer has
 * enough samples. What exceeds {@link MAX_OVER_MEDIAN} times the median lengthens it up to
 * {@link START_ELECTION_TIMEOUT_MS} and no further.
 */
export function electionTimeoutMs(
  rtts: readonly (Pick<RttStatistics, 'samples' | 'p50Ms' | 'p99Ms'> | undefined)[],
  minMs: number,
  multiplier: number,
): number | undefined {
  let slowest: number | undefined;
  for (const rtt of rtts) {
    if (rtt === undefined || rtt.samples < MIN_SAMPLES) continue;
    const usual = Math.max(rtt.p50Ms * MAX_OVER_MEDIAN, START_ELECTION_TIMEOUT_MS / multiplier);
    slowest = Math.max(slowest ?? 0, Math.min(rtt.p99Ms, usual));
  }
  if (slowest === undefined) return undefined;
  return Math.min(Math.max(minMs, slowest * multiplier), MAX_ELECTION_TIMEOUT_MS);
}

/** The election timeout that limits and the round-trip times to peers ask for. */
export function nextElectionTimeoutMs(
  peers: readonly Pick<PeerStatus, 'rtt'>[],
  limits: Pick<EngineLimits, 'minElectionTimeoutMs' | 'electionTimeoutMultiplier'>,
): number {
  const { minElectionTimeoutMs: least, electionTimeoutMultiplier } = limits;
  const rtts = peers.map((peer) => peer.rtt);
  const measured = electionTimeoutMs(rtts, least, electionTimeoutMultiplier);
  return measured ?? Math.max(START_ELECTION_TIMEOUT_MS, least);
}

/** Ticks of an election timeout, and of the heartbeats of which at least three fit in it. */
export function ticksFor(timeoutMs: number): {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
} {
  const electionTicks = Math.max(4, Math.ceil(timeoutMs / TICK_MS));
  const heartbeatTicks = Math.max(1, Math.min(Math.floor(electionTicks / 3), MAX_HEARTBEAT_MS / TICK_MS));
  return { electionTicks, heartbeatTicks };
}
