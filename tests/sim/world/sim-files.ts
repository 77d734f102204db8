// A directory of a simulated disk behind the two interfaces that the product asks for: that of the append log and that
// of segments, snapshots and checkpoints.

import type { LogFile, LogFiles, LogLock } from '@datawarehouse/sdk';
import type {
  StorageFile,
  StorageFiles,
} from '../../../packages/plugin-consensus/src/storage/storage-files.js';
import { Inode, SECTOR } from './inode.js';
import type { Owner } from './scheduler.js';
import { type Directory, type SimDisk, type Step, diskError } from './sim-disk.js';
import { hashBytes } from './trace.js';

/** Ms that calls take on an ordinary disk. */
const WRITE_MS = 0.05;
const SYNC_MS = 0.8;
const NAME_MS = 0.05;
const READ_MS = 0.02;
const writeMs = (bytes: Uint8Array): number => WRITE_MS + bytes.length / 1e6;
/** Begins the names of files in the folder for damaged ones. */
const ASIDE = 'damaged/';

/** What both interfaces have in common. */
class SimDirectory {
  readonly directory: string;

  constructor(
    protected readonly disk: SimDisk,
    protected readonly owner: Owner,
    private readonly path: string,
  ) {
    this.directory = `${disk.node}:${path}`;
  }

  async prepare(): Promise<void> {
    await this.disk.touch(this.owner, 'prepare', NAME_MS);
  }

  async list(): Promise<readonly string[]> {
    await this.disk.touch(this.owner, 'list', NAME_MS);
    return [...this.names.names.keys()];
  }

  async rename(from: string, to: string): Promise<void> {
    await this.call('rename', NAME_MS);
    const inode = this.inode(from);
    this.names.change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async remove(name: string): Promise<void> {
    await this.call('remove', NAME_MS);
    if (this.names.names.has(name)) this.names.change((names) => names.delete(name));
  }

  async syncDirectory(): Promise<void> {
    const { names } = this;
    const upTo = names.made;
    await this.call('sync directory', SYNC_MS);
    names.sync(upTo);
  }

  protected get names(): Directory {
    return this.disk.directory(this.path);
  }

  protected inode(name: string): Inode {
    const inode = this.names.names.get(name);
    if (inode === undefined) throw diskError('ENOENT', `open '${this.directory}/${name}'`);
    return inode;
  }

  protected async make(name: string, inode: Inode): Promise<void> {
    await this.call('create', NAME_MS);
    this.names.change((names) => names.set(name, inode));
  }

  /** A call that changes the disk. */
  private async call(what: string, scale: number): Promise<void> {
    if (scale === NAME_MS) await this.disk.touch(this.owner, what, scale);
    else await this.disk.take(this.owner, what, scale);
    const { failWrites } = this.disk.trouble;
    if (failWrites !== undefined) throw this.disk.failure(failWrites, what);
  }
}

/** Does a sync that is issued and returns now. */
function syncNow(disk: SimDisk, inode: Inode): void {
  if (disk.trouble.failNextSync) {
    disk.trouble.failNextSync = false;
    inode.syncFailedNow();
    throw disk.failure('EIO', 'fdatasync');
  }
  inode.syncedNow();
}

/** An open file. */
class SimFile {
  constructor(
    private readonly disk: SimDisk,
    private readonly owner: Owner,
    private readonly inode: Inode,
  ) {}

  write(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    // What is given is lent for the call; a real call takes it from memory at some moment before it returns.
    return this.writeOwn(Buffer.concat(pieces), offset);
  }

  /** Writes bytes that nobody else changes. */
  writeOwn(bytes: Buffer, offset: number): Promise<number> {
    const { disk, owner, inode } = this;
    return disk.write(owner, inode, bytes, offset, writeMs(bytes), () => this.put(bytes, offset).count);
  }

  /** A write and a sync of what it wrote, in one. */
  writeDurably(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    const { disk, owner, inode } = this;
    const bytes = Buffer.concat(pieces);
    return disk.writeDurably(owner, inode, bytes, offset, writeMs(bytes), SYNC_MS, () => {
      const { count, at, length } = this.put(bytes, offset);
      if (disk.trouble.failNextSync) {
        disk.trouble.failNextSync = false;
        inode.rangeFailed(at, at + length);
        throw disk.failure('EIO', 'write');
      }
      inode.syncedRange(at, at + length);
      return count;
    });
  }

  /** Writes all of it, and syncs the file, in one. */
  writeAllDurably(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const { disk, owner, inode } = this;
    const bytes = Buffer.concat(pieces);
    return disk.writeDurably(owner, inode, bytes, offset, writeMs(bytes), SYNC_MS, () => {
      for (let done = 0; done < bytes.length;) done += this.put(bytes.subarray(done), offset + done).count;
      syncNow(disk, inode);
    });
  }

  /**
   * Does a write, with all that is wrong with the disk.
   * @returns how many bytes it says it took, and where how many went.
   */
  private put(
    bytes: Buffer,
    offset: number,
  ): { readonly count: number; readonly at: number; readonly length: number } {
    const { disk, inode } = this;
    const { trouble } = disk;
    if (trouble.failWrites !== undefined) {
      // A part of it may have been written before there was no more room.
      const part = disk.prng.below(bytes.length + 1);
      if (part > 0 && disk.prng.chance(0.5)) inode.write(bytes.subarray(0, part), offset);
      throw disk.failure(trouble.failWrites, 'write');
    }
    if (trouble.misdirectNextWrite && bytes.length >= SECTOR && inode.length > 4 * SECTOR) {
      trouble.misdirectNextWrite = false;
      disk.misdirect(inode);
      const wrong = SECTOR * disk.prng.below(Math.floor(inode.length / SECTOR));
      disk.trace.add(0, disk.node, 'misdirected', offset, wrong);
      inode.write(bytes.subarray(0, SECTOR), wrong);
      return { count: bytes.length, at: wrong, length: SECTOR };
    }
    const short = trouble.shortWrites > 0 && bytes.length > 1 && disk.prng.chance(trouble.shortWrites);
    const count = short ? 1 + disk.prng.below(bytes.length - 1) : bytes.length;
    const taken = short ? bytes.subarray(0, count) : bytes;
    inode.write(taken, offset);
    disk.trace.add(0, disk.node, 'wrote', offset, hashBytes(taken.subarray(0, SECTOR)) ^ count);
    return { count, at: offset, length: count };
  }

  async read(target: Uint8Array, offset: number): Promise<number> {
    await this.disk.touch(this.owner, 'read', READ_MS);
    return this.inode.read(target, offset);
  }

  readSync(target: Uint8Array, offset: number): number {
    return this.inode.read(target, offset);
  }

  async datasync(): Promise<void> {
    const issue = this.inode.issueSync();
    const { disk } = this;
    await disk.take(this.owner, 'datasync', SYNC_MS);
    if (disk.trouble.failNextSync) {
      disk.trouble.failNextSync = false;
      this.inode.syncFailed(issue);
      throw disk.failure('EIO', 'fdatasync');
    }
    this.inode.synced(issue);
  }

  async truncate(length: number): Promise<void> {
    await this.disk.take(this.owner, 'truncate', WRITE_MS);
    this.inode.truncate(length);
  }

  async size(): Promise<number> {
    return this.inode.length;
  }

  async close(): Promise<void> {
    // Nothing is kept of an open file.
  }
}

/** The append log's view. Nobody else opens it: a machine runs one process of a node at a time. */
export class SimLogFiles extends SimDirectory implements LogFiles {
  async lock(): Promise<LogLock> {
    return { release: () => Promise.resolve() };
  }

  async open(name: string): Promise<LogFile> {
    return new SimFile(this.disk, this.owner, this.inode(name));
  }

  async create(name: string): Promise<LogFile> {
    const inode = new Inode();
    await this.make(name, inode);
    return new SimFile(this.disk, this.owner, inode);
  }
}

/** The view of segments, snapshots and checkpoints. */
export class SimStorageFiles extends SimDirectory implements StorageFiles {
  async openForWriting(name: string): Promise<StorageFile> {
    return this.openForReadingSync(name);
  }

  async openForReading(name: string): Promise<StorageFile> {
    return this.openForReadingSync(name);
  }

  openForReadingSync(name: string): StorageFile {
    return new SimStorageFile(new SimFile(this.disk, this.owner, this.inode(name)));
  }

  async create(name: string): Promise<StorageFile> {
    const inode = new Inode();
    await this.make(name, inode);
    return new SimStorageFile(new SimFile(this.disk, this.owner, inode));
  }

  /** As `replaceFile` does it step by step. */
  replace(name: string, content: Uint8Array): Promise<void> {
    const { disk, names } = this;
    const bytes = Buffer.from(content);
    const inode = new Inode();
    const temporary = `${name}.tmp`;
    return disk.inSteps(this.owner, 'replace', [
      { scale: NAME_MS, run: () => names.change((all) => all.set(temporary, inode)) },
      {
        scale: writeMs(bytes),
        run: () => {
          inode.write(bytes, 0);
          disk.trace.add(0, disk.node, 'wrote', 0, hashBytes(bytes));
        },
        cut: () => disk.cutWrite(inode, bytes, 0),
      },
      { scale: SYNC_MS, run: () => syncNow(disk, inode) },
      ...this.renaming(temporary, name, inode),
    ]);
  }

  renameDurably(from: string, to: string): Promise<void> {
    return this.disk.inSteps(this.owner, 'rename', this.renaming(from, to, this.inode(from)));
  }

  private renaming(from: string, to: string, inode: Inode): readonly Step[] {
    const { names } = this;
    return [
      {
        scale: NAME_MS,
        run: () =>
          names.change((all) => {
            all.delete(from);
            all.set(to, inode);
          }),
      },
      { scale: SYNC_MS, run: () => names.sync(names.made) },
    ];
  }

  async moveAside(name: string, as: string): Promise<void> {
    await this.rename(name, ASIDE + as);
  }

  async listAside(): Promise<readonly string[]> {
    return (await super.list())
      .filter((name) => name.startsWith(ASIDE))
      .map((name) => name.slice(ASIDE.length));
  }

  async removeAside(name: string): Promise<void> {
    await this.remove(ASIDE + name);
  }

  override async list(): Promise<readonly string[]> {
    return (await super.list()).filter((name) => !name.startsWith(ASIDE));
  }

  async seal(): Promise<void> {
    await this.disk.touch(this.owner, 'seal', NAME_MS);
  }
}

class SimStorageFile implements StorageFile {
  readonly descriptor = undefined;

  constructor(private readonly file: SimFile) {}

  async write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = Buffer.concat(pieces);
    let done = 0;
    while (done < bytes.length) done += await this.file.writeOwn(bytes.subarray(done), offset + done);
  }

  writeDurably(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return this.file.writeAllDurably(pieces, offset);
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return this.file.read(target, offset);
  }

  readSync(target: Uint8Array, offset: number): number {
    return this.file.readSync(target, offset);
  }

  datasync(): Promise<void> {
    return this.file.datasync();
  }

  truncate(length: number): Promise<void> {
    return this.file.truncate(length);
  }

  size(): Promise<number> {
    return this.file.size();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
