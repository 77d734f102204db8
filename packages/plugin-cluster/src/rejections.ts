// Counts what was refused or cut off, by reason, and logs it without letting a hostile peer fill the log.

import type { Clock, Logger } from '@datawarehouse/sdk';
import type { RejectReason } from './connection/close-reason.js';

/** A reason is logged at most once in this many milliseconds; what was left out is counted in the next line. */
const LOG_EVERY_MS = 5_000;

interface ReasonState {
  count: number;
  loggedAt: number;
  loggedCount: number;
}

/** Rejections by reason. */
export class Rejections {
  private readonly reasons = new Map<RejectReason, ReasonState>();

  constructor(
    private readonly log: Logger,
    private readonly clock: Clock,
  ) {}

  /** Counts one and logs it if this reason was not logged lately. `remote` is an address or a node id. */
  add(reason: RejectReason, remote: string): void {
    const now = this.clock.now();
    let state = this.reasons.get(reason);
    if (state === undefined) {
      state = { count: 0, loggedAt: -Infinity, loggedCount: 0 };
      this.reasons.set(reason, state);
    }
    state.count++;
    if (now - state.loggedAt < LOG_EVERY_MS) return;
    this.log.warn({ reason, remote, since: state.count - state.loggedCount }, 'peer connection cut off');
    state.loggedAt = now;
    state.loggedCount = state.count;
  }

  /** The counts since it was made. */
  counts(): ReadonlyMap<RejectReason, number> {
    return new Map([...this.reasons].map(([reason, state]) => [reason, state.count]));
  }

  /** All of them together. */
  get total(): number {
    let total = 0;
    for (const state of this.reasons.values()) total += state.count;
    return total;
  }
}
