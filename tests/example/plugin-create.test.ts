// What `dw plugin create` writes works as it stands: it installs, builds, and its test passes.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ROOT } from '../support/processes.js';

const run = promisify(execFile);

it('makes a plugin that builds and whose test passes', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'dw-create-'));
  try {
    await run(
      process.execPath,
      [join(ROOT, 'packages/host/bin/dw.js'), 'plugin', 'create', 'order-counter'],
      {
        cwd: parent,
      },
    );
    const cwd = join(parent, 'order-counter');
    await run('npm', ['install', '--no-audit', '--no-fund'], { cwd });
    await run('npm', ['run', 'build'], { cwd });
    const { stdout } = await run('npm', ['test'], { cwd });
    expect(stdout).toMatch(/1 passed/);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}, 300_000);
