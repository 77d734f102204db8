// The storage's files on a real disk. Calls go to the thread pool, but for the two that say `Sync`.

import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import type { StorageFile, StorageFiles } from './storage-files.js';

/** The folder for damaged files. */
const ASIDE = 'damaged';

/** Files of a real directory. */
export class NodeStorageFiles implements StorageFiles {
  readonly directory: string;
  #asideChanged = false;

  constructor(directory: string) {
    this.directory = resolve(directory);
  }

  async prepare(): Promise<void> {
    const firstMade = await fs.promises.mkdir(this.directory, { recursive: true });
    if (firstMade === undefined) return;
    // A new directory is durable only once the one above it is, up to the first that was there before.
    for (let made = this.directory; ; made = dirname(made)) {
      await syncDirectory(dirname(made));
      if (made === firstMade || made === dirname(made)) return;
    }
  }

  async list(): Promise<readonly string[]> {
    const found = await fs.promises.readdir(this.directory, { withFileTypes: true });
    return found.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  async openForWriting(name: string): Promise<StorageFile> {
    const path = join(this.directory, name);
    await fs.promises.chmod(path, 0o600);
    return new NodeStorageFile(await openFile(path, 'r+'));
  }

  async openForReading(name: string): Promise<StorageFile> {
    return new NodeStorageFile(await openFile(join(this.directory, name), 'r'));
  }

  openForReadingSync(name: string): StorageFile {
    return new NodeStorageFile(fs.openSync(join(this.directory, name), 'r'));
  }

  async create(name: string): Promise<StorageFile> {
    return new NodeStorageFile(await openFile(join(this.directory, name), 'w+'));
  }

  seal(name: string): Promise<void> {
    return fs.promises.chmod(join(this.directory, name), 0o400);
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(join(this.directory, from), join(this.directory, to));
  }

  remove(name: string): Promise<void> {
    return fs.promises.rm(join(this.directory, name), { force: true });
  }

  async moveAside(name: string, as: string): Promise<void> {
    await fs.promises.mkdir(join(this.directory, ASIDE), { recursive: true });
    this.#asideChanged = true;
    await fs.promises.rename(join(this.directory, name), join(this.directory, ASIDE, as));
  }

  async listAside(): Promise<readonly string[]> {
    try {
      return await fs.promises.readdir(join(this.directory, ASIDE));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async removeAside(name: string): Promise<void> {
    this.#asideChanged = true;
    await fs.promises.rm(join(this.directory, ASIDE, name), { force: true });
  }

  async syncDirectory(): Promise<void> {
    if (this.#asideChanged) {
      this.#asideChanged = false;
      // First where files went to: a crash between the two leaves a file under both names, or the new one, never none.
      await syncDirectory(join(this.directory, ASIDE));
    }
    await syncDirectory(this.directory);
  }
}

class NodeStorageFile implements StorageFile {
  constructor(readonly descriptor: number) {}

  async write(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    let rest = pieces.filter((piece) => piece.byteLength > 0);
    for (let at = offset; rest.length > 0;) {
      const written = await this.writeSome(rest, at);
      // A disk that takes nothing and reports no error would keep us here for ever.
      if (written <= 0) throw new Error(`a write at ${at} took ${written} bytes`);
      at += written;
      rest = behind(rest, written);
    }
  }

  async read(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.byteLength) {
      const count = await this.readSome(target, filled, offset + filled);
      if (count <= 0) break;
      filled += count;
    }
    return filled;
  }

  readSync(target: Uint8Array, offset: number): number {
    let filled = 0;
    while (filled < target.byteLength) {
      const count = fs.readSync(this.descriptor, target, filled, target.byteLength - filled, offset + filled);
      if (count <= 0) break;
      filled += count;
    }
    return filled;
  }

  datasync(): Promise<void> {
    return settle((done) => fs.fdatasync(this.descriptor, done));
  }

  truncate(length: number): Promise<void> {
    return settle((done) => fs.ftruncate(this.descriptor, length, done));
  }

  size(): Promise<number> {
    return new Promise((done, fail) => {
      fs.fstat(this.descriptor, (error, stats) => (error === null ? done(stats.size) : fail(error)));
    });
  }

  close(): Promise<void> {
    return settle((done) => fs.close(this.descriptor, done));
  }

  private writeSome(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    return new Promise((done, fail) => {
      fs.writev(this.descriptor, pieces, offset, (error, count) =>
        error === null ? done(count) : fail(error),
      );
    });
  }

  private readSome(target: Uint8Array, from: number, offset: number): Promise<number> {
    return new Promise((done, fail) => {
      fs.read(this.descriptor, target, from, target.byteLength - from, offset, (error, count) =>
        error === null ? done(count) : fail(error),
      );
    });
  }
}

/** What is left of pieces after their first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  return pieces.flatMap((piece) => {
    const taken = Math.min(left, piece.byteLength);
    left -= taken;
    return taken === piece.byteLength ? [] : [piece.subarray(taken)];
  });
}

function settle(call: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
  return new Promise((done, fail) => {
    call((error) => (error === null || error === undefined ? done() : fail(error)));
  });
}

function openFile(path: string, flags: string): Promise<number> {
  return new Promise((done, fail) => {
    fs.open(path, flags, 0o600, (error, fd) => (error === null ? done(fd) : fail(error)));
  });
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory for syncing; NTFS journals names by itself.
  if (process.platform === 'win32') return;
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
