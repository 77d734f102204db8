// Syncs a long file steadily while it is written: as soon as a little has gathered a sync begins, in the background and
// one at a time, and what is written meanwhile goes with the next. A slow writer's bytes reach the disk in small portions,
// so that a journal on the same disk never waits behind many of them; a fast writer's portions grow by themselves, up to a
// bound at which the writer waits. That the whole is durable is still for a last sync to say, which is the writer's.

import type { StorageFile } from './storage-files.js';

/**
 * Bytes that begin a sync when none is under way. With 8 MiB instead, at 16 MiB/s, the slowest of a hundred small durable
 * writes beside it took about twice as long as with nothing beside it; with this, about a fifth longer.
 */
export const SYNC_STEP_BYTES = 256 * 1_024;
/** Bytes that may wait for the next sync; beyond, the writer waits. With those of the sync under way: twice as many. */
export const MAX_UNSYNCED_BYTES = 8 * 1_024 * 1_024;

/** The syncs of one file. */
export class SteadySync {
  /** Written, and not covered by a sync that has begun. */
  #bytes = 0;
  /** Never rejects. */
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(private readonly file: Pick<StorageFile, 'datasync'>) {}

  /**
   * Notes bytes whose write has ended. Resolves when more may be written: at once, unless the disk is far behind.
   * @throws what a sync threw, at every call from then on: nothing of the file is to be taken as written.
   */
  async wrote(bytes: number): Promise<void> {
    this.#bytes += bytes;
    this.#syncIfDue();
    while (this.#bytes >= MAX_UNSYNCED_BYTES && this.#running !== undefined) await this.#running;
    this.#check();
  }

  /** Resolves when no sync is under way. @throws what one of them threw. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #syncIfDue(): void {
    if (this.#running !== undefined || this.#failure !== undefined || this.#bytes < SYNC_STEP_BYTES) return;
    this.#bytes = 0;
    this.#running = this.#sync();
  }

  async #sync(): Promise<void> {
    try {
      await this.file.datasync();
    } catch (error) {
      this.#failure = { error };
    }
    this.#running = undefined;
    this.#syncIfDue();
  }
}
