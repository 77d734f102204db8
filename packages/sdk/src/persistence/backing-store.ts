// The contract of durable key-value storage for plugins: small values under dw:// paths.

/** Which version a write or delete expects: a version number, `absent`, or (left out) any. */
export interface WriteCondition {
  /** A version that {@link IPersistentBackingStore.readVersionedAsync} gave, or `absent` if the path must not exist. */
  readonly ifVersion?: number | 'absent';
}

/** A value with its version. */
export interface VersionedValue {
  readonly data: Uint8Array;
  /** Rises with every change of the path, and is never used again, also not after a delete. */
  readonly version: number;
}

/** One step of an atomic batch. */
export type BatchOperation =
  | ({ readonly type: 'write'; readonly path: string; readonly data: Uint8Array } & WriteCondition)
  | ({ readonly type: 'delete'; readonly path: string } & WriteCondition);

/**
 * Durable storage under `dw://` paths (`dw://area/name/…`: segments of `[A-Za-z0-9._~@+=-]`, no `.` or `..` segment,
 * at most 1 024 characters).
 *
 * A write that has returned is on disk: it survives the process being killed and the machine losing power. A write
 * that has not returned is, after a crash, there whole or not at all.
 *
 * Every method throws DwError `store-invalid-path` for a path that is not allowed, `store-closed` after
 * {@link closeAsync}, and `store-failed` once the disk has refused a write or an fsync: from then on nothing is
 * accepted until the store is opened again.
 */
export interface IPersistentBackingStore {
  /**
   * Sets the value of a path.
   * @returns the new version.
   * @throws DwError `store-version-mismatch` (status 412) when the condition does not hold; nothing has changed.
   */
  writeAsync(path: string, data: Uint8Array, condition?: WriteCondition): Promise<number>;
  /** The value, or null. The bytes are the caller's own. */
  readAsync(path: string): Promise<Uint8Array | null>;
  /** The value with its version, or null. */
  readVersionedAsync(path: string): Promise<VersionedValue | null>;
  /**
   * Removes a path; nothing happens when it is absent.
   * @returns whether it was there.
   * @throws DwError `store-version-mismatch`.
   */
  deleteAsync(path: string, condition?: WriteCondition): Promise<boolean>;
  /** The paths that start with `prefix` (which may end within a segment), in code unit order. */
  listAsync(prefix: string): Promise<readonly string[]>;
  existsAsync(path: string): Promise<boolean>;
  /**
   * Adds bytes to the end of a value, making it if absent. Its cost does not grow with what is there already.
   * @returns the new length in bytes.
   */
  appendAsync(path: string, data: Uint8Array): Promise<number>;
  /**
   * Applies all operations or none, in order, as one durable step.
   * @returns the new version of each path written, in the order of the operations; 0 for a delete.
   * @throws DwError `store-version-mismatch` naming the path; nothing has changed.
   */
  batchAsync(operations: readonly BatchOperation[]): Promise<readonly number[]>;
  /** Resolves when everything accepted before the call is on disk. */
  barrierAsync(): Promise<void>;
  /** Waits for writes under way and lets go of files. Calling it again does nothing. */
  closeAsync(): Promise<void>;
}
