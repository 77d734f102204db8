import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { rejectionCode } from '../../testing/contract-hooks.js';
import { lockByFile, lockDirectory } from './directory-lock.js';

describe.each([
  ['lockDirectory', lockDirectory],
  ['lockByFile', lockByFile],
])('%s', (_, lock) => {
  let directory: string;
  beforeEach(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), 'dw-lock-'));
  });
  afterEach(() => fs.rm(directory, { recursive: true }));

  it('gives the lock to one, and to the next once it is released', async () => {
    const first = await lock(directory);
    expect(await rejectionCode(lock(directory))).toBe('log-locked');
    await first.release();
    const second = await lock(directory);
    await second.release();
  });

  it('gives it to one of many that ask at once', async () => {
    const locks = await Promise.allSettled(Array.from({ length: 10 }, () => lock(directory)));
    const held = locks.filter((result) => result.status === 'fulfilled');
    expect(held.length).toBe(1);
    await Promise.all(held.map((result) => result.value.release()));
  });
});

describe('lockByFile', () => {
  it('takes over from a process that is gone', async () => {
    const directory = await fs.mkdtemp(join(tmpdir(), 'dw-lock-'));
    const gone = spawnSync(process.execPath, ['-e', '']);
    await fs.writeFile(join(directory, 'lock'), `${gone.pid} left-behind`);
    const lock = await lockByFile(directory);
    await lock.release();
    expect(await fs.readdir(directory)).toEqual([]);
    await fs.rm(directory, { recursive: true });
  });
});
