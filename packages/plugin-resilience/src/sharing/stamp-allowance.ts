// How far the stamps of peers may push this node's own: so far at once, and so far in time. A member that is hostile or
// broken can send any stamp; one that was believed at the highest there is would leave none for honest changes, and the
// breaker would not be shared any more until all nodes were started again.
//
// An honest peer is ahead of a node that has just started, by all the changes that the cluster has seen since its oldest
// node started: so the allowance is large, and refills. Pure: it is told the time.

/**
 * Stamps that a peer may be ahead at once. At a hundred changes a second of every second of a year a cluster gets there
 * within 16 months; one that is further ahead is caught up with in steps.
 */
export const MAX_AHEAD = 2 ** 32;

/**
 * Stamps that come back in a millisecond: all of them in seventeen minutes. At this rate, if a peer does nothing else, the
 * highest stamp is 34 years away.
 */
export const AHEAD_PER_MS = 2 ** 12;

/** A bucket of stamps. */
export class StampAllowance {
  private left = MAX_AHEAD;
  private at: number | undefined;

  /**
   * Takes `wanted`, or what there is.
   * @param now Monotonic ms.
   * @returns what was taken.
   */
  take(wanted: number, now: number): number {
    if (this.at !== undefined) this.left = Math.min(MAX_AHEAD, this.left + (now - this.at) * AHEAD_PER_MS);
    this.at = now;
    const taken = Math.min(Math.floor(this.left), wanted);
    this.left -= taken;
    return taken;
  }
}
