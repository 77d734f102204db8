// The log's files on a real disk. Every call goes to the thread pool; none blocks the event loop.

import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { lockDirectory } from './directory-lock.js';
import type { LogFile, LogFiles, LogLock } from './log-files.js';

/** Files of a real directory. */
export class NodeLogFiles implements LogFiles {
  readonly directory: string;

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

  lock(): Promise<LogLock> {
    return lockDirectory(this.directory);
  }

  list(): Promise<readonly string[]> {
    return fs.promises.readdir(this.directory);
  }

  async open(name: string): Promise<LogFile> {
    return new NodeLogFile(await openFile(join(this.directory, name), 'r+'));
  }

  async create(name: string): Promise<LogFile> {
    return new NodeLogFile(await openFile(join(this.directory, name), 'w+'));
  }

  rename(from: string, to: string): Promise<void> {
    return fs.promises.rename(join(this.directory, from), join(this.directory, to));
  }

  remove(name: string): Promise<void> {
    return fs.promises.rm(join(this.directory, name), { force: true });
  }

  syncDirectory(): Promise<void> {
    return syncDirectory(this.directory);
  }
}

/** Opens a file anew by its descriptor, whatever it is called by now. Linux has this; undefined elsewhere. */
const REOPENED = process.platform === 'linux' ? '/proc/self/fd' : undefined;

/** A plain descriptor: the callback API costs half of what FileHandle does, and this is on the path of each commit. */
class NodeLogFile implements LogFile {
  /** The same file, opened so that a write returns when it is on disk; undefined when the system refused that. */
  #durable: Promise<number | undefined> | undefined;
  /** The same, once it is open. */
  #durableFd: number | undefined;

  constructor(private readonly fd: number) {}

  writeDurably(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    const durable = this.#durableFd;
    return durable === undefined ? this.#firstDurably(pieces, offset) : writev(durable, pieces, offset);
  }

  async #firstDurably(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    this.#durable ??= openDurable(this.fd);
    this.#durableFd = await this.#durable;
    if (this.#durableFd !== undefined) return writev(this.#durableFd, pieces, offset);
    const count = await this.write(pieces, offset);
    await this.datasync();
    return count;
  }

  write(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    return writev(this.fd, pieces, offset);
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return new Promise((done, fail) => {
      fs.read(this.fd, target, 0, target.byteLength, offset, (error, count) => {
        if (error) fail(error);
        else done(count);
      });
    });
  }

  datasync(): Promise<void> {
    return new Promise((done, fail) => {
      fs.fdatasync(this.fd, (error) => {
        if (error) fail(error);
        else done();
      });
    });
  }

  size(): Promise<number> {
    return new Promise((done, fail) => {
      fs.fstat(this.fd, (error, stats) => {
        if (error) fail(error);
        else done(stats.size);
      });
    });
  }

  async close(): Promise<void> {
    const durable = await this.#durable;
    this.#durable = undefined;
    this.#durableFd = undefined;
    try {
      if (durable !== undefined) await close(durable);
    } finally {
      await close(this.fd);
    }
  }
}

/** Opens a file once more. A file system that knows no such writes refuses, and then a sync does it. */
async function openDurable(fd: number): Promise<number | undefined> {
  if (REOPENED === undefined || fs.constants.O_DSYNC === undefined) return undefined;
  const path = `${REOPENED}/${fd}`;
  return new Promise((done) => {
    fs.open(path, fs.constants.O_WRONLY | fs.constants.O_DSYNC, (error, opened) =>
      done(error ? undefined : opened),
    );
  });
}

function writev(fd: number, pieces: readonly Uint8Array[], offset: number): Promise<number> {
  return new Promise((done, fail) => {
    fs.writev(fd, pieces, offset, (error, count) => {
      if (error) fail(error);
      else done(count);
    });
  });
}

function close(fd: number): Promise<void> {
  return new Promise((done, fail) => {
    fs.close(fd, (error) => {
      if (error) fail(error);
      else done();
    });
  });
}

function openFile(path: string, flags: string): Promise<number> {
  return new Promise((done, fail) => {
    fs.open(path, flags, 0o600, (error, fd) => {
      if (error) fail(error);
      else done(fd);
    });
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
