// One host for each data directory. The lock is a listening socket whose name is made from the directory's device
// and inode: binding is atomic, and the system lets the name go the moment the process dies, however it dies. (Linux
// shows abstract names within one network namespace only: containers that share a volume but no network do not see
// each other's; the store's own lock has the same bound.)

import { readFile, realpath, stat, unlink, writeFile, mkdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDwError } from '@datawarehouse/sdk';
import { hostErrors } from '../errors.js';

/** A data directory that is this host's. */
export interface DataDirLock {
  /** Lets it go. Calling it again does nothing. */
  release(): Promise<void>;
}

const PID_FILE = 'host.pid';

/** What the lock of a directory is called on this system. */
function lockName(key: string): string {
  if (process.platform === 'linux') return `\0datawarehouse-host-${key}`;
  if (process.platform === 'win32') return `\\\\.\\pipe\\datawarehouse-host-${key}`;
  return join(tmpdir(), `datawarehouse-host-${key}.sock`);
}

function listen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    // The lock is no reason for a process to stay alive.
    server.listen(name, () => resolve(server.unref()));
  });
}

/** Whether anybody listens on a socket file; one that was left by a dead process refuses. */
function answers(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });
}

async function bind(name: string): Promise<Server | undefined> {
  const server = await listen(name);
  const isFile = process.platform !== 'linux' && process.platform !== 'win32';
  if (server !== undefined || !isFile || (await answers(name))) return server;
  await unlink(name);
  return listen(name);
}

async function holder(directory: string): Promise<number> {
  try {
    return Number.parseInt(await readFile(join(directory, PID_FILE), 'utf8'), 10) || 0;
  } catch {
    // The file only serves the message; the lock does not depend on it.
    return 0;
  }
}

/**
 * Makes the data directory if it is absent and takes its lock.
 * @throws DwError `data-dir-in-use` naming the process, `data-dir-unusable`.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  try {
    await mkdir(dataDir, { recursive: true });
    const { dev, ino } = await stat(await realpath(dataDir), { bigint: true });
    const server = await bind(lockName(`${dev}-${ino}`));
    if (server === undefined) throw hostErrors.dataDirInUse(dataDir, await holder(dataDir));
    const release = async (): Promise<void> => {
      if (!server.listening) return;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    };
    try {
      await writeFile(join(dataDir, PID_FILE), `${process.pid}\n`);
    } catch (error) {
      await release();
      throw error;
    }
    return { release };
  } catch (error) {
    throw isDwError(error, 'data-dir-in-use') ? error : hostErrors.dataDirUnusable(dataDir, error);
  }
}
