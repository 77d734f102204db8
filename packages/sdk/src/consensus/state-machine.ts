// The contract of replicated state: a deterministic function of the entries applied to it.

/** What is applied: one committed entry. */
export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  /** Node that proposed it. */
  readonly proposer: string;
  /** Milliseconds since 1970 UTC at the proposer when it was proposed. The only time `apply` may use. */
  readonly time: number;
  readonly data: Uint8Array;
}

/**
 * A deterministic state machine. Replicas that have applied the same entries have the same state, byte for byte: no
 * clock, no randomness, nothing from outside the entry.
 */
export interface IStateMachine<R = unknown> {
  /** Applies one entry and returns its result, which is given to the proposer. A throw fails the group. */
  apply(entry: AppliedEntry): R;
  /** The whole state as chunks of bytes, equal on replicas that have applied the same entries. */
  snapshot(): Iterable<Uint8Array>;
  /** Replaces the state by a snapshot's chunks (which may be cut elsewhere than they were made). */
  restore(chunks: Iterable<Uint8Array>): void;
}
