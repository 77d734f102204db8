// The contract of the house's one write-ahead log: records in, positions out, durable when the promise resolves.

/** A record read back from an append log. */
export interface LogRecord {
  /** Its position: 1 for the first record ever appended, then up by one. Positions are never reused or renumbered. */
  readonly position: number;
  readonly data: Uint8Array;
}

/** Figures of an append log. */
export interface AppendLogStatistics {
  /** Bytes of all files. */
  readonly bytes: number;
  readonly segments: number;
  /** Records appended since it was opened. */
  readonly appends: number;
  /** fdatasync calls since it was opened. Many appends share one. */
  readonly syncs: number;
  /** Bytes appended that are not on disk yet. */
  readonly pendingBytes: number;
}

/**
 * An ordered, durable sequence of records.
 *
 * Group commit: all appends of one turn of the event loop, and those that come while a sync is under way, share one
 * write and one fdatasync. Appends resolve in order. A failed write or fsync is final: the log refuses everything
 * afterwards with `log-failed` until it is opened again, and no append that was waiting reports success.
 */
export interface IAppendLog {
  /** Position of the oldest record kept; equals {@link nextPosition} when there is none. */
  readonly firstPosition: number;
  /** Position that the next record gets. */
  readonly nextPosition: number;
  /** Positions below this are on disk. */
  readonly durablePosition: number;
  /**
   * Appends one record. `parts` are written one after another as one record, and must not be changed until the
   * promise settles. Order of calls is order of positions.
   * @returns its position, once fdatasync has returned.
   * @throws DwError `log-record-too-large` (nothing was written), `log-full` when more than the configured bytes wait
   * for the disk, `log-failed`, `log-closed`.
   */
  append(...parts: readonly Uint8Array[]): Promise<number>;
  /** Reads one record; null when it was dropped or never written. @throws DwError `log-damaged` naming file and offset. */
  read(position: number): Promise<Uint8Array | null>;
  /** Reads durable records in order, from `position` (or the oldest kept). @throws as `read`. */
  scan(position?: number): AsyncIterable<LogRecord>;
  /**
   * Lets records below `position` go. Whole files are deleted once nothing in them is kept, so some records below
   * may stay readable.
   */
  dropBefore(position: number): Promise<void>;
  /** Resolves when everything appended before the call is on disk. */
  barrier(): Promise<void>;
  statistics(): AppendLogStatistics;
  /** Waits for appends under way and closes the files. Calling it again does nothing. */
  close(): Promise<void>;
}
