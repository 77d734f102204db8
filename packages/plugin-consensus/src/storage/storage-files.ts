// The narrow view of a file system that segments, snapshots and group files stand on. Production uses NodeStorageFiles;
// tests put a disk under it that loses what was not synced. What may be relied on is written here and nowhere else.

/** An open file. Offsets and lengths are bytes. */
export interface StorageFile {
  /** The descriptor, for mapping; undefined when there is no real file. */
  readonly descriptor: number | undefined;
  /** Writes all pieces one after another at `offset`. On disk only after {@link datasync}. */
  write(pieces: readonly Uint8Array[], offset: number): Promise<void>;
  /** As `write` and then {@link datasync}, where a file has that as one call. Asked for by {@link writeDurably}. */
  readonly writeDurably?: ((pieces: readonly Uint8Array[], offset: number) => Promise<void>) | undefined;
  /** Reads until `target` is full or the file ends. @returns how many bytes. */
  read(target: Uint8Array, offset: number): Promise<number>;
  /** As `read`, without a trip through the event loop: for bytes that are most likely in memory. */
  readSync(target: Uint8Array, offset: number): number;
  /** Resolves when all that was written before is on disk, with the file's length. */
  datasync(): Promise<void>;
  /** Cuts the file. Never to be called on a file that is mapped: reading past its end kills the process. */
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** The files of one directory. Names are plain file names. */
export interface StorageFiles {
  /** For messages. */
  readonly directory: string;
  /** Makes the directory if it is not there, durably. */
  prepare(): Promise<void>;
  /** Names of all files. */
  list(): Promise<readonly string[]>;
  /** Opens a file that exists, for reading and writing, taking {@link seal} back. */
  openForWriting(name: string): Promise<StorageFile>;
  /** Opens a file for reading only. @throws what the disk throws, `ENOENT` as `code` when there is none. */
  openForReading(name: string): Promise<StorageFile>;
  /** As `openForReading`, at once. */
  openForReadingSync(name: string): StorageFile;
  /** Makes a file, or empties the one that is there. */
  create(name: string): Promise<StorageFile>;
  /** Takes the permission to write away. */
  seal(name: string): Promise<void>;
  /** Gives a file another name, atomically; durable after {@link syncDirectory}. */
  rename(from: string, to: string): Promise<void>;
  /** As `rename` and then {@link syncDirectory}, where that is one call. Asked for by {@link renameDurably}. */
  readonly renameDurably?: ((from: string, to: string) => Promise<void>) | undefined;
  /** As {@link replaceFile}, which asks for it, where that is one call. */
  readonly replace?: (name: string, content: Uint8Array) => Promise<void>;
  /** Removes a file; nothing happens when it is not there. Durable after {@link syncDirectory}. */
  remove(name: string): Promise<void>;
  /** Moves a file out of the directory into its folder for damaged files, which is made if need be. */
  moveAside(name: string, as: string): Promise<void>;
  /** Names in the folder for damaged files. */
  listAside(): Promise<readonly string[]>;
  /** Removes a file from the folder for damaged files. */
  removeAside(name: string): Promise<void>;
  /** Resolves when creations, renames, moves and removals before it are on disk. */
  syncDirectory(): Promise<void>;
}

/** Reads a whole small file. @throws what the disk throws. */
export async function readWholeFile(files: StorageFiles, name: string): Promise<Buffer> {
  const file = await files.openForReading(name);
  try {
    const bytes = Buffer.alloc(await file.size());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

/** Writes all pieces one after another at `offset`. On disk on return, with all that was written to the file before. */
export async function writeDurably(
  file: StorageFile,
  pieces: readonly Uint8Array[],
  offset: number,
): Promise<void> {
  if (file.writeDurably !== undefined) return file.writeDurably(pieces, offset);
  await file.write(pieces, offset);
  await file.datasync();
}

/** Gives a file another name, atomically; durable on return, with all changes to names before it. */
export async function renameDurably(
  files: Pick<StorageFiles, 'rename' | 'renameDurably' | 'syncDirectory'>,
  from: string,
  to: string,
): Promise<void> {
  if (files.renameDurably !== undefined) return files.renameDurably(from, to);
  await files.rename(from, to);
  await files.syncDirectory();
}

/** Replaces a small file whole: after a crash it has its old content or the new one, durably the new one on return. */
export async function replaceFile(files: StorageFiles, name: string, content: Uint8Array): Promise<void> {
  if (files.replace !== undefined) return files.replace(name, content);
  const temporary = `${name}.tmp`;
  const file = await files.create(temporary);
  try {
    await writeDurably(file, [content], 0);
  } finally {
    await file.close();
  }
  await renameDurably(files, temporary, name);
}
