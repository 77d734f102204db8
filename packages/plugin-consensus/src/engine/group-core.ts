// How the Raft core of a group is set up.

import { RaftCore } from '../raft/raft-core.js';
import type { GroupStorage } from '../storage/types.js';
import type { GroupHost, GroupOptions } from './group-host.js';
import { LEASE_TIMES } from './lease-times.js';

/** Starts a core on what the storage holds. @throws DwError `raft-config-invalid`, `raft-invariant`. */
export function makeCore(
  id: string,
  host: GroupHost,
  storage: GroupStorage,
  applied: number,
  options: GroupOptions,
): RaftCore {
  return new RaftCore({
    id: host.nodeId,
    storage,
    electionTicks: options.electionTicks,
    heartbeatTicks: options.heartbeatTicks,
    applied,
    maxBytesPerMessage: 512 * 1_024,
    maxCommittedBytesPerReady: 4 * 1024 * 1_024,
    maxUncommittedBytes: options.maxUncommittedBytes,
    maxInflightMessages: 256,
    maxInflightBytes: 16 * 1024 * 1_024,
    checkQuorum: true,
    preVote: true,
    stepDownOnRemoval: true,
    lease: LEASE_TIMES,
    voteFloor: options.voteFloor,
    random: options.random,
    trace: (event, fields) => host.log.debug({ group: id, event, ...fields }, 'raft'),
  });
}
