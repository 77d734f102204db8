// One opener for a directory. On Linux the lock is a socket name in the kernel's abstract namespace, made from the
// directory's device and inode: binding it is atomic, and the kernel lets it go the moment the process dies, however
// it dies, so there is no stale lock to judge. (The name is seen within one network namespace: containers that share
// a volume but no network do not see each other's.) Elsewhere it is a file with the owner's process id, taken over
// only when that process is gone.

import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { logLocked } from '../errors.js';
import type { LogLock } from './log-files.js';

const LOCK_FILE = 'lock';

/** Takes the lock of an existing directory. @throws DwError `log-locked`. */
export function lockDirectory(directory: string): Promise<LogLock> {
  return process.platform === 'linux' ? lockBySocket(directory) : lockByFile(directory);
}

async function lockBySocket(directory: string): Promise<LogLock> {
  const { dev, ino } = await fs.stat(directory, { bigint: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? logLocked(directory, 'another process, or in this one') : error);
    });
    server.listen(`\0datawarehouse-log-${dev}-${ino}`, resolve);
  });
  // The lock is no reason for a process to stay alive.
  server.unref();
  return {
    release: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  };
}

/** The lock by file, for systems without abstract sockets. @throws DwError `log-locked`. */
export async function lockByFile(directory: string): Promise<LogLock> {
  const path = join(directory, LOCK_FILE);
  const mine = `${process.pid} ${randomUUID()}`;
  const draft = `${path}.${randomUUID()}`;
  await fs.writeFile(draft, mine);
  try {
    // A link appears whole or not at all, so nobody reads a lock that is half written.
    if (!(await tryLink(draft, path))) {
      await removeIfDead(directory, path);
      if (!(await tryLink(draft, path))) throw logLocked(directory, 'another process');
    }
  } finally {
    await fs.rm(draft, { force: true });
  }
  return {
    release: async () => {
      if ((await readLock(path)) === mine) await fs.rm(path, { force: true });
    },
  };
}

async function tryLink(draft: string, path: string): Promise<boolean> {
  try {
    await fs.link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function removeIfDead(directory: string, path: string): Promise<void> {
  const held = await readLock(path);
  if (held === undefined) return;
  const pid = Number.parseInt(held, 10);
  if (pid > 0 && isAlive(pid)) throw logLocked(directory, `process ${pid}`);
  // Moved aside first, and looked at again: another process may have judged the same lock dead and taken it since.
  const aside = `${path}.${randomUUID()}`;
  try {
    await fs.rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readLock(aside)) !== held) await tryLink(aside, path);
  await fs.rm(aside, { force: true });
}

async function readLock(path: string): Promise<string | undefined> {
  try {
    return await fs.readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
