// Small files that the command line keeps: read whole, written whole or not at all.

import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A file's text; undefined when it is not there. */
export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Writes a file whole or not at all, and to the disk. */
export async function writeDurably(file: string, text: string, mode = 0o666): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text, { flush: true, mode });
  await rename(temporary, file);
  const directory = await open(join(file, '..'), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
