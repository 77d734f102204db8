// The ticks of one group. Most of them only count, so the group is not called at each: it catches up when something
// happens, and says at which tick it has something to do.

import type { RaftCore } from '../raft/raft-core.js';

/** A leader looks at the clock this often: its lease goes by it. */
const LEADER_TICKS = 5;
/**
 * While a promise to a leader stands it is looked at the clock this often, which is sooner than a jump is told from a
 * pause: a promise has as long to go after a jump as before, and would keep this node from helping the next leader.
 */
const PROMISED_TICKS = 8;
/** What waits is looked through this often for what has waited too long. */
const WAITING_TICKS = 10;
/** Every group is called this often whatever happens: its log may have grown enough for a snapshot. */
const LONGEST_TICKS = 50;

/** What a group waits for besides time: a turn that was no use yet, an answer, or nothing. */
export type Waiting = 'turn' | 'answer' | 'nothing';

/** Whoever counts the ticks of a node. */
export interface TickCounter {
  /** Ticks since the start. */
  readonly ticks: number;
  /** Asks for a call at this tick, or earlier. */
  tickAt(tick: number): void;
}

/** What one group has seen of its node's ticks. */
export class GroupTicks {
  /** The tick at which the group is to be called. */
  due = 0;
  private seen: number;

  constructor(
    private readonly core: RaftCore,
    private readonly counter: TickCounter,
  ) {
    this.seen = counter.ticks;
  }

  /** Counts what has passed. A tick that does more than count is left to the call that is due for it. */
  catchUp(): void {
    const passed = this.counter.ticks - this.seen;
    if (passed > 0) this.seen += this.core.countTicks(passed);
  }

  /** Lets everything happen that is due. */
  run(): void {
    const { ticks } = this.counter;
    while (this.seen < ticks) {
      this.seen += this.core.countTicks(ticks - this.seen);
      if (this.seen === ticks) return;
      this.core.tick();
      this.seen++;
    }
  }

  /** What has passed does not count. */
  skip(): void {
    this.seen = this.counter.ticks;
  }

  /** Changes how many ticks an election timeout and a heartbeat take. */
  setLengths(electionTicks: number, heartbeatTicks: number): void {
    const { core } = this;
    const now = core.status();
    if (now.electionTicks === electionTicks && now.heartbeatTicks === heartbeatTicks) return;
    // Heartbeats must be shorter at every moment between.
    if (electionTicks > now.heartbeatTicks) {
      core.setElectionTicks(electionTicks);
      core.setHeartbeatTicks(heartbeatTicks);
    } else {
      core.setHeartbeatTicks(heartbeatTicks);
      core.setElectionTicks(electionTicks);
    }
  }

  /** Asks for the next call. To be called whenever the group's role, its waits, or what it waits for may have changed. */
  plan(waiting: Waiting): void {
    const { core } = this;
    const ticks = waiting === 'turn' ? 1 : waiting === 'answer' ? WAITING_TICKS : LONGEST_TICKS;
    const look = core.isLeader ? LEADER_TICKS : core.isPromised ? PROMISED_TICKS : LONGEST_TICKS;
    this.due = this.seen + Math.min(ticks, core.ticksToAct, look);
    this.counter.tickAt(this.due);
  }
}
