// Open files for reading sealed segments: a few are kept open, so that reading costs one call and not three, and a
// log of many segments does not use up the process's descriptors. A file in use is never closed under its reader.

import type { LogFile, LogFiles } from './log-files.js';

const MAX_IDLE = 8;

interface Handle {
  readonly opening: Promise<LogFile>;
  users: number;
}

/** A small cache of files that are open for reading. */
export class SegmentHandles {
  /** In order of last use. */
  readonly #handles = new Map<string, Handle>();

  constructor(private readonly files: LogFiles) {}

  /** Calls `use` with the file open. @throws what opening, or `use`, throws. */
  async with<T>(fileName: string, use: (file: LogFile) => Promise<T>): Promise<T> {
    const handle = this.#handles.get(fileName) ?? { opening: this.files.open(fileName), users: 0 };
    this.#handles.delete(fileName);
    this.#handles.set(fileName, handle);
    handle.users += 1;
    try {
      return await use(await handle.opening);
    } finally {
      handle.users -= 1;
      await this.#trim(fileName, handle);
    }
  }

  /** Closes a file once its readers are through; the next use opens what then has this name. */
  async forget(fileName: string): Promise<void> {
    const handle = this.#handles.get(fileName);
    if (handle === undefined) return;
    this.#handles.delete(fileName);
    if (handle.users === 0) await close(handle);
  }

  /** Closes all files that nobody reads now; the others when their readers are through. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#handles.keys()].map((fileName) => this.forget(fileName)));
  }

  async #trim(fileName: string, handle: Handle): Promise<void> {
    if (this.#handles.get(fileName) !== handle) {
      if (handle.users === 0) await close(handle);
      return;
    }
    if (this.#handles.size <= MAX_IDLE) return;
    for (const [name, candidate] of this.#handles) {
      if (candidate.users > 0) continue;
      this.#handles.delete(name);
      await close(candidate);
      return;
    }
  }
}

async function close(handle: Handle): Promise<void> {
  // A file that could not be opened needs no closing, and its users have been told; a failed close of a file that
  // was only read loses nothing.
  await handle.opening.then((file) => file.close()).catch(() => undefined);
}
