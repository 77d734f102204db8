// One group of a node's storage: its view for reads, its snapshots, and the queue of durable changes that the node's
// background writer brings into segment files. See group-writer.ts for that half.

import type { IRaftLogStore } from '@datawarehouse/sdk';
import type { ConfState, Entry, HardState, Snapshot, SnapshotMetadata } from '../raft/types.js';
import type { SnapshotFiles } from './bulk-files.js';
import { groupNotOpen, snapshotBusy, snapshotGone, snapshotMisplaced, snapshotNotWritten } from './errors.js';
import { damageOf, readingGroup } from './group-damage.js';
import { GroupLogStore } from './group-log-store.js';
import type { GroupLogView } from './group-log-view.js';
import type { GroupWriter } from './group-writer.js';
import type { LogChange } from './log-change.js';
import { type SnapshotShape, snapshotName } from './snapshot-format.js';
import { openSnapshotSource, readSnapshotChunks } from './snapshot-reader.js';
import { PartFile } from './snapshot-sink.js';
import { type PaceSource, paced } from './snapshot-pace.js';
import { writeSnapshot } from './snapshot-writer.js';
import type { GroupDamage, GroupStorage, SnapshotSink, SnapshotSource } from './types.js';

const EMPTY = new Uint8Array(0);
/** Snapshots that were received and not installed yet; beyond, the oldest is forgotten. */
const MAX_RECEIVED = 2;

/** What a group asks of its node. */
export interface GroupHost {
  /** Where snapshots are. */
  readonly files: SnapshotFiles;
  /** What the writing of snapshots goes by: the writes to the node's journal. */
  readonly pace: PaceSource;
  /** As `NodeStorage.write`. */
  readonly write: (changes: readonly LogChange[]) => Promise<void>;
  /** Resolves when every change handed over so far is durable and queued for its group's writer. */
  readonly settled: () => Promise<void>;
  /** Runs a job in the group's queue, after everything queued before. Rejects when the storage fails or closes. */
  readonly inQueue: (writer: GroupWriter, job: () => Promise<void>) => Promise<void>;
  /** Rejects when the storage fails or closes; `release` lets go of it. @throws DwError when it already has. */
  readonly aborted: (groupId: string) => { readonly promise: Promise<never>; readonly release: () => void };
  /** Told of damage that a read found. */
  readonly onDamage: (damage: GroupDamage) => void;
  /** Tells of a task that `close` waits for. */
  readonly track: <T>(groupId: string, task: Promise<T>) => Promise<T>;
}

/** A group in files. */
export class FileGroupStorage implements GroupStorage {
  readonly logStore: IRaftLogStore;
  /** By file name. They become the group's when a write installs them. */
  readonly #received = new Map<string, SnapshotMetadata>();
  #saving = false;
  #left = false;
  /** The newest file that a snapshot is received into, open or on its way to be. */
  #sink: Promise<PartFile> | undefined;

  constructor(
    readonly groupId: string,
    readonly view: GroupLogView,
    readonly writer: GroupWriter,
    private readonly host: GroupHost,
  ) {
    this.logStore = new GroupLogStore(this, async (change) => {
      this.#check();
      await host.write([change]);
    });
  }

  get bootstrap(): ConfState {
    return this.view.start.bootstrap;
  }

  get logBytes(): number {
    return this.view.bytes;
  }

  initialState(): { readonly hardState: HardState; readonly conf: ConfState } {
    const { hardState, snapshot, start } = this.view;
    return { hardState, conf: snapshot?.conf ?? start.bootstrap };
  }

  firstIndex(): number {
    return this.view.firstIndex;
  }

  lastIndex(): number {
    return this.view.lastIndex;
  }

  term(index: number): number | undefined {
    return this.view.term(index);
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    try {
      return this.view.entries(from, to, maxBytes);
    } catch (error) {
      const damage = damageOf(this.groupId, error);
      if (damage !== undefined && !this.#left) this.host.onDamage(damage);
      throw error;
    }
  }

  snapshot(): Snapshot | undefined {
    const metadata = this.view.snapshot;
    return metadata === undefined ? undefined : { metadata, data: EMPTY };
  }

  async saveSnapshot(metadata: SnapshotMetadata, chunks: Iterable<Uint8Array>): Promise<void> {
    this.#check();
    if (this.#saving) throw snapshotBusy(this.groupId);
    if (metadata.index <= this.view.bounds.snapshotIndex) return;
    this.#checkInLog(metadata);
    this.#saving = true;
    try {
      const name = await this.#writeFile(metadata, paced(chunks, this.host.pace));
      // A snapshot must not be ahead of the log on disk, lest a restart find a hole between the two.
      await this.host.settled();
      let adopted = false;
      await this.host.inQueue(this.writer, async () => {
        const newer = metadata.index > this.view.bounds.snapshotIndex;
        if (!newer || this.view.term(metadata.index) !== metadata.term) {
          await this.#removeFile(name);
          return;
        }
        await this.writer.adoptSnapshot(metadata);
        adopted = true;
        // A newer one may have been installed while the checkpoint was being written.
        if (metadata.index > this.view.bounds.snapshotIndex) this.view.snapshot = metadata;
      });
      if (adopted) return;
      if (metadata.index > this.view.bounds.snapshotIndex) this.#checkInLog(metadata);
      // A newer one took its place, and is on its way to the disk: until it is there, this one may not be done.
      await this.host.settled();
    } finally {
      this.#saving = false;
    }
  }

  async receiveSnapshot(metadata: SnapshotMetadata, shape: SnapshotShape): Promise<SnapshotSink> {
    this.#check();
    this.#checkNewer(metadata);
    const before = this.#sink;
    // Claimed at once, so that of two that come together the later one wins.
    const opened = (async () => {
      await before?.then((part) => part.close()).catch(() => undefined);
      return this.#guarded(() => PartFile.open(this.host.files, this.groupId, metadata, shape));
    })();
    this.#sink = opened;
    const part = await opened;
    return {
      get next() {
        return part.next;
      },
      write: (chunk, block) => this.#guarded(() => part.write(chunk, block)),
      finish: () => this.#finish(part, metadata),
      close: () => this.#guarded(() => part.close()),
    };
  }

  openSnapshot(): Promise<SnapshotSource> {
    const { snapshot } = this.view;
    if (snapshot === undefined) return Promise.reject(snapshotGone(this.groupId));
    return openSnapshotSource(this.host.files, this.groupId, snapshot);
  }

  /**
   * Checks all that is sealed: segments and the newest snapshot.
   * @param pace Waited for before each read, with the bytes that are read.
   * @throws DwError `raft-log-damaged`; what the disk throws.
   */
  async scrub(pace: (bytes: number) => Promise<void>): Promise<void> {
    for (const segment of this.writer.sealedSegments) {
      try {
        await segment.verify(pace);
      } catch (error) {
        // It was removed meanwhile.
        if (this.writer.hasSegment(segment)) throw error;
      }
    }
    const { snapshot } = this.view;
    if (snapshot === undefined) return;
    const name = snapshotName(this.groupId, snapshot);
    try {
      const chunks = readSnapshotChunks(this.host.files, this.groupId, snapshot);
      await readingGroup(`${this.host.files.directory}/${name}`, async () => {
        for await (const chunk of chunks) await pace(chunk.length);
      });
    } catch (error) {
      // A newer one took its place meanwhile.
      if (this.view.snapshot === snapshot) throw error;
    }
  }

  /** Takes nothing more: the group is destroyed or replaced. */
  leave(): void {
    this.#left = true;
  }

  /** Closes what is open for receiving. */
  async close(): Promise<void> {
    await this.#sink?.then((part) => part.close()).catch(() => undefined);
  }

  readSnapshot(): AsyncIterable<Uint8Array> {
    const { snapshot } = this.view;
    if (snapshot === undefined) throw snapshotGone(this.groupId);
    return readSnapshotChunks(this.host.files, this.groupId, snapshot);
  }

  async compact(index: number): Promise<void> {
    if (Math.min(index, this.view.bounds.snapshotIndex) <= this.view.compacted.index) return;
    await this.host.settled();
    await this.host.inQueue(this.writer, () => this.writer.compact(index));
  }

  /** @throws DwError `raft-snapshot-misplaced` when the state of a change's snapshot was never received. */
  checkReceived(change: LogChange): void {
    const metadata = change.snapshot?.metadata;
    if (metadata === undefined || this.#received.has(snapshotName(this.groupId, metadata))) return;
    throw snapshotMisplaced(this.groupId, metadata.index, 'was never received');
  }

  /** Shows a change to reads. */
  take(change: LogChange): void {
    this.view.apply(change);
    // From here on the file belongs to the log: the writer removes it when a later snapshot takes its place.
    if (change.snapshot !== undefined)
      this.#received.delete(snapshotName(this.groupId, change.snapshot.metadata));
  }

  /** Whether a snapshot's file is the newest, was received to become it, or is named by the checkpoint on disk. */
  usesSnapshotFile(name: string): boolean {
    const { snapshot } = this.view;
    const newest = snapshot !== undefined && snapshotName(this.groupId, snapshot) === name;
    return newest || this.#received.has(name) || this.writer.uses(name);
  }

  async #finish(part: PartFile, metadata: SnapshotMetadata): Promise<Snapshot> {
    this.#checkNewer(metadata);
    const name = await this.#guarded(() => part.finish());
    if (metadata.index <= this.view.bounds.snapshotIndex) await this.#removeFile(name);
    this.#checkNewer(metadata);
    this.#received.set(name, metadata);
    for (const old of [...this.#received.keys()].slice(0, -MAX_RECEIVED)) {
      this.#received.delete(old);
      await this.#removeFile(old);
    }
    return { metadata, data: EMPTY };
  }

  /** Work on a snapshot's file: refused when the storage has ended, waited for when it ends, and named when it fails. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    this.host.aborted(this.groupId).release();
    try {
      return await this.host.track(this.groupId, work());
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall === undefined
        ? error
        : snapshotNotWritten(this.groupId, error);
    }
  }

  async #writeFile(metadata: SnapshotMetadata, chunks: AsyncIterator<Uint8Array>): Promise<string> {
    const aborted = this.host.aborted(this.groupId);
    try {
      const { files } = this.host;
      return await this.host.track(
        this.groupId,
        writeSnapshot(files, this.groupId, metadata, chunks, aborted.promise),
      );
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall === undefined
        ? error
        : snapshotNotWritten(this.groupId, error);
    } finally {
      aborted.release();
    }
  }

  /** @throws DwError `raft-group-not-open` once the group was taken away. */
  #check(): void {
    if (this.#left) throw groupNotOpen(this.groupId);
  }

  #checkNewer(metadata: SnapshotMetadata): void {
    const { snapshotIndex } = this.view.bounds;
    if (metadata.index > snapshotIndex) return;
    throw snapshotMisplaced(this.groupId, metadata.index, `is not newer than the one at ${snapshotIndex}`);
  }

  /** A snapshot of this node's own state stands for entries that are in its log. */
  #checkInLog({ index, term }: SnapshotMetadata): void {
    if (this.view.term(index) === term) return;
    throw snapshotMisplaced(this.groupId, index, `has term ${term}, which the log has not`);
  }

  /** Removes a snapshot's file, unless by now a snapshot of that name is in use: made here and received are the same. */
  async #removeFile(name: string): Promise<void> {
    // Once the group was taken away, a file of that name is no business of this one.
    if (!this.#left && !this.usesSnapshotFile(name)) await this.host.files.remove(name);
  }
}
