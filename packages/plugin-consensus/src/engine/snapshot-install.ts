// The order in which a replica takes note of what became durable: a snapshot from the leader has to be loaded before
// anything after it counts, so what becomes durable meanwhile is held back.

import type { StorageAppend } from '../raft/types.js';

/** Installs the snapshots of one group, one at a time. */
export class SnapshotInstall {
  private installing = false;
  /** Bounded by the writes that may be under way. */
  private held: StorageAppend[] = [];

  /**
   * @param load Replaces the state by the newest snapshot, once everything that was handed out before it is applied.
   * @param release Tells the core of an append that is durable.
   */
  constructor(
    private readonly load: (index: number) => Promise<void>,
    private readonly release: (append: StorageAppend) => void,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Whether a snapshot is being loaded. */
  get running(): boolean {
    return this.installing;
  }

  /** An append, and all before it, are on disk. */
  durable(append: StorageAppend): void {
    if (this.installing) {
      this.held.push(append);
      return;
    }
    if (append.snapshot === undefined) {
      this.release(append);
      return;
    }
    this.installing = true;
    void this.load(append.snapshot.metadata.index).then(
      () => {
        this.installing = false;
        this.release(append);
        for (const held of this.held.splice(0)) this.durable(held);
      },
      (error: unknown) => this.failed(error),
    );
  }
}
