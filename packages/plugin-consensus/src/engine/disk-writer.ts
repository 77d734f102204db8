// Hands the turn's appends of all groups to the storage as one write, and releases each append's responses once it is
// durable, in order. Several writes may be under way: the next turn does not wait for the disk.

import type { Clock } from '@datawarehouse/sdk';
import { entriesBytes } from '../raft/entry-size.js';
import type { HardState, StorageAppend } from '../raft/types.js';
import type { GroupWrite, NodeStorage } from '../storage/types.js';
import { TICK_MS } from './election-timeout.js';

/** An append and the replica it belongs to. */
export interface AppendJob<G extends AppendOwner = AppendOwner> {
  readonly group: G;
  readonly append: StorageAppend;
}

/** Who appends: one life of a replica. A later life of the same group is another owner with the same id. */
export interface AppendOwner {
  readonly id: string;
}

interface InFlight<G extends AppendOwner> {
  readonly jobs: AppendJob<G>[];
  readonly startedAt: number;
  readonly bytes: number;
}

/** Writes appends to a node's storage. */
export class DiskWriter<G extends AppendOwner> {
  private gathered: AppendJob<G>[] = [];
  /** Writes under way, oldest first. */
  private readonly inFlight: InFlight<G>[] = [];
  /** Commit indexes that need no write of their own; they go with the next. Losing them costs nothing but time. */
  private readonly lazy = new Map<string, HardState>();
  private pendingBytes = 0;
  private writeCount = 0;

  constructor(
    private readonly storage: NodeStorage,
    private readonly clock: Clock,
    private readonly onDurable: (jobs: readonly AppendJob<G>[]) => void,
    private readonly onFailed: (error: unknown) => void,
  ) {}

  /** Writes under way. */
  get depth(): number {
    return this.inFlight.length;
  }

  /** Bytes of entries under way. */
  get bytes(): number {
    return this.pendingBytes;
  }

  /** Writes issued since the start. */
  get writes(): number {
    return this.writeCount;
  }

  /** Ms that the oldest write has been under way; 0 when there is none. */
  get stalledMs(): number {
    const oldest = this.inFlight[0];
    return oldest === undefined ? 0 : this.clock.now() - oldest.startedAt;
  }

  /** Ticks after which the oldest write will have been under way for longer than this; without end when there is none. */
  ticksToStall(stallMs: number): number {
    if (this.inFlight.length === 0) return Infinity;
    return Math.max(1, Math.floor((stallMs - this.stalledMs) / TICK_MS) + 1);
  }

  /** Adds an append to the turn's write. */
  add(job: AppendJob<G>): void {
    this.gathered.push(job);
  }

  /** Issues the turn's write. */
  flush(): void {
    const jobs = this.gathered;
    if (jobs.length === 0) return;
    this.gathered = [];
    if (jobs.some((job) => job.append.mustSync)) {
      this.issue(jobs);
      return;
    }
    for (const { group, append } of jobs) {
      if (append.hardState !== undefined) this.lazy.set(group.id, append.hardState);
    }
    const last = this.inFlight[this.inFlight.length - 1];
    // Nothing here needs the disk, but what it answers for may still be on its way there.
    if (last === undefined) this.onDurable(jobs);
    else last.jobs.push(...jobs);
  }

  /** Drops what a replica has not written yet: it is closed, and its group may be gone from the storage. */
  forget(group: G): void {
    this.gathered = this.gathered.filter((job) => job.group !== group);
    this.lazy.delete(group.id);
  }

  /** Commit indexes that were never written, for a last write before a clean stop. */
  takeLazy(): GroupWrite[] {
    const writes = [...this.lazy].map(([groupId, hardState]) => ({
      groupId,
      hardState,
      entries: [],
      snapshot: undefined,
    }));
    this.lazy.clear();
    return writes;
  }

  private issue(jobs: AppendJob<G>[]): void {
    const writes: GroupWrite[] = [];
    let bytes = 0;
    for (const { group, append } of jobs) {
      const hardState = append.hardState ?? this.lazy.get(group.id);
      this.lazy.delete(group.id);
      bytes += entriesBytes(append.entries);
      writes.push({ groupId: group.id, hardState, entries: append.entries, snapshot: append.snapshot });
    }
    writes.push(...this.takeLazy());
    const write: InFlight<G> = { jobs, startedAt: this.clock.now(), bytes };
    this.inFlight.push(write);
    this.pendingBytes += bytes;
    this.writeCount++;
    this.storage.write(writes).then(
      () => this.durable(write),
      (error: unknown) => this.onFailed(error),
    );
  }

  private durable(write: InFlight<G>): void {
    // Writes become durable in order, so one that is durable says the same of all before it.
    const done = this.inFlight.indexOf(write);
    if (done < 0) return;
    for (const finished of this.inFlight.splice(0, done + 1)) {
      this.pendingBytes -= finished.bytes;
      this.onDurable(finished.jobs);
    }
  }
}
