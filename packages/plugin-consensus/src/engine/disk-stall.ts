// What a leader does whose disk takes longer than an election. Others can still make entries durable, so leadership goes
// to the one that is furthest; if none takes it within an election timeout, this node gives it up.

import type { Logger } from '@datawarehouse/sdk';
import type { RaftCore } from '../raft/raft-core.js';

/** Leaves the leadership of one group to somebody with a better disk. */
export class DiskStall {
  /** Clock time since when this leader tries to hand over. */
  private since: number | undefined;

  constructor(
    private readonly groupId: string,
    private readonly log: Logger,
  ) {}

  /** The disk answers, or this node does not lead. */
  over(): void {
    this.since = undefined;
  }

  /** The disk of this leader stalls. Called at each tick while it does. */
  leave(core: RaftCore, successor: () => string | undefined, now: number, electionTimeoutMs: number): void {
    if (this.since === undefined) {
      this.since = now;
      const to = successor();
      this.log.warn({ group: this.groupId, to }, 'the disk stalls: handing leadership over');
      if (to !== undefined) core.transferLeadership(to);
    } else if (now - this.since > electionTimeoutMs) {
      this.since = undefined;
      this.log.warn({ group: this.groupId }, 'the disk stalls and nobody took over: giving leadership up');
      core.stepDown();
    }
  }
}
