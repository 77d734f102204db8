// The background half of a group: takes changes that are durable in the journal, in their order, into segment files,
// and writes checkpoints. What it holds is what the journal says up to the last change it took, so a checkpoint can say
// from where on the journal is still needed.
//
// Only the node's background writer calls `drain`, one group at a time. A failure here fails the node's storage.

import type { ConfState, Entry, HardState, SnapshotMetadata } from '../raft/types.js';
import { type GroupMeta, saveMeta } from './group-meta.js';
import type { GroupLogView } from './group-log-view.js';
import type { LogChange } from './log-change.js';
import type { Segment } from './segment.js';
import type { SegmentedRaftLog } from './segmented-raft-log.js';
import { snapshotName } from './snapshot-format.js';
import type { StorageFiles } from './storage-files.js';

/** Entries are gathered up to this before they are written. */
const BATCH_BYTES = 64 * 1024;

interface QueuedChange {
  readonly change: LogChange;
  /** Of the journal record that it is in. */
  readonly position: number;
  readonly bytes: number;
}

interface QueuedJob {
  readonly run: () => Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Brings one group's changes from the journal into its files. */
export class GroupWriter {
  #queue: (QueuedChange | QueuedJob)[] = [];
  #queuedBytes = 0;
  #hardState: HardState;
  #snapshot: SnapshotMetadata | undefined;
  #compacted: { readonly index: number; readonly term: number };
  /** Everything of this group in journal records below it was taken. */
  #position: number;
  /** The oldest journal record that no checkpoint contains; Infinity when there is none. */
  #neededFrom = Infinity;
  /** Changes handed to the journal, and how many of them were taken here. */
  #issued = 0;
  #taken = 0;
  /** Whether anything but hard states was handed to the journal since the last checkpoint. */
  #logChanged = false;
  /** Why nothing is done any more, once the group is taken away. */
  #retired: Error | undefined;
  /** Snapshot files that no checkpoint will name any more. */
  #oldSnapshots: string[] = [];

  /**
   * @param keepBytes How many bytes of written entries stay in memory.
   * @param onTaken Told of bytes that need not wait for this writer any more.
   */
  constructor(
    private readonly files: StorageFiles,
    private readonly groupId: string,
    private readonly bootstrap: ConfState,
    private readonly segments: SegmentedRaftLog,
    private readonly view: GroupLogView,
    start: GroupMeta,
    private readonly keepBytes: () => number,
    private readonly onTaken: (bytes: number) => void,
  ) {
    this.#hardState = start.hardState;
    this.#snapshot = start.snapshot;
    this.#compacted = start.compacted;
    this.#position = start.journalPosition;
  }

  /** Bytes of changes that wait here. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** The oldest journal record that must be kept for this group; Infinity when none must. */
  get neededFrom(): number {
    return this.#neededFrom;
  }

  /** Whether only a checkpoint, and not just a copy of the hard state, frees the journal. */
  get needsCheckpoint(): boolean {
    return this.#logChanged;
  }

  get segmentBytes(): number {
    return this.segments.bytes;
  }

  get mappedSegments(): number {
    return this.segments.mappedSegments;
  }

  /** Whether the group was taken away: nothing is written for it any more. */
  get retired(): boolean {
    return this.#retired !== undefined;
  }

  /** Does nothing more: jobs that wait and jobs to come end with `error`. To be called in the queue. */
  retire(error: Error): void {
    this.#retired = error;
  }

  /** Sealed segments, oldest first, for whoever looks them over. */
  get sealedSegments(): readonly Segment[] {
    return this.segments.sealed;
  }

  /** Maps as many of the newest sealed segments as are to be mapped now. */
  mapNewest(): void {
    if (!this.retired) this.segments.mapNewest();
  }

  /** Whether a segment is still part of the log. */
  hasSegment(segment: Segment): boolean {
    return this.segments.has(segment);
  }

  /** Notes that a change goes into the journal at `position` or later. */
  issue(change: LogChange, position: number): void {
    this.#issued++;
    if (this.#neededFrom > position) this.#neededFrom = position;
    if (change.entries.length > 0 || change.snapshot !== undefined || change.truncateFrom !== undefined) {
      this.#logChanged = true;
    }
  }

  /** Queues a change that was issued and is durable now. */
  enqueue(change: LogChange, position: number, bytes: number): void {
    this.#queue.push({ change, position, bytes });
    this.#queuedBytes += bytes;
  }

  /** Queues a job after everything that is queued. */
  enqueueJob(run: () => Promise<void>): Promise<void> {
    if (this.#retired !== undefined) return Promise.reject(this.#retired);
    return new Promise((done, failed) => {
      this.#queue.push({ run, done, failed });
    });
  }

  /**
   * Tells that this group's hard state was copied to the journal at `position`, when there was nothing else that a
   * checkpoint lacked. What came since lies behind the copy, so nothing before it is needed.
   */
  carried(position: number): void {
    this.#neededFrom = position;
  }

  /** Works until the queue is empty. @throws what the disk throws; the storage has failed then. */
  async drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const queue = this.#queue;
      this.#queue = [];
      for (let at = 0; at < queue.length;) {
        const item = queue[at] as QueuedChange | QueuedJob;
        try {
          if (this.#retired !== undefined) {
            if ('run' in item) item.failed(this.#retired);
            at++;
          } else if ('run' in item) {
            await item.run();
            item.done();
            at++;
          } else {
            at = await this.#takeBatch(queue, at);
          }
        } catch (error) {
          this.#queue = [...queue.slice(at), ...this.#queue];
          throw error;
        }
      }
    }
  }

  /** Ends every job that waits. */
  reject(error: unknown): void {
    for (const item of this.#queue) if ('run' in item) item.failed(error);
    this.#queue = [];
  }

  /** Makes everything taken so far independent of the journal. To be called in the queue. */
  async checkpoint(): Promise<void> {
    await this.#checkpoint(this.#position);
  }

  /** Makes a snapshot, whose file is durable, the newest. To be called in the queue. */
  async adoptSnapshot(metadata: SnapshotMetadata): Promise<void> {
    this.#replaceSnapshot(metadata);
    await this.checkpoint();
  }

  /** Lets entries up to `index` go, but none past the newest snapshot. To be called in the queue. */
  async compact(index: number): Promise<void> {
    const upTo = Math.min(index, this.#snapshot?.index ?? 0);
    if (upTo <= this.view.compacted.index) return;
    this.view.compact(upTo);
    this.#compacted = this.view.compacted;
    this.segments.dropThrough(upTo);
    await this.checkpoint();
  }

  /** Whether a snapshot file belongs to this group's checkpoint, the one on disk or the next. */
  uses(name: string): boolean {
    return this.#snapshotFile === name || this.#oldSnapshots.includes(name);
  }

  async close(): Promise<void> {
    await this.segments.close();
  }

  get #snapshotFile(): string | undefined {
    return this.#snapshot === undefined ? undefined : snapshotName(this.groupId, this.#snapshot);
  }

  /** Takes changes from `at` on: many small appends become one write. @returns where to go on. */
  async #takeBatch(queue: readonly (QueuedChange | QueuedJob)[], at: number): Promise<number> {
    const batch: Entry[] = [];
    let bytes = 0;
    let next = at;
    for (; next < queue.length && bytes < BATCH_BYTES; next++) {
      const item = queue[next] as QueuedChange | QueuedJob;
      if ('run' in item || !this.#appends(item.change, batch)) break;
      for (const entry of item.change.entries) batch.push(entry);
      bytes += item.bytes;
    }
    if (next === at) {
      await this.#takeRewriting(queue[at] as QueuedChange);
      this.#took(queue[at] as QueuedChange);
      return at + 1;
    }
    if (batch.length > 0) await this.segments.append(batch);
    this.view.written(batch, this.keepBytes());
    for (let done = at; done < next; done++) this.#took(queue[done] as QueuedChange);
    return next;
  }

  /** Whether a change only adds entries after those of `batch`. */
  #appends(change: LogChange, batch: readonly Entry[]): boolean {
    if (change.snapshot !== undefined || change.truncateFrom !== undefined) return false;
    const first = change.entries[0];
    return first === undefined || first.index === this.segments.last + batch.length + 1;
  }

  /** A change that voids what is in segments: a truncation, a conflicting overwrite, an installed snapshot. */
  async #takeRewriting({ change, position }: QueuedChange): Promise<void> {
    const { snapshot, truncateFrom, entries } = change;
    // Until the whole change is taken, a checkpoint may only say that records below its own are contained.
    if (snapshot !== undefined && snapshot.metadata.index > (this.#snapshot?.index ?? 0)) {
      const { index, term } = snapshot.metadata;
      this.#replaceSnapshot(snapshot.metadata);
      this.#compacted = { index, term };
      this.segments.reset(index + 1);
      await this.#checkpoint(position);
    }
    const from = Math.min(truncateFrom ?? Infinity, entries[0]?.index ?? Infinity);
    if (from !== Infinity && (await this.segments.truncateFrom(from))) await this.#checkpoint(position);
    if (entries.length > 0) await this.segments.append(entries);
    this.view.written(entries, this.keepBytes());
  }

  #took({ change, position, bytes }: QueuedChange): void {
    if (change.hardState !== undefined) this.#hardState = change.hardState;
    this.#position = position + 1;
    this.#taken++;
    this.#queuedBytes -= bytes;
    this.onTaken(bytes);
  }

  #replaceSnapshot(metadata: SnapshotMetadata): void {
    const before = this.#snapshotFile;
    this.#snapshot = metadata;
    if (before !== undefined && before !== this.#snapshotFile) this.#oldSnapshots.push(before);
  }

  async #checkpoint(journalPosition: number): Promise<void> {
    const taken = this.#taken;
    // Only what is on disk may be named: from here on the journal need not have it any more.
    await this.segments.sync();
    await saveMeta(this.files, {
      groupId: this.groupId,
      bootstrap: this.bootstrap,
      hardState: this.#hardState,
      snapshot: this.#snapshot,
      compacted: this.#compacted,
      segments: this.segments.manifests,
      journalPosition,
    });
    // Only now: until the checkpoint is there, the journal is needed as it was before.
    const more = this.#issued > taken;
    this.#neededFrom = more ? journalPosition : Infinity;
    this.#logChanged = more;
    await this.segments.removeObsolete();
    const old = this.#oldSnapshots;
    this.#oldSnapshots = [];
    for (const name of old) await this.files.remove(name);
  }
}
