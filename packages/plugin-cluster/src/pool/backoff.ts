// How long to wait before dialling a peer again: exponential with full jitter, so that the nodes of a cluster do not
// all dial a restarted one at the same moment. Pure: randomness and time come in.

/** The shape of the waits. */
export interface BackoffOptions {
  /** Bound of the first wait in milliseconds. Default 100. */
  readonly baseMs?: number;
  /** Bound of every wait in milliseconds. Default 5 000. */
  readonly maxMs?: number;
  /** A connection that held this long in milliseconds starts over at the base. Default 10 000. */
  readonly stableAfterMs?: number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

/** The waits of one peer. */
export class Backoff {
  private attempt = 0;
  private readonly baseMs: number;
  private readonly maxMs: number;
  private readonly stableAfterMs: number;

  constructor(private readonly options: BackoffOptions) {
    this.baseMs = options.baseMs ?? 100;
    this.maxMs = options.maxMs ?? 5_000;
    this.stableAfterMs = options.stableAfterMs ?? 10_000;
  }

  /** Milliseconds to wait after one more failure. */
  next(): number {
    // 2^30 is past every bound; the exponent stops there so that it never overflows.
    const bound = Math.min(this.maxMs, this.baseMs * 2 ** Math.min(this.attempt, 30));
    this.attempt++;
    return this.options.random() * bound;
  }

  /** A connection that lasted `heldMs` has ended. */
  connectionEnded(heldMs: number): void {
    if (heldMs >= this.stableAfterMs) this.attempt = 0;
  }
}
