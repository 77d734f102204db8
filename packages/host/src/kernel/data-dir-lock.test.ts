import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDir } from './data-dir-lock.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dw-lock-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a directory is made, and is one host’s until it lets go', async () => {
  const data = join(directory, 'deep', 'data');
  const lock = await lockDataDir(data);
  await expect(lockDataDir(data)).rejects.toMatchObject({
    code: 'data-dir-in-use',
    details: { pid: process.pid },
  });
  await lock.release();
  await lock.release();
  await (await lockDataDir(data)).release();
});

test('another name of the same directory does not help', async () => {
  await symlink(directory, `${directory}-link`);
  const lock = await lockDataDir(directory);
  try {
    await expect(lockDataDir(`${directory}-link`)).rejects.toMatchObject({ code: 'data-dir-in-use' });
  } finally {
    await lock.release();
    await rm(`${directory}-link`);
  }
});

test('what cannot be a directory is said', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(lockDataDir(join(directory, 'file', 'data'))).rejects.toMatchObject({
    code: 'data-dir-unusable',
  });
});
