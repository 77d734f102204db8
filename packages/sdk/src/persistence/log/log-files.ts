// The narrow view of a file system that the log stands on. Production uses NodeLogFiles; tests put a disk under it
// that tears writes, loses what was not synced, and fails. What the log may rely on is written here and nowhere else.

/** An open file. Offsets and lengths are bytes. */
export interface LogFile {
  /**
   * Writes the pieces one after another at `offset`.
   * @returns how many bytes were taken, which may be fewer than given. They are on disk only after {@link datasync}.
   */
  write(pieces: readonly Uint8Array[], offset: number): Promise<number>;
  /**
   * As `write`, but what was taken is on disk when it resolves: these bytes, and not what was written before by
   * {@link write}. One trip to the disk instead of two. Left out where it cannot be had.
   */
  readonly writeDurably?: (pieces: readonly Uint8Array[], offset: number) => Promise<number>;
  /** Reads into `target` from `offset`. @returns how many bytes; fewer only at the end of the file. */
  read(target: Uint8Array, offset: number): Promise<number>;
  /**
   * Resolves when all that was written before is on disk, with the file's length. Until then any part of it may
   * get there, in any order; a sector of 512 bytes gets there whole or not at all.
   */
  datasync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** Held while a log is open; nobody else gets it meanwhile. */
export interface LogLock {
  release(): Promise<void>;
}

/** The files of one directory. Names are plain file names. */
export interface LogFiles {
  /** For messages. */
  readonly directory: string;
  /** Makes the directory if it is not there, durably. */
  prepare(): Promise<void>;
  /** @throws DwError `log-locked` when somebody else holds it. */
  lock(): Promise<LogLock>;
  /** Names of all files. */
  list(): Promise<readonly string[]>;
  /** Opens a file that exists, for reading and writing. */
  open(name: string): Promise<LogFile>;
  /** Makes a file, or empties the one that is there. */
  create(name: string): Promise<LogFile>;
  /** Gives a file another name, atomically; durable after {@link syncDirectory}. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; nothing happens when it is not there. Durable after {@link syncDirectory}. */
  remove(name: string): Promise<void>;
  /** Resolves when creations, renames and removals before it are on disk. */
  syncDirectory(): Promise<void>;
}

/** Writes all of `pieces`, however many bytes the disk takes at a time. @throws what the disk throws. */
export function writeFully(
  file: Pick<LogFile, 'write'>,
  pieces: readonly Uint8Array[],
  offset: number,
): Promise<void> {
  return writeAll((rest, at) => file.write(rest, at), pieces, offset);
}

/** As {@link writeFully}, by a call that writes a part and says how much. */
export async function writeAll(
  write: (pieces: readonly Uint8Array[], offset: number) => Promise<number>,
  pieces: readonly Uint8Array[],
  offset: number,
): Promise<void> {
  let rest: readonly Uint8Array[] = pieces;
  let at = offset;
  let left = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  while (left > 0) {
    const written = await write(rest, at);
    // A disk that takes nothing and reports no error would keep us here for ever.
    if (written <= 0 || written > left) throw new Error(`a write of ${left} bytes took ${written}`);
    at += written;
    left -= written;
    if (left > 0) rest = skip(rest, written);
  }
}

/** Reads until `target` is full or the file ends. @returns how many bytes. */
export async function readFully(
  file: Pick<LogFile, 'read'>,
  target: Uint8Array,
  offset: number,
): Promise<number> {
  let filled = 0;
  while (filled < target.byteLength) {
    const count = await file.read(target.subarray(filled), offset + filled);
    if (count <= 0) break;
    filled += count;
  }
  return filled;
}

/** What is left of `pieces` after their first `count` bytes. */
function skip(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    if (left >= piece.byteLength) left -= piece.byteLength;
    else {
      rest.push(left === 0 ? piece : piece.subarray(left));
      left = 0;
    }
  }
  return rest;
}
