// The storage's files as snapshots use them: in bulk, and never in the way of the journal. All calls to the disk of a
// process share a few threads, four as Node.js comes; if the chunks of a snapshot held them all, the write of the journal that
// clients wait for would queue behind chunks. So a node's snapshots, those that are written, received and read, have
// two calls under way together: one that writes or reads while another syncs.

import { CallLimit } from './call-limit.js';
import type { StorageFile, StorageFiles } from './storage-files.js';

/** Calls of a node's snapshots to the disk at once. */
export const BULK_CALLS = 2;

/** What snapshots need of a directory. */
export type SnapshotFiles = Pick<
  StorageFiles,
  | 'directory'
  | 'list'
  | 'openForWriting'
  | 'openForReading'
  | 'create'
  | 'rename'
  | 'renameDurably'
  | 'remove'
  | 'syncDirectory'
>;

/** Files whose reads, writes and syncs wait their turn. */
export class BulkFiles implements SnapshotFiles {
  readonly renameDurably: StorageFiles['renameDurably'];
  readonly #calls = new CallLimit(BULK_CALLS);

  constructor(private readonly files: StorageFiles) {
    this.renameDurably = files.renameDurably?.bind(files);
  }

  get directory(): string {
    return this.files.directory;
  }

  list(): Promise<readonly string[]> {
    return this.files.list();
  }

  async openForWriting(name: string): Promise<StorageFile> {
    return new BulkFile(await this.files.openForWriting(name), this.#calls);
  }

  async openForReading(name: string): Promise<StorageFile> {
    return new BulkFile(await this.files.openForReading(name), this.#calls);
  }

  async create(name: string): Promise<StorageFile> {
    return new BulkFile(await this.files.create(name), this.#calls);
  }

  rename(from: string, to: string): Promise<void> {
    return this.files.rename(from, to);
  }

  remove(name: string): Promise<void> {
    return this.files.remove(name);
  }

  syncDirectory(): Promise<void> {
    return this.files.syncDirectory();
  }
}

class BulkFile implements StorageFile {
  readonly writeDurably: StorageFile['writeDurably'];

  constructor(
    private readonly file: StorageFile,
    private readonly calls: CallLimit,
  ) {
    const durably = file.writeDurably?.bind(file);
    if (durably === undefined) this.writeDurably = undefined;
    else this.writeDurably = (pieces, offset) => calls.run(() => durably(pieces, offset));
  }

  get descriptor(): number | undefined {
    return this.file.descriptor;
  }

  write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return this.calls.run(() => this.file.write(pieces, offset));
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return this.calls.run(() => this.file.read(target, offset));
  }

  readSync(target: Uint8Array, offset: number): number {
    return this.file.readSync(target, offset);
  }

  datasync(): Promise<void> {
    return this.calls.run(() => this.file.datasync());
  }

  truncate(length: number): Promise<void> {
    return this.calls.run(() => this.file.truncate(length));
  }

  size(): Promise<number> {
    return this.file.size();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
