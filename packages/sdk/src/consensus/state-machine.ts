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
 *
 * @example
 * ```ts
 * class Counter implements IStateMachine {
 *   private total = 0;
 *   apply({ data }: AppliedEntry): Uint8Array {
 *     this.total += data.length;
 *     return Buffer.from(String(this.total));
 *   }
 *   snapshot(): Iterable<Uint8Array> {
 *     return [Buffer.from(String(this.total))];
 *   }
 *   async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
 *     let text = '';
 *     for await (const chunk of chunks) text += Buffer.from(chunk).toString();
 *     this.total = Number(text);
 *   }
 * }
 * ```
 */
export interface IStateMachine {
  /**
   * Applies one entry and returns its answer (at most 1 MiB), which is given to the proposer, and again to a retry.
   *
   * Synchronous, since the state must never be between two entries when somebody reads it or a snapshot is taken. Keep
   * it to microseconds: the engine makes room for other work between entries, not within one. `data` is lent for the
   * call: copy what is to stay.
   *
   * A throw fails the group on this node: the entry is not skipped, and meets the machine again after a restart. A
   * command that cannot be done is therefore no throw, but an answer that says so.
   */
  apply(entry: AppliedEntry): Uint8Array | void;
  /**
   * The whole state as chunks of bytes, equal on replicas that have applied the same entries. Called between two
   * entries; the chunks are pulled later, while further entries are applied, which must not show in them. So either copy
   * what they are made of when called, or share it with the state in a way that a change copies.
   */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Replaces the state by a snapshot's chunks, which may be cut elsewhere than they were made. Nothing is applied before
   * the promise resolves. A rejection fails the group on this node. The state is that after the entry at `index`.
   */
  restore(chunks: AsyncIterable<Uint8Array>, index: number): Promise<void>;
  /**
   * A cheap hash of the state (at most some tens of characters), equal on equal states. It is asked for often, and lets
   * operators see replicas that differ; without it only machines that answered differently are told apart.
   */
  stateHash?(): string;
  /**
   * Answers a question about the state without changing it, synchronously. For nodes that have no replica: they pass the
   * question on to one that has.
   */
  query?(request: Uint8Array): Uint8Array;
  /** The group is closed on this node; nothing is called afterwards. */
  closeAsync?(): Promise<void>;
}

/**
 * A state machine that keeps its state on disk by itself. It is not given entries that it has already, nor is its state
 * written into snapshots of the node's own; `snapshot` is asked for only when another node needs a copy.
 *
 * `apply` may write as it likes: what is not durable when the node dies is applied again. But what `openAsync` finds must
 * be the state after some entry, whole, and the index of that entry: so the two are written together.
 */
export interface IDiskStateMachine extends IStateMachine {
  /** Opens what is on disk. Resolves with the index of the last entry in it; 0 when there is nothing. Called first. */
  openAsync(): Promise<number>;
  /** Makes everything durable that was applied before the call. Entries go on being applied meanwhile. */
  syncAsync(): Promise<void>;
  /** As of {@link IStateMachine.restore}; the state is that after the entry at `index`, and durable when it resolves. */
  restore(chunks: AsyncIterable<Uint8Array>, index: number): Promise<void>;
}
